"""The questions that the dashboard asks the database; each is one grouped statement.

Days are those on which a study arrived, by the clinic's clock. Studies that were fetched from an
archive to be compared with did not arrive to be read and are not counted.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import (
    Case,
    Count,
    DateField,
    DurationField,
    ExpressionWrapper,
    F,
    IntegerField,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce, Extract, Floor, Now, Trunc

from accounts.models import User
from diagnosis.models import Analysis, Delivery, ReportVersion, Study, StudyImage
from diagnosis.models.studies import WAITING_FOR_READER, own_work
from diagnosis.selectors.dashboard.period import Period
from diagnosis.selectors.first_reads import reads_first
from diagnosis.selectors.reference import reports_in_force

BINS = 10  # of the probability, each 0.1 wide; the last one holds 1.0


# The names are those of ``_waits``; Django writes the inner query.
_WAITS = """
    SELECT "of", grouping("of") = 1, count(*),
        percentile_cont(0.5) WITHIN GROUP (ORDER BY minutes),
        percentile_cont(0.9) WITHIN GROUP (ORDER BY minutes)
    FROM ({}) AS timed("of", minutes) GROUP BY GROUPING SETS (("of"), ())
"""


@dataclass(frozen=True, slots=True)
class Wait:
    """How long something took, in minutes."""

    count: int
    median: float | None
    p90: float | None


@dataclass(frozen=True, slots=True)
class AiCell:
    """Studies of one step with the same answer of the AI."""

    step: date
    verdict: str
    region: str
    bin: int | None
    count: int


@dataclass(frozen=True, slots=True)
class ReferenceCell:
    """Signed reports in force with the same answers; ``stated`` is the sum of probabilities."""

    step: date
    verdict: str
    region: str
    model: str
    bin: int | None
    answer: str
    count: int
    stated: float


def first_day(*, user: User, period: Period) -> date:
    """Return the day of the clinic's first study, or the period's first without any."""
    # The first row of an index; a minimum over the clinic would read all of it.
    own = _own_studies(user).order_by("created_at")
    earliest = own.values_list("created_at", flat=True).first()
    return earliest.astimezone(period.zone).date() if earliest else period.first


def volume(*, user: User, period: Period) -> dict[tuple[date, int], int]:
    """Return how many studies arrived in each step with each urgency."""
    rows = (
        _studies(user, period)
        .values_list(_step(period, "created_at"), "priority")
        .annotate(n=Count("*"))
    )
    return {(step, priority): count for step, priority, count in rows.order_by()}


def ai_answers(*, user: User, period: Period) -> list[AiCell]:
    """Return the AI's answers, counted.

    For a member who reads before the AI only of reported studies: what the AI says of a study that
    they still have to read may not show in a sum of one.
    """
    studies = _studies(user, period)
    if reads_first(user=user):
        studies = studies.filter(status=Study.Status.REPORTED)
    step = _step(period, "created_at")
    rows = studies.annotate(step=step, bin=_bin("probability")).order_by()
    counted = rows.values_list("step", "verdict", "region", "bin").annotate(n=Count("*"))
    return [AiCell(*row) for row in counted]


def references(*, user: User, period: Period) -> list[ReferenceCell]:
    """Return what signed reports in force say beside what the AI said, counted."""
    reports = reports_in_force(user=user).filter(own_work("report__study"))
    rows = _of_period(reports, period, "report__study__created_at")
    counted = (
        rows.annotate(step=_step(period, "report__study__created_at"), bin=_bin("ai_probability"))
        .order_by()
        .values_list("step", "ai_verdict", "ai_region", "ai_model", "bin", "answer")
        .annotate(n=Count("*"), stated=Coalesce(Sum("ai_probability"), 0.0))
    )
    return [ReferenceCell(*row) for row in counted]


def turnaround(*, user: User, period: Period) -> dict[int | None, Wait]:
    """Return the time from arrival to the first signed report, by urgency; ``None``: all."""
    signed = ReportVersion.objects.counted_for(user).filter(
        own_work("report__study"), status=ReportVersion.Status.SIGNED, number=1
    )
    rows = _of_period(signed, period, "report__study__created_at")
    took = F("signed_at") - F("report__study__created_at")
    return _waits(rows, took, "report__study__priority")


def ai_waits(*, user: User, period: Period) -> dict[int | None, Wait]:
    """Return the time from an image's arrival (or a new request) to the AI's answer."""
    rows = _of_period(_answers(user), period, "created_at")
    return _waits(rows, F("finished_at") - F("created_at"), "priority")


def waiting_now(*, user: User) -> dict[int | None, Wait]:
    """Return how long the studies that nobody has reported wait already, whatever the period."""
    waiting = _own_studies(user).filter(
        Q(status__in=WAITING_FOR_READER) | Q(new_image_after_report=True), erased_at__isnull=True
    )
    return _waits(waiting, Now() - F("created_at"), "priority")


def gate_answers(*, user: User, period: Period) -> dict[tuple[date, str], int]:
    """Return what the quality gate said of images, in each step: the reason or warning, or ``""``.

    The first code speaks for an image, a refusal before a warning.
    """
    done = _answers(user)
    if reads_first(user=user):
        done = done.filter(image__study__status=Study.Status.REPORTED)
    rows = _of_period(done, period, "created_at").order_by()
    counted = rows.values_list(
        _step(period, "created_at"),
        Coalesce(F("reasons__0"), F("warnings__0"), Value("")),
    ).annotate(n=Count("*"))
    return {(step, code): count for step, code, count in counted}


def failures(*, user: User, period: Period) -> dict[tuple[str, str], int]:
    """Return how many analyses and deliveries failed, by kind and code."""
    found = {}
    for kind, model in (("analysis", Analysis), ("delivery", Delivery)):
        failed = model.objects.counted_for(user).filter(status=model.Status.FAILED)
        rows = _of_period(failed, period, "created_at").order_by()
        for code, count in rows.values_list("error_code").annotate(n=Count("*")):
            found[kind, code] = count
    return found


def _studies(user: User, period: Period) -> QuerySet[Study]:
    return _of_period(_own_studies(user), period, "created_at")


def _own_studies(user: User) -> QuerySet[Study]:
    return Study.objects.counted_for(user).exclude(pk__in=_fetched(user))


def _fetched(user: User) -> QuerySet[Any]:
    """Return the ids of what is not ``own_work``.

    There are few of these. Left out by id, the rest is counted from an index alone; asked of each
    row, it takes every row of the table, and of two more for an analysis.
    """
    return Study.objects.counted_for(user).exclude(own_work()).values("pk")


def _answers(user: User) -> QuerySet[Analysis]:
    done = Analysis.objects.counted_for(user).filter(status=Analysis.Status.SUCCEEDED)
    return done.exclude(image__in=StudyImage.objects.filter(study__in=_fetched(user)).values("pk"))


def _of_period(rows: QuerySet[Any], period: Period, field: str) -> QuerySet[Any]:
    return rows.filter(**{f"{field}__gte": period.start, f"{field}__lt": period.end})


def _step(period: Period, field: str) -> Trunc:
    return Trunc(field, period.step, output_field=DateField(), tzinfo=period.zone)


def _bin(field: str) -> Case:
    """Return the number of the bin, NULL without a probability."""
    return Case(
        When(**{f"{field}__gte": 1.0}, then=Value(BINS - 1)),
        default=Cast(Floor(F(field) * float(BINS)), IntegerField()),
    )


def _waits(rows: QuerySet[Any], took: Any, urgency: str) -> dict[int | None, Wait]:
    """Return the figures of each urgency and of all, from one reading of the rows."""
    minutes = Extract(ExpressionWrapper(took, output_field=DurationField()), "epoch") / 60.0
    timed = rows.annotate(minutes=minutes, of=F(urgency)).order_by().values_list("of", "minutes")
    found: dict[int | None, Wait] = {None: Wait(0, None, None)}
    try:
        sql, parameters = timed.query.sql_with_params()
    except EmptyResultSet:  # of somebody who sees nothing
        return found
    with connection.cursor() as cursor:
        cursor.execute(_WAITS.format(sql), parameters)
        for priority, is_total, *figures in cursor.fetchall():
            found[None if is_total else priority] = Wait(*figures)
    return found
