"""The dashboard's figures against a calculation by hand over every row."""

import math
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.tenancy import clinic_scope
from diagnosis.models import ReportVersion, Study
from diagnosis.selectors.dashboard import Period, dashboard_figures, dashboard_tables
from diagnosis.selectors.reference import reports_in_force
from diagnosis.services.first_reads import report_answer
from ml.metrics import accuracy, sensitivity, specificity
from tests.factories import (
    AnalysisFactory,
    ClinicFactory,
    DeliveryFactory,
    MembershipFactory,
    ReportVersionFactory,
    StudyImageFactory,
)
from tests.support.clinic_days import Case, signed, stored

pytestmark = pytest.mark.django_db
BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 3, 2, 8, tzinfo=BERLIN)  # a Monday
SUSPECTED = {"definite", "suspicion"}


def random_cases(count: int) -> list[Case]:
    dice = random.Random(7)  # noqa: S311 - no secret
    cases = []
    for number in range(count):
        probability = dice.random()
        verdict = (
            "definite" if probability > 0.7 else "suspicion" if probability > 0.4 else "negative"
        )
        truth = "yes" if dice.random() < probability else "no"
        cases.append(
            Case(
                arrived=START + timedelta(hours=dice.randrange(24 * 27)),
                verdict=verdict,
                probability=probability,
                answer=truth if number % 9 else dice.choice(["", "unsure"]),
                region=dice.choice(["leg", "hand_arm"]),
                model=dice.choice(["detector 1", "detector 2"]),
                priority=dice.randrange(3),
                minutes=dice.randrange(5, 600),
                amended_to={3: "no", 4: "yes"}.get(number % 30, "") if number % 9 else "",
                withdrawn=number % 30 == 7,
            )
        )
    return cases


@pytest.fixture
def member():
    return MembershipFactory(doctor=True, clinic=ClinicFactory(time_zone="Europe/Berlin"))


def compared(cases):
    """Return (case, is a fracture) of those that count."""
    found = []
    for case in cases:
        answer = case.amended_to or case.answer
        if not case.withdrawn and answer in {"yes", "no"} and case.verdict != "cannot_assess":
            found.append((case, answer == "yes"))
    return found


def figures_of(member, first, last, **options):
    with clinic_scope(member.clinic_id):
        return dashboard_figures(user=member.user, period=Period(first, last, BERLIN), **options)


def table(figures, key):
    found = next(table for table in dashboard_tables(figures) if table.key == key)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def test_every_figure_is_what_a_calculation_by_hand_gives(member):
    cases = [stored(member, case) for case in random_cases(150)]
    elsewhere = MembershipFactory(doctor=True)
    stored(elsewhere, Case(arrived=START, verdict="definite", probability=0.9, answer="no"))

    figures = figures_of(member, date(2026, 3, 2), date(2026, 3, 29))

    assert figures.period.step == "day"
    days = Counter((case.arrived.date(), case.priority) for case in cases)
    assert dict(figures.volume) == dict(days)
    assert dict(figures.verdicts) == dict(Counter((c.arrived.date(), c.verdict) for c in cases))
    pairs = compared(cases)
    for row in table(figures, "agreement"):
        chosen = [
            (case, truth)
            for case, truth in pairs
            if row["name"] in {"", getattr(case, row["group"], "")}
        ]
        truth = [is_fracture for _, is_fracture in chosen]
        for suffix, verdicts in (("", SUSPECTED), ("_definite", {"definite"})):
            said = [case.verdict in verdicts for case, _ in chosen]
            assert row[f"sensitivity{suffix}_value"] == pytest.approx(sensitivity(truth, said))
            assert row[f"specificity{suffix}_value"] == pytest.approx(specificity(truth, said))
            assert row["sensitivity_n"] == sum(truth)
            assert row["sensitivity_low"] < row["sensitivity_value"] < row["sensitivity_high"]
        said = [case.verdict in SUSPECTED for case, _ in chosen]
        assert row["agreement_value"] == pytest.approx(accuracy(truth, said))
        assert row["agreement_n"] == len(chosen)
    assert [row["name"] for row in table(figures, "agreement")] == [
        "", "hand_arm", "leg", "detector 1", "detector 2",
    ]  # fmt: skip
    left_out = figures.left_out
    assert len(pairs) + left_out.not_reported + left_out.undecided == len(cases)
    unreported = sum(case.answer == "" or case.withdrawn for case in cases)
    assert left_out.not_reported == unreported
    took = [case.minutes for case in cases if case.answer]
    assert figures.waits["report"][None].count == len(took)
    assert figures.waits["report"][None].median == pytest.approx(np.percentile(took, 50))
    urgent = [case.minutes for case in cases if case.answer and case.priority == 1]
    assert figures.waits["report"][1].p90 == pytest.approx(np.percentile(urgent, 90))


def test_calibration_and_its_error_are_those_of_the_single_studies(member):
    cases = [stored(member, case) for case in random_cases(120)]

    figures = figures_of(member, date(2026, 1, 1), date(2026, 12, 31))

    assert figures.period.step == "month"
    pairs = compared(cases)
    bins: dict[int, list] = {}
    for case, truth in pairs:
        bins.setdefault(min(int(case.probability * 10), 9), []).append((case.probability, truth))
    error = sum(abs(sum(p - t for p, t in rows)) for rows in bins.values()) / len(pairs)
    found = figures.calibration_all
    assert (found.count, found.value) == (len(pairs), pytest.approx(error))
    assert found.low <= found.value <= found.high < 0.5
    for row in table(figures, "reliability"):
        rows = bins.get(round(row["bin_from"] * 10), [])
        assert row["n"] == len(rows)
        assert row["fractured"] == sum(truth for _, truth in rows)
        assert row["stated"] == pytest.approx(np.mean([p for p, _ in rows]))
        assert (row["observed"] is None) == (len(rows) < 10)


def test_drift_is_the_stability_index_and_chance_is_not_called_drift(member):
    dice = random.Random(1)  # noqa: S311 - no secret

    def days(first, count, shift):
        for number in range(count):
            p = min(dice.random() ** 2 + shift, 1.0)
            region = "leg" if number % 2 else "hip"
            stored(member, Case(START + timedelta(days=first), probability=p, region=region))

    days(0, 60, 0.0)
    days(100, 60, 0.0)
    days(101, 60, 0.45)
    days(102, 49, 0.0)
    baseline = Period(START.date(), START.date(), BERLIN)
    first = START.date() + timedelta(days=100)

    figures = figures_of(member, first, first + timedelta(days=2), baseline=baseline)

    same, other, few = (figures.drift["probability", first + timedelta(days=n)] for n in range(3))
    assert same.index < other.index
    assert not same.is_much
    assert other.is_much
    assert (few.count, few.index) == (49, None)
    assert figures.drift["region", first].index == pytest.approx(0.0)
    with clinic_scope(member.clinic_id):
        rows = list(Study.objects.values_list("created_at", "probability"))
    of_day = [
        Counter(min(int(p * 10), 9) for at, p in rows if at.astimezone(BERLIN).date() == day)
        for day in (START.date(), first + timedelta(days=1))
    ]
    kinds = set(of_day[0]) | set(of_day[1])
    then, now = ([(c[k] + 0.5) / (60 + 0.5 * len(kinds)) for k in sorted(kinds)] for c in of_day)
    expected = sum((b - a) * math.log(b / a) for a, b in zip(then, now, strict=True))
    assert other.index == pytest.approx(expected)


def test_days_are_days_of_the_clinic_also_when_the_clock_changes(member):
    night = [
        datetime(2026, 3, 28, 23, 59, 59, tzinfo=BERLIN),  # the day before
        datetime(2026, 3, 29, 0, 0, tzinfo=BERLIN),  # this day has 23 hours
        datetime(2026, 3, 29, 23, 59, 59, tzinfo=BERLIN),
        datetime(2026, 3, 30, 0, 0, tzinfo=BERLIN),
        datetime(2026, 3, 29, 21, 59, 59, tzinfo=UTC),
        datetime(2026, 3, 29, 22, 0, tzinfo=UTC),
    ]
    for moment in night:
        stored(member, Case(moment))

    day = date(2026, 3, 29)
    assert dict(figures_of(member, day, day).volume) == {(day, 2): 3}
    assert figures_of(member, date(2026, 3, 28), date(2026, 3, 30)).studies == 6


def test_steps_begin_with_the_calendar_and_no_study_falls_between(member):
    stored(member, Case(datetime(2026, 1, 1, 12, tzinfo=BERLIN)))
    stored(member, Case(datetime(2026, 3, 2, 12, tzinfo=BERLIN)))

    weeks = figures_of(member, date(2026, 1, 1), date(2026, 3, 2))

    assert weeks.period.step == "week"
    assert (weeks.steps[0], weeks.steps[-1]) == (date(2025, 12, 29), date(2026, 3, 2))
    assert {step for step, _ in weeks.volume} <= set(weeks.steps)
    assert sum(row["total"] for row in table(weeks, "volume")) == 2


def test_of_too_few_cases_there_are_counts_and_no_rate(member):
    for number in range(9):
        stored(
            member, Case(START, verdict="definite", probability=0.9, answer="yes", minutes=number)
        )

    figures = figures_of(member, START.date(), START.date())

    row = table(figures, "agreement")[0]
    assert (row["sensitivity_hits"], row["sensitivity_n"]) == (9, 9)
    assert row["sensitivity_value"] is row["sensitivity_low"] is row["agreement_value"] is None
    assert row["specificity_n"] == 0
    times = [row for row in table(figures, "times") if row["measure"] == "report"]
    assert {row["median_minutes"] for row in times} == {None}
    assert figures.calibration_all.value is None
    stored(member, Case(START, verdict="negative", answer="yes"))
    row = table(figures_of(member, START.date(), START.date()), "agreement")[0]
    assert row["sensitivity_value"] == 0.9


def test_a_corrected_report_counts_once_and_a_withdrawn_one_not_until_it_is_replaced(member):
    corrected = Case(START, verdict="definite", probability=0.9, answer="yes", amended_to="no")
    stored(member, corrected)
    withdrawn = stored(member, Case(START, answer="yes", withdrawn=True))

    figures = figures_of(member, START.date(), START.date())
    assert figures.agreement[0].specificity.count == 1
    assert figures.agreement[0].sensitivity.count == 0
    assert figures.left_out.not_reported == 1
    assert figures.waits["report"][None].count == 2  # both were reported in their time

    signed(member, withdrawn.study.report, withdrawn, "no", number=2)
    figures = figures_of(member, START.date(), START.date())
    assert figures.agreement[0].specificity.count == 2
    assert figures.left_out.not_reported == 0


def test_what_the_database_takes_out_of_a_report_is_what_the_service_says(member):
    states = ["accepted", "moved", "added", "rejected", "proposed"]
    documents = [[], *([{"state": a}, {"state": b}] for a in states for b in states)]
    for reviewed in documents:
        ReportVersionFactory(
            report__study__patient__clinic=member.clinic, author=member.user,
            reviewed_findings=reviewed,
        )  # fmt: skip
    ReportVersionFactory(report__study__patient__clinic=member.clinic, author=member.user)
    with clinic_scope(member.clinic_id):
        versions = list(ReportVersion.objects.all())
        assert list(reports_in_force(user=member.user)) == []
    for version in versions:
        expected = "" if version.reviewed_findings is None else report_answer(version)
        assert version.answer == expected
    assert {version.ai_verdict for version in versions} == {""}
    assert {version.ai_model for version in versions} == {""}


def test_failures_refusals_and_times_of_the_ai(member):
    image = StudyImageFactory(study__patient__clinic=member.clinic)
    for _ in range(2):
        AnalysisFactory(image=image, failed=True)
    DeliveryFactory(
        study=image.study, status="failed", error_code="storage", finished_at=START, attempts=1
    )
    AnalysisFactory(
        image=image, succeeded=True, verdict="cannot_assess", probability=None,
        reasons=["blurred"], warnings=["hardware"],
    )  # fmt: skip
    AnalysisFactory(image=image, succeeded=True, warnings=["hardware"])
    today = image.created_at.astimezone(BERLIN).date()

    figures = figures_of(member, today - timedelta(days=1), today + timedelta(days=1))

    assert figures.failures == {("analysis", "internal"): 2, ("delivery", "storage"): 1}
    assert figures.waits["ai"][None].count == 2
    assert figures.drift["gate", today].count == 2


def test_who_reads_first_learns_nothing_of_studies_that_are_still_to_be_read(member):
    member.clinic.read_first = True
    member.clinic.save()
    stored(member, Case(START, verdict="definite", probability=0.9))
    stored(member, Case(START, answer="no"))

    figures = figures_of(member, START.date(), START.date())

    assert figures.studies == 2
    assert dict(figures.verdicts) == {(START.date(), "negative"): 1}


def test_nothing_of_another_clinic_counts(member):
    stored(member, Case(START, answer="yes"))
    stranger = MembershipFactory(doctor=True)
    with clinic_scope(member.clinic_id):  # the wall and the filter: a stranger in the scope
        foreign = dashboard_figures(
            user=stranger.user, period=Period(START.date(), START.date(), BERLIN)
        )
    assert foreign.studies == foreign.agreement[0].studies == 0
    own = figures_of(stranger, START.date(), START.date())
    assert own.studies == own.waits["waiting"][None].count == 0


def test_the_number_of_queries_does_not_grow_with_the_studies(member):
    stored(member, Case(START, answer="yes"))
    figures_of(member, START.date(), START.date())  # who reads first is remembered from here
    with CaptureQueriesContext(connection) as few:
        figures_of(member, START.date(), START.date())
    for number in range(12):
        stored(
            member, Case(START + timedelta(days=number), answer="no", model=f"detector {number}")
        )
    with CaptureQueriesContext(connection) as many:
        figures_of(member, START.date(), START.date() + timedelta(days=40))
    assert len(many) == len(few) <= 24
