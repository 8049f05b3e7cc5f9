"""What a worker does with a claimed analysis: read, compute, store, give back, sweep.

Each function opens the clinic's scope by itself, for as long as one statement or one change
takes; no transaction is open while the model computes.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from uuid import UUID

from django.db import OperationalError

from accounts.audit import audit_record
from accounts.tenancy import clinic_scope
from diagnosis import jobs
from diagnosis.inference import AnalysisOutcome, FindingOutcome, analyse, refusal
from diagnosis.jobs import Claim
from diagnosis.models import Analysis, Event, Finding, ModelVersion, Study, StudyImage
from diagnosis.services.deliveries import deliveries_promise
from diagnosis.services.dicom_results import result_digest
from diagnosis.services.integrity import served_bytes
from diagnosis.services.model_files import model_folder, model_usable
from diagnosis.services.model_routing import identity_of, model_route
from diagnosis.services.shadow_runs import shadow_promise
from diagnosis.services.study_results import study_begun, study_refresh
from diagnosis.storage import object_delete, object_put

__all__ = [
    "ModelResult",
    "NoActiveModelError",
    "SweepReport",
    "analyses_sweep",
    "analysis_claim_next",
    "analysis_compute",
    "analysis_fail",
    "analysis_postpone",
    "analysis_release",
    "analysis_retry",
    "analysis_succeed",
    "models_ready",
]
logger = logging.getLogger(__name__)

WAKE_AT_MOST = 8


class NoActiveModelError(Exception):
    """No version is active; the job waits until one is."""


@dataclass(frozen=True, slots=True)
class ModelResult:
    """What a registered version says about one image."""

    version: ModelVersion
    outcome: AnalysisOutcome


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep did."""

    ended: int
    woken: int


def models_ready() -> bool:
    """Tell whether this process may take jobs: it can run every active version.

    Asked before each batch of jobs, so a newly activated version is fetched and loaded before the
    first image that it reads is claimed.
    """
    active = list(ModelVersion.objects.filter(stage=ModelVersion.Stage.ACTIVE))
    return bool(active) and all(model_usable(version) for version in active)


def analysis_claim_next() -> Claim | None:
    """Take the most urgent due analysis of any clinic; ``None`` when there is none."""
    return jobs.job_claim_next(Analysis)


def analysis_compute(*, claim: Claim) -> ModelResult | None:
    """Run the active model that covers the claimed image; ``None`` when the claim is stale.

    Raises:
        NoActiveModelError: no version is active any more.
        DamagedObjectError: the served copy's sha256 is not the stored one.
        OSError: storage did not answer, ``FileNotFoundError`` when it has no such object.
    """
    with clinic_scope(claim.clinic_id):
        analysis = jobs.job_held(Analysis, claim).select_related("image__study__patient").first()
        if analysis is None:
            return None
        image = analysis.image
        route = model_route(image)
    if route is None:
        raise NoActiveModelError
    with _may_be_late(), clinic_scope(claim.clinic_id):
        study_begun(study_id=image.study_id)
    data = served_bytes(image)
    if route.refusal:
        return ModelResult(route.version, refusal(identity_of(route.version), route.refusal))
    with jobs.LeaseKeeper(Analysis, claim):
        outcome = analyse(
            data,
            folder=model_folder(route.version),
            photographed=image.capture == StudyImage.Capture.FILM_PHOTO,
        )
    return ModelResult(route.version, outcome)


def analysis_succeed(*, claim: Claim, result: ModelResult) -> bool:
    """Store the result with its findings and heatmap; ``False`` when the claim is stale.

    The heatmap is stored before the row points to it, and removed again when nothing does.

    Raises:
        OSError: storage did not take the heatmap.
    """
    outcome, heatmap_key = result.outcome, ""
    if outcome.heatmap_png is not None:
        heatmap_key = object_put(
            data=outcome.heatmap_png, kind="heatmaps", content_type="image/png"
        )
    stored = False
    try:
        with clinic_scope(claim.clinic_id):
            stored = _store(claim, result, heatmap_key)
    finally:
        if heatmap_key and not stored:
            with suppress(OSError):  # then the collector of orphans removes it
                object_delete(heatmap_key)
    return stored


def analysis_fail(*, claim: Claim, code: str) -> bool:
    """End the analysis with a stable code: trying again cannot help."""
    with clinic_scope(claim.clinic_id):
        ended = jobs.job_fail(Analysis, claim, code=code)
        if ended:
            _note(claim.job_id)
    return ended


def analysis_retry(*, claim: Claim, code: str) -> bool:
    """Put the analysis back with a growing delay, or end it after its last attempt."""
    with clinic_scope(claim.clinic_id):
        moved = jobs.job_retry(Analysis, claim, code=code)
    if moved:
        _show(claim)
    return moved


def analysis_postpone(*, claim: Claim, code: str) -> bool:
    """Put the analysis back until storage or database are up again; no attempt is used."""
    with clinic_scope(claim.clinic_id):
        moved = jobs.job_postpone(Analysis, claim, code=code)
    if moved:
        _show(claim)
    return moved


def analysis_release(*, claim: Claim) -> bool:
    """Give the analysis back untouched: this worker has no usable model."""
    with clinic_scope(claim.clinic_id):
        moved = jobs.job_release(Analysis, claim)
    if moved:
        _show(claim)
    return moved


def analyses_sweep() -> SweepReport:
    """End what used up its attempts, and wake workers for what nobody takes.

    Any number may run at the same time: ending is a conditional update, a wake-up is a hint.
    """
    lost = list(jobs.jobs_used_up(Analysis).values_list("pk", "clinic_id")[:100])
    ended = sum(_end_lost(analysis_id, clinic_id) for analysis_id, clinic_id in lost)
    overdue = jobs.jobs_overdue(Analysis).values_list("pk")[:WAKE_AT_MOST].count()
    if overdue:
        jobs.wake_workers(count=overdue, fill=True)
    return SweepReport(ended=ended, woken=overdue)


def _end_lost(analysis_id: UUID, clinic_id: UUID) -> bool:
    with clinic_scope(clinic_id):
        ended = jobs.job_end_lost(Analysis, analysis_id)
        if ended:
            _note(analysis_id)
    return ended


def _store(claim: Claim, result: ModelResult, heatmap_key: str) -> bool:
    outcome, model = result.outcome, result.outcome.model
    stored = jobs.job_succeed(
        Analysis,
        claim,
        model_version=result.version,
        verdict=outcome.verdict,
        probability=outcome.probability,
        region=outcome.region,
        region_probability=outcome.region_probability,
        severity=outcome.severity,
        reasons=list(outcome.reasons),
        warnings=list(outcome.warnings),
        thresholds={
            "suspicion": model.threshold_suspicion,
            "definite": model.threshold_definite,
        },
        preprocessing_version=model.preprocessing_version,
        calibration_id=model.calibration_id,
        timings_ms=outcome.timings_ms,
        heatmap_key=heatmap_key,
    )
    if stored:
        Finding.objects.bulk_create(_finding(claim, finding) for finding in outcome.findings)
        _note(claim.job_id)
        shadow_promise(analysis_id=claim.job_id)
    return stored


def _finding(claim: Claim, finding: FindingOutcome) -> Finding:
    return Finding(
        clinic_id=claim.clinic_id,
        analysis_id=claim.job_id,
        x=finding.x,
        y=finding.y,
        width=finding.width,
        height=finding.height,
        probability=finding.probability,
        certainty=finding.certainty,
        fracture_type=finding.fracture_type,
        displacement=finding.displacement,
        severity=finding.severity,
    )


def _show(claim: Claim) -> None:
    """Bring the study up to date after a move that must not fail with it."""
    with _may_be_late(), clinic_scope(claim.clinic_id):
        _note(claim.job_id)


@contextmanager
def _may_be_late() -> Iterator[None]:
    """Go on while somebody locks the study's row; its status is late until the analysis ends."""
    try:
        yield
    except OperationalError as error:
        logger.warning("a study's status is late", extra={"code": type(error).__name__})


def _note(analysis_id: UUID) -> None:
    """Bring the study's result up to date, and audit what the system itself has ended."""
    analysis = Analysis.objects.select_related("image__study").get(pk=analysis_id)
    study = analysis.image.study
    if not analysis.is_open:
        audit_record(
            actor=None,
            action=f"analysis.{analysis.status}",
            clinic_id=analysis.clinic_id,
            target=analysis,
            patient_id=study.patient_id,
            code=analysis.error_code,
        )
    study = study_refresh(study_id=study.pk)
    if study.status == Study.Status.READY and not analysis.is_open:
        subject = result_digest(study.result)
        deliveries_promise(study=study, event=Event.RESULT_READY, subject=subject)
