"""Which results and reports a recalled model made, and who was told."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F, Prefetch, QuerySet

from accounts.models import User
from diagnosis.models import (
    Analysis,
    ModelVersion,
    RecallNotice,
    Report,
    ReportVersion,
    Study,
    Verdict,
)

Names = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class RecallRow:
    """One result of the version, with the newest signed report of its study if there is one."""

    study_id: UUID
    image_id: UUID
    analysis_id: UUID
    verdict: str
    probability: float | None
    finished_at: datetime | None
    report_id: UUID | None
    report_number: int | None
    signed_at: datetime | None
    signer: str

    @property
    def verdict_label(self) -> str:
        """The verdict in the words of the screens."""
        return str(Verdict(self.verdict).label)


def recalled_names() -> Names:
    """Return name and version of everything that was recalled; usually nothing."""
    rows = ModelVersion.objects.filter(recalled_at__isnull=False)
    return frozenset(rows.values_list("name", "version"))


def result_is_recalled(result: Mapping[str, Any] | None, recalled: Names) -> bool:
    """Tell whether an image of a stored study result was read by a recalled version."""
    if not recalled or not result:
        return False
    models = [image.get("model") for image in result.get("images", ())]
    return any(model and (model["name"], model["version"]) in recalled for model in models)


def study_is_recalled(study: Study) -> bool:
    """Tell whether the study's result or its newest signed report rests on a recalled version.

    A report keeps its mark until it is amended: it was signed with that result before the eyes.
    """
    recalled = recalled_names()
    if not recalled:
        return False
    if result_is_recalled(study.result, recalled):
        return True
    report = getattr(study, "report", None)
    return report is not None and report_is_recalled(report, recalled)


def report_is_recalled(report: Report, recalled: Names | None = None) -> bool:
    """Tell whether the newest signed version of a report was signed with such a result."""
    recalled = recalled_names() if recalled is None else recalled
    if not recalled:
        return False
    signed = report.versions.filter(status=ReportVersion.Status.SIGNED).order_by("-number")
    return result_is_recalled(signed.values_list("result", flat=True).first(), recalled)


def recall_results(*, user: User, version: ModelVersion) -> QuerySet[Analysis]:
    """Return the clinic's results of a version, newest first."""
    return results_of(version).filter(pk__in=Analysis.objects.for_user(user).values("pk"))


def results_of(version: ModelVersion) -> QuerySet[Analysis]:
    """Return the results of a version in the clinic whose scope is open."""
    signed = ReportVersion.objects.filter(status=ReportVersion.Status.SIGNED)
    versions = Prefetch("image__study__report__versions", signed.order_by("-number"))
    return (
        Analysis.objects.filter(model_version=version, status=Analysis.Status.SUCCEEDED)
        .select_related("image__study__report")
        .prefetch_related(versions)
        .defer("image__study__search")
        .order_by(F("finished_at").desc(), "id")
    )


def recall_rows(results: QuerySet[Analysis]) -> Iterator[RecallRow]:
    """Yield what a list or a CSV file shows of each result; ids only, nothing of a patient."""
    for analysis in results:
        study = analysis.image.study
        report = getattr(study, "report", None)
        signed = next(iter(report.versions.all()), None) if report else None
        yield RecallRow(
            study_id=study.pk,
            image_id=analysis.image_id,
            analysis_id=analysis.pk,
            verdict=analysis.verdict,
            probability=analysis.probability,
            finished_at=analysis.finished_at,
            report_id=report.pk if report and signed else None,
            report_number=signed.number if signed else None,
            signed_at=signed.signed_at if signed else None,
            signer=signed.signer_name if signed else "",
        )


def was_told_of_recall(*, user: User, version: ModelVersion) -> bool:
    """Tell whether the person has a notice about this version in the current clinic."""
    notices = RecallNotice.objects.for_user(user)
    return bool(notices.filter(user=user, change__model_version=version).exists())


def recall_notices_unseen(*, user: User) -> QuerySet[RecallNotice]:
    """Return what the person has not confirmed to have read, in the current clinic."""
    return (
        RecallNotice.objects.for_user(user)
        .filter(user=user, seen_at__isnull=True)
        .select_related("change__model_version")
    )
