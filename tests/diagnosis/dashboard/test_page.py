"""The dashboard's page and files: who may, which days, words for everybody, safe CSV."""

import csv
import io
import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.tenancy import clinic_scope
from diagnosis.selectors.proportions import Share
from diagnosis.web import dashboard_words as words
from diagnosis.web.csv_files import csv_cell
from tests.factories import AnalysisFactory, ClinicFactory, MembershipFactory, StudyImageFactory
from tests.support.clinic_days import Case, stored

pytestmark = pytest.mark.django_db
PAGE = reverse("diagnosis:dashboard")
KEYS = [
    "volume", "times", "verdicts", "agreement", "calibration", "reliability", "drift", "failures",
]  # fmt: skip


@pytest.fixture
def doctor(client):
    member = MembershipFactory(doctor=True, clinic=ClinicFactory(time_zone="Pacific/Auckland"))
    client.force_login(member.user)
    return member


def file(client, key, **query):
    return client.get(reverse("diagnosis:dashboard-csv", args=[key]), query)


def rows_of(response):
    return list(csv.DictReader(io.StringIO(response.content.decode())))


def filled(doctor, count=12):
    now = timezone.now()
    for number in range(count):
        stored(
            doctor,
            Case(
                now - timedelta(hours=number),
                verdict="definite" if number % 4 else "negative",
                probability=0.9 if number % 4 else 0.1,
                answer="yes",
            ),
        )


def test_doctors_and_administrators_look_and_nobody_else(client):
    for role, status in (("doctor", 200), ("clinic_admin", 200), ("technician", 403)):
        member = MembershipFactory(**{role: True})
        client.force_login(member.user)
        page = client.get(PAGE)
        assert page.status_code == status
        assert file(client, "volume").status_code == status
        assert (f'href="{PAGE}"' in client.get("/").content.decode()) == (status == 200)
    with clinic_scope(member.clinic_id):
        denied = AuditEvent.objects.filter(outcome="denied", action="dashboard.view")
        assert denied.count() == 2


def test_every_chart_has_words_a_table_a_file_and_its_data_without_inline_script(client, doctor):
    filled(doctor)

    html = client.get(PAGE).content.decode()

    for key in KEYS:
        assert f'id="{key}-title"' in html
        assert f'id="{key}-summary"' in html
        assert reverse("diagnosis:dashboard-csv", args=[key]) in html
    assert html.count("<table") == len(KEYS)
    drawn = re.findall(r'<canvas role="img" aria-labelledby="(\w+)-title"', html)
    assert {"volume", "times", "verdicts", "agreement"} <= set(drawn)
    data = re.findall(r'<script id="(\w+)-data" type="application/json">', html)
    assert data == drawn
    assert "9 of 12" in html
    assert "Research use only" in html


def test_rates_of_few_cases_are_not_given_anywhere(client, doctor):
    filled(doctor, count=9)
    html = client.get(PAGE).content.decode()
    assert "6 of 9" in html
    assert "67 %" not in html
    [every] = [r for r in rows_of(file(client, "agreement")) if r["group"] == "all"]
    assert (every["sensitivity_hits"], every["sensitivity_n"]) == ("6", "9")
    assert every["sensitivity_value"] == every["sensitivity_low"] == ""


def test_an_empty_clinic_is_told_what_to_do(client, doctor):
    page = client.get(PAGE)
    assert page.status_code == 200
    assert "No study arrived in these days" in page.content.decode()
    for key in KEYS:
        assert file(client, key).status_code == 200


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"first": "2026-05-02", "last": "2026-05-01"}, "before the first"),
        ({"first": "2026-05-02"}, "Give both days"),
        ({"first": "2000-01-01", "last": "2026-05-01"}, "at most five years"),
        ({"first": "yesterday", "last": "2026-05-01"}, "valid date"),
        ({"baseline_last": "2026-05-01"}, "Give both days"),
    ],
)
def test_days_that_make_no_sense_are_explained_and_show_no_figures(client, doctor, query, said):
    page = client.get(PAGE, query)
    assert page.status_code == 422
    assert said in page.content.decode()
    assert "data-charts" not in page.content.decode()
    assert file(client, "volume", **query).status_code == 404


def test_today_is_the_clinics_today(client, doctor):
    moment = timezone.now()
    stored(doctor, Case(moment))
    zone = doctor.clinic.time_zone
    today = moment.astimezone(ZoneInfo(zone)).date()

    rows = rows_of(file(client, "volume"))

    assert len(rows) == 30
    assert (rows[-1]["from"], rows[-1]["total"]) == (today.isoformat(), "1")


def test_a_file_holds_the_figures_of_the_asked_days_and_is_audited(client, doctor):
    filled(doctor)
    days = {"first": "2020-01-01", "last": "2020-01-31"}
    response = file(client, "volume", **days)
    assert response["Content-Type"].startswith("text/csv")
    assert response["Cache-Control"] == "private, no-store"
    assert {row["total"] for row in rows_of(response)} == {"0"}
    assert file(client, "nothing").status_code == 404
    with clinic_scope(doctor.clinic_id):
        event = AuditEvent.objects.get(action="dashboard.export")
    assert event.details == {"figures": "volume", "first": "2020-01-01", "last": "2020-01-31"}


def test_no_cell_of_a_file_is_a_formula(client, doctor):
    assert csv_cell("=1+1") == "'=1+1"
    assert [csv_cell(value) for value in (-1, 0.5, None, "-x", "@a", "+b", "\tc", "d")] == [
        -1, 0.5, "", "'-x", "'@a", "'+b", "'\tc", "d",
    ]  # fmt: skip
    image = StudyImageFactory(study__patient__clinic=doctor.clinic)
    AnalysisFactory(image=image, status="failed", error_code="=cmd|x", finished_at=timezone.now())
    [row] = rows_of(file(client, "failures"))
    assert row == {"of": "analysis", "code": "'=cmd|x", "n": "1"}


def test_numbers_are_rounded_and_not_cut():
    assert words.percent(0.639) == "64 %"
    assert words.percent(0.1299, 1) == "13.0 %"
    assert words.rate(Share(575, 900)).startswith("64 %")
    assert [words.minutes(m) for m in (None, 0.5, 1.99, 119.4, 119.6, 3000)] == [
        words.NOTHING, "30 s", "119 s", "119 min", "2 h 0 min", "2 d 2 h",
    ]  # fmt: skip


def test_nothing_of_a_foreign_clinic_is_in_the_page_or_the_files(client, doctor):
    stranger = MembershipFactory(doctor=True)
    filled(stranger)
    assert "No study arrived" in client.get(PAGE).content.decode()
    assert [row for row in rows_of(file(client, "agreement")) if row["group"] != "all"] == []


def test_the_page_asks_as_often_for_many_studies_as_for_few(client, doctor):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert client.get(PAGE).status_code == 200
        return len(captured)

    queries()
    few = queries()
    filled(doctor)
    assert queries() == few
