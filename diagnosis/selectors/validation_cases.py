"""What a model version said and what the signed reports say, study by study.

For a worker: rows of the clinic whose scope is open, of studies that arrived in a span of days to
be read; what was fetched to be compared with is none of them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from accounts.models import Clinic, User
from diagnosis.models import Analysis, ModelVersion, ShadowRun, SiteValidation, StudyImage, Verdict
from diagnosis.models.studies import own_work
from diagnosis.selectors.dashboard.period import Period
from diagnosis.selectors.lookup import get_or_404
from diagnosis.selectors.reference import reports_in_force_of
from diagnosis.selectors.study_warnings import view_of

# Why a study is not compared; the first that fits counts.
NOT_REPORTED: Final = "not_reported"
UNDECIDED: Final = "undecided"
NO_RESULT: Final = "no_result"
CANNOT_ASSESS: Final = "cannot_assess"
LEFT_OUT: Final = (NOT_REPORTED, UNDECIDED, NO_RESULT, CANNOT_ASSESS)

_WORST_FIRST: Final = (Verdict.DEFINITE, Verdict.SUSPICION, Verdict.NEGATIVE)
_AGES: Final = ((18, "0-17"), (40, "18-39"), (65, "40-64"), (200, "65+"))


@dataclass(frozen=True, slots=True)
class Said:
    """What the version said of one image."""

    verdict: str
    probability: float | None
    region: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ValidationCase:
    """One compared study: the answer of its worst image, and what its report says."""

    study_id: UUID
    patient_id: UUID
    fractured: bool
    verdict: str
    probability: float
    region: str
    age: str
    hardware: str
    view: str


@dataclass(slots=True)
class ValidationCases:
    """The compared studies, and how many were left out and why."""

    compared: list[ValidationCase] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def studies(self) -> int:
        """How many studies arrived."""
        return len(self.compared) + self.left_out.total()


def site_validations(*, user: User) -> QuerySet[SiteValidation]:
    """Return the clinic's validations, newest first."""
    rows = SiteValidation.objects.for_user(user).select_related("model_version", "requested_by")
    return rows.order_by("-created_at", "id")


def site_validation_get(*, user: User, pk: UUID) -> SiteValidation:
    """Return one validation.

    Raises:
        Http404: there is none in the current clinic.
    """
    return get_or_404(site_validations(user=user), pk)


def validation_cases(
    *, clinic: Clinic, version: ModelVersion, first: date, last: date
) -> ValidationCases:
    """Return every study that arrived from ``first`` to ``last``, compared or left out.

    A study's answer is that of its worst image, as everywhere. Each of its images needs a result
    of this version, as the active one or in shadow; else another part of the study might have
    spoken. An image that it could not assess is passed over while there is another one.
    """
    period = Period(first, last, ZoneInfo(clinic.time_zone))
    images = _images(clinic, period)
    said = _said(clinic, version, period)
    answers = dict(
        reports_in_force_of(clinic_id=clinic.pk)
        .filter(report__study__created_at__gte=period.start)
        .filter(report__study__created_at__lt=period.end)
        .values_list("report__study_id", "answer")
    )
    found = ValidationCases()
    for study_id, rows in images.items():
        answer = answers.get(study_id)
        results = [said.get(row["id"]) for row in rows]
        reason = _reason(answer, results)
        if reason:
            found.left_out[reason] += 1
        else:
            known = [result for result in results if result is not None]
            found.compared.append(_case(rows, known, answer == "yes", period.zone))
    return found


def _reason(answer: str | None, results: Sequence[Said | None]) -> str:
    if answer is None:
        return NOT_REPORTED
    if answer not in {"yes", "no"}:
        return UNDECIDED
    if None in results:
        return NO_RESULT
    assessed = [result for result in results if result and result.probability is not None]
    return "" if assessed else CANNOT_ASSESS


def _case(
    rows: Sequence[Mapping[str, Any]],
    results: Iterable[Said],
    fractured: bool,  # noqa: FBT001 - one private call
    zone: ZoneInfo,
) -> ValidationCase:
    seen = list(results)
    assessed = [(result, result.probability) for result in seen if result.probability is not None]
    worst, probability = min(assessed, key=lambda each: _badness(each[0]))
    first = rows[0]
    arrived: datetime = first["study__created_at"]
    views = sorted({view_of(row["view_position"]) for row in rows})
    return ValidationCase(
        study_id=first["study_id"],
        patient_id=first["study__patient_id"],
        fractured=fractured,
        verdict=worst.verdict,
        probability=probability,
        region=worst.region,
        age=first["study__erased_age"]
        or age_band(first["study__patient__birth_date"], arrived.astimezone(zone).date()),
        hardware="with" if any("hardware" in result.warnings for result in seen) else "without",
        view="" if "" in views else "+".join(views),
    )


def _badness(said: Said) -> tuple[int, float]:
    return _WORST_FIRST.index(Verdict(said.verdict)), -(said.probability or 0.0)


def age_band(born: date | None, day: date) -> str:
    """Return the group of ages that a person belonged to on a day, ``""`` when unknown."""
    if born is None or born > day:
        return ""
    years = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    return next((name for below, name in _AGES if years < below), "")


def _images(clinic: Clinic, period: Period) -> dict[UUID, list[dict[str, Any]]]:
    """Return the images of the period's studies; a study without images has nothing to say."""
    rows = StudyImage.objects.filter(
        own_work("study"),
        clinic=clinic,
        study__created_at__gte=period.start,
        study__created_at__lt=period.end,
    ).order_by("study_id", "position", "id")
    found: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    columns = (
        "id", "study_id", "view_position", "study__created_at", "study__patient_id",
        "study__patient__birth_date", "study__erased_age",
    )  # fmt: skip
    for row in rows.values(*columns):
        found[row["study_id"]].append(row)
    return found


def _said(clinic: Clinic, version: ModelVersion, period: Period) -> dict[UUID, Said]:
    """Return what the version said of each image; its own newest analysis before a shadow run."""
    return {
        image: said
        for source in (_shadow_runs(clinic, version, period), _analyses(clinic, version, period))
        for image, said in source
    }


def _analyses(clinic: Clinic, version: ModelVersion, period: Period) -> Iterator[tuple[UUID, Said]]:
    rows = _of(Analysis.objects.filter(status=Analysis.Status.SUCCEEDED), clinic, version, period)
    columns = ("image_id", "verdict", "probability", "region", "warnings")
    for image, verdict, probability, region, warnings in rows.values_list(*columns):
        yield image, Said(verdict, probability, region, tuple(warnings))


def _shadow_runs(
    clinic: Clinic, version: ModelVersion, period: Period
) -> Iterator[tuple[UUID, Said]]:
    """What a shadow run does not say itself (region, metal) is what the active version said."""
    rows = _of(ShadowRun.objects.filter(status=ShadowRun.Status.SUCCEEDED), clinic, version, period)
    columns = ("image_id", "verdict", "probability", "analysis__region", "analysis__warnings")
    for image, verdict, probability, region, warnings in rows.values_list(*columns):
        yield image, Said(verdict, probability, region, tuple(warnings))


def _of(
    rows: QuerySet[Any], clinic: Clinic, version: ModelVersion, period: Period
) -> QuerySet[Any]:
    return rows.filter(
        clinic=clinic,
        model_version=version,
        image__study__created_at__gte=period.start,
        image__study__created_at__lt=period.end,
    ).order_by("created_at", "id")
