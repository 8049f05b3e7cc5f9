"""Keeping a study's status, verdict, result and urgency in line with its images and report."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Prefetch
from django.utils import timezone

from diagnosis.models import Analysis, Finding, ReportVersion, Study, StudyImage
from diagnosis.services.alerts import alert_consider
from diagnosis.services.claims import claims_drop
from diagnosis.services.study_aggregation import (
    RESULT_VERSION,
    ReportInput,
    StudyInput,
    study_aggregate,
)
from diagnosis.services.study_findings import FindingInput, ImageInput

DERIVED = (
    "status",
    "verdict",
    "probability",
    "region",
    "severity",
    "urgency",
    "result",
    "result_version",
    "new_image_after_report",
)


@transaction.atomic
def study_refresh(*, study_id: UUID) -> Study:
    """Recompute everything derived of one study; call it at the end of whatever changed it.

    Runs in the caller's transaction and clinic scope. The study's row is locked meanwhile,
    so the last of several simultaneous changes sees all of them; the lock lets foreign keys
    pass (``NO KEY``), or two uploads to one study would wait for each other for ever.
    """
    study = Study.objects.select_for_update(no_key=True).defer("search").get(pk=study_id)
    aggregate = study_aggregate(_study_input(study))
    changed = []
    for name in DERIVED:
        value = RESULT_VERSION if name == "result_version" else getattr(aggregate, name)
        if getattr(study, name) != value:
            setattr(study, name, value)
            changed.append(name)
    if changed:
        study.save(update_fields=[*changed, "updated_at"])
    if "status" in changed and study.status == Study.Status.REPORTED:
        claims_drop(study)
    alert_consider(study)
    return study


def study_begun(*, study_id: UUID) -> None:
    """Show that an image is being analysed.

    Of a study without any result yet that is all there is to change, so one statement does it.
    """
    waiting = Study.objects.filter(
        pk=study_id, status=Study.Status.QUEUED, result__isnull=True, new_image_after_report=False
    )
    if not waiting.update(status=Study.Status.RUNNING, updated_at=timezone.now()):
        study_refresh(study_id=study_id)


def _study_input(study: Study) -> StudyInput:
    newest_first = (
        Analysis.objects.select_related("model_version")
        .prefetch_related("findings")
        .order_by("-created_at", "-id")
    )
    images = study.images.prefetch_related(Prefetch("analyses", newest_first))
    return StudyInput(
        priority=study.priority,
        side=study.side,
        images=tuple(_image_input(image) for image in images),
        report=_report_input(study),
        is_late=study.is_late,
        is_prior=study.fetched_from_id is not None,
    )


def _image_input(image: StudyImage) -> ImageInput:
    analyses = list(image.analyses.all())
    newest = analyses[0] if analyses else None
    result = next((a for a in analyses if a.status == Analysis.Status.SUCCEEDED), None)
    values = _result_values(result) if result else {}
    return ImageInput(
        id=str(image.pk),
        width=image.width,
        height=image.height,
        created_at=image.created_at,
        status=newest.status if newest else "",
        error_code=newest.error_code if newest else "",
        view_position=image.view_position,
        laterality=image.laterality,
        warnings=tuple(dict.fromkeys([*image.warnings, *(result.warnings if result else ())])),
        **values,
    )


def _result_values(result: Analysis) -> dict[str, Any]:
    model = result.model_version
    return {
        "verdict": result.verdict,
        "probability": result.probability,
        "region": result.region,
        "severity": result.severity,
        "reasons": tuple(result.reasons),
        "findings": tuple(_finding_input(finding) for finding in result.findings.all()),
        "model": (
            {"name": model.name, "version": model.version, "sha256": model.sha256}
            if model
            else None
        ),
        "thresholds": result.thresholds,
        "has_heatmap": bool(result.heatmap_key),
        "timings_ms": result.timings_ms,
    }


def _finding_input(finding: Finding) -> FindingInput:
    return FindingInput(
        id=str(finding.pk),
        box=(finding.x, finding.y, finding.width, finding.height),
        probability=finding.probability,
        certainty=finding.certainty,
        fracture_type=finding.fracture_type,
        displacement=finding.displacement,
        severity=finding.severity,
    )


def _report_input(study: Study) -> ReportInput | None:
    signed = (
        ReportVersion.objects.filter(
            report__study=study, status=ReportVersion.Status.SIGNED, signed_at__isnull=False
        )
        .order_by("-number")
        .values_list("signed_at", "result", "withdrawal")
        .first()
    )
    signed_at, result, withdrawal = signed or (None, None, None)
    if signed_at is None or withdrawal is not None:
        return None
    images = result.get("images") if isinstance(result, dict) else None
    known = frozenset(str(i["id"]) for i in images) if images is not None else None
    return ReportInput(signed_at=signed_at, image_ids=known)
