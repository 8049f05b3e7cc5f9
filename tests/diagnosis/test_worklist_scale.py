"""Tens of thousands of studies: pages and counts come from indexes and stay bounded."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.tenancy import clinic_scope
from diagnosis.selectors.worklist import COUNT_LIMIT, worklist_counts, worklist_page
from tests.factories import MembershipFactory
from tests.support.database import vacuum
from tests.support.many_studies import many_studies

STUDIES = 20_000


@pytest.fixture
def busy(transactional_db):
    """A doctor of a clinic with many studies, as the planner knows it."""
    member = MembershipFactory(doctor=True)
    many_studies(clinic=member.clinic, user=member.user, count=STUDIES)
    vacuum("diagnosis_study", "diagnosis_report", "diagnosis_reportversion")
    with clinic_scope(member.clinic_id):
        yield member


def rows_read(sql: str) -> dict[str, float]:
    """Return how many rows each scan of a table or index gave in fact."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        plan = cursor.fetchone()[0][0]["Plan"]
    found: dict[str, float] = {}
    nodes = [plan]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        name = node.get("Index Name") or node.get("Relation Name")
        if name:
            found[name] = found.get(name, 0) + node["Actual Rows"] * node["Actual Loops"]
    return found


@pytest.mark.django_db(transaction=True)
def test_pages_and_counts_of_a_busy_clinic(busy):
    with CaptureQueriesContext(connection) as captured:
        first = worklist_page(user=busy.user, tab="unread", rows=25)
        second = worklist_page(user=busy.user, tab="unread", rows=25, after=first.last)
    assert first.studies[-1].rank <= second.studies[0].rank
    assert not {s.pk for s in first.studies} & {s.pk for s in second.studies}
    queries = [query["sql"] for query in captured if '"rank"' in query["sql"]]
    pages = [sql for sql in queries if "LIMIT 26" in sql]
    assert len(pages) == 2
    for sql in pages:
        read = rows_read(sql)
        assert read["study_unread"] < 200, read
        assert "diagnosis_study" not in read, read  # from the index alone
    counts = worklist_counts(user=busy.user)
    assert counts["all"] == counts["unread"] == counts["reported"] == COUNT_LIMIT
    assert 0 < counts["failed"] < COUNT_LIMIT
    assert 0 < counts["to_sign"] < COUNT_LIMIT
