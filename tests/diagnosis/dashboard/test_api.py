"""The dashboard's figures by API: the same as on the page, for who may see it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Role
from tests.diagnosis.api.conftest import API, client_of
from tests.factories import MembershipFactory
from tests.support.clinic_days import Case, stored

pytestmark = pytest.mark.django_db
URL = f"{API}dashboard/"


def test_the_tables_have_days_counts_and_null_where_there_is_no_figure():
    member = MembershipFactory(roles=[Role.CLINIC_ADMIN])
    now = timezone.now()
    stored(member, Case(now, verdict="definite", probability=0.9, answer="yes"))
    today = now.date().isoformat()

    answer = client_of(member).get(URL, {"first": today, "last": today}).json()

    assert answer["period"] == {"first": today, "last": today}
    assert (answer["step"], answer["studies"], answer["minimum_cases"]) == ("day", 1, 10)
    tables = {table["key"]: table for table in answer["tables"]}
    assert tables["volume"]["rows"] == [[today, 0, 0, 1, 1]]
    every = dict(zip(tables["agreement"]["columns"], tables["agreement"]["rows"][0], strict=True))
    assert (every["sensitivity_hits"], every["sensitivity_value"]) == (1, None)
    assert len(client_of(member).get(URL).json()["tables"][0]["rows"]) == 30


@pytest.mark.parametrize(
    "days",
    [
        {"first": "2026-01-02", "last": "2026-01-01"},
        {"last": "2026-01-01"},
        {"first": "x", "last": "2026-01-01"},
        {"first": "1990-01-01", "last": "2026-01-01"},
    ],
)
def test_days_that_make_no_sense_are_refused(days):
    member = MembershipFactory(doctor=True)
    response = client_of(member).get(URL, days)
    assert (response.status_code, response.json()["code"]) == (400, "invalid")
    assert set(response.json()["fields"]) <= {"first", "last"}


def test_another_clinic_sees_none_of_it():
    stored(MembershipFactory(doctor=True), Case(timezone.now() - timedelta(days=1)))
    assert client_of(MembershipFactory(doctor=True)).get(URL).json()["studies"] == 0
