"""One study's result from its images' newest results: pure, versioned, the same for page and API.

Rules of ``RESULT_VERSION``:

* An image speaks by its newest succeeded analysis. A later failed run does not take a result
  away; it shows in the image's ``status`` and ``error_code``.
* Images are sorted worst first: definite, suspicion, negative, then cannot be assessed, then
  without result; within a verdict by probability.
* The study's verdict and probability are those of its worst image; with one model version that
  is the highest of all images. It is calibrated for one image and *not* for a study: the more
  views a study has, the more it overstates. ``probability_of`` says so (``highest_image``) until
  there is a calibration of whole studies. ``cannot_assess`` only when no image could be assessed.
  ``incomplete`` says that at least one image has no result (yet).
* Region is that of the worst image that has one; severity is the worst of all findings.
* Results of different model versions are compared by verdict (each by its own thresholds);
  ``mixed_models`` says so, each image names its model, and the study's ``model`` and
  ``thresholds`` are those of the worst image.
* The same break in two views is one entry of ``findings`` with several places; see
  ``study_findings``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from diagnosis.models import Analysis, Study, Verdict
from diagnosis.services.study_findings import FindingInput, ImageInput, study_findings
from diagnosis.services.study_urgency import Ranking, urgency_reasons, urgency_score

RESULT_VERSION = "1"
PROBABILITY_OF = "highest_image"

_WORST_FIRST = (Verdict.DEFINITE, Verdict.SUSPICION, Verdict.NEGATIVE, Verdict.CANNOT_ASSESS, "")
_SEVERITIES = ("", "mild", "moderate", "severe")


@dataclass(frozen=True, slots=True)
class ReportInput:
    """The newest signed version: when, and which images its result knew (``None``: unknown)."""

    signed_at: datetime
    image_ids: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class StudyInput:
    """Everything a study's derived columns depend on."""

    priority: int
    side: str
    images: tuple[ImageInput, ...]
    report: ReportInput | None
    is_late: bool = False
    is_prior: bool = False


@dataclass(frozen=True, slots=True)
class StudyAggregate:
    """The derived columns of a study."""

    status: str
    verdict: str
    probability: float | None
    region: str
    severity: str
    urgency: float
    result: dict[str, Any] | None
    new_image_after_report: bool


def study_aggregate(study: StudyInput) -> StudyAggregate:
    """Return what the study's row must say."""
    images = sorted(study.images, key=_badness)
    with_result = [image for image in images if image.verdict]
    worst = with_result[0] if with_result else None
    status = _status(study)
    unread = _has_image_after_report(study)
    ranking = Ranking(
        status=status,
        verdict=worst.verdict if worst else "",
        probability=worst.probability if worst else None,
        priority=study.priority,
        new_image_after_report=unread,
        is_late=study.is_late,
    )
    severity = max((image.severity for image in images), key=_severity_rank, default="")
    region = next((image.region for image in with_result if image.region), "")
    return StudyAggregate(
        status=status,
        verdict=ranking.verdict,
        probability=ranking.probability,
        region=region,
        severity=severity,
        urgency=urgency_score(ranking),
        result=(
            _result(study, images, worst, region, severity)
            | {"urgency_reasons": urgency_reasons(ranking)}
            if worst
            else None
        ),
        new_image_after_report=unread,
    )


def _badness(image: ImageInput) -> tuple[int, float]:
    return _WORST_FIRST.index(image.verdict), -(image.probability or 0.0)


def _severity_rank(severity: str) -> int:
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else 0


def _status(study: StudyInput) -> str:
    states = [image.status for image in study.images]
    if study.report is not None:
        return Study.Status.REPORTED
    if not states:
        return Study.Status.EMPTY
    if study.is_prior:  # fetched to be compared with: nobody waits for anything
        return Study.Status.PRIOR
    if Analysis.Status.RUNNING in states:
        return Study.Status.RUNNING
    if Analysis.Status.QUEUED in states:
        return Study.Status.QUEUED
    return Study.Status.READY if any(i.verdict for i in study.images) else Study.Status.FAILED


def _has_image_after_report(study: StudyInput) -> bool:
    report = study.report
    if report is None:
        return False
    if report.image_ids is None:
        return any(image.created_at > report.signed_at for image in study.images)
    return any(image.id not in report.image_ids for image in study.images)


def _result(
    study: StudyInput,
    images: Sequence[ImageInput],
    worst: ImageInput,
    region: str,
    severity: str,
) -> dict[str, Any]:
    models = {image.model["sha256"] for image in images if image.model}
    return {
        "version": RESULT_VERSION,
        "verdict": worst.verdict,
        "probability": worst.probability,
        "probability_of": PROBABILITY_OF,
        "region": region,
        "severity": severity,
        "thresholds": worst.thresholds,
        "model": worst.model,
        "mixed_models": len(models) > 1,
        "incomplete": any(not image.verdict for image in images),
        "images": [_image(image) for image in images],
        "findings": study_findings(images, side=study.side),
        "timings_ms": _timings(images),
    }


def _image(image: ImageInput) -> dict[str, Any]:
    return {
        "id": image.id,
        "status": image.status,
        "error_code": image.error_code,
        "verdict": image.verdict or None,
        "probability": image.probability,
        "region": image.region,
        "severity": image.severity,
        "warnings": list(image.warnings),
        "reasons": list(image.reasons),
        "model": image.model,
        "thresholds": image.thresholds,
        "heatmap": image.has_heatmap,
        "timings_ms": image.timings_ms,
        "findings": [_finding(finding) for finding in image.findings],
    }


def _finding(finding: FindingInput) -> dict[str, Any]:
    return {
        "id": finding.id,
        "box": [round(side, 1) for side in finding.box],
        "probability": finding.probability,
        "certainty": finding.certainty,
        "type": finding.fracture_type,
        "displacement": finding.displacement,
        "severity": finding.severity,
    }


def _timings(images: Sequence[ImageInput]) -> dict[str, float]:
    """Return the sum over all images for each stage."""
    total: dict[str, float] = {}
    for image in images:
        for stage, milliseconds in image.timings_ms.items():
            total[stage] = round(total.get(stage, 0.0) + milliseconds, 2)
    return total
