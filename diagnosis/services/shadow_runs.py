"""What a worker does with shadow versions: promise, claim, compute, store, give back, sweep.

Nothing here touches a study, a result or a report. A shadow run is promised in the transaction
that stores the active version's result, and taken when no analysis is due.
"""

import time
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from accounts.tenancy import clinic_scope
from diagnosis import jobs
from diagnosis.inference import AnalysisOutcome, analyse
from diagnosis.jobs import Claim
from diagnosis.models import Analysis, ModelVersion, ShadowRun, StudyImage
from diagnosis.services.integrity import served_bytes
from diagnosis.services.model_files import model_folder
from diagnosis.services.model_routing import shadow_versions


@transaction.atomic
def shadow_promise(*, analysis_id: UUID) -> None:
    """Promise a run of each shadow version that covers the image of a result.

    For new images: one that a version has read in shadow already is not read again.
    """
    analysis = Analysis.objects.select_related("image__study__patient").get(pk=analysis_id)
    runs = [
        ShadowRun(
            clinic_id=analysis.clinic_id,
            image=analysis.image,
            analysis=analysis,
            model_version=version,
        )
        for version in shadow_versions(analysis.image)
    ]
    if runs:
        ShadowRun.objects.bulk_create(runs, ignore_conflicts=True)
        transaction.on_commit(lambda: jobs.wake_workers(model=ShadowRun), robust=True)


def shadow_claim_next() -> Claim | None:
    """Take the oldest due shadow run; ``None`` while an analysis is due or another one runs."""
    return jobs.job_claim_next(ShadowRun)


def shadow_run(*, claim: Claim) -> None:
    """Run the shadow version over the claimed image and store what it says.

    A version that left the shadow meanwhile is not run: its promise is cancelled.

    Raises:
        UnreadableImageError: the bytes cannot be decoded.
        DamagedObjectError: the served copy's sha256 is not the stored one.
        ModelArtifactError: this process cannot use the version.
        OSError: storage did not answer.
    """
    with clinic_scope(claim.clinic_id):
        run = jobs.job_held(ShadowRun, claim).select_related("image", "model_version").first()
        if run is None:
            return
        if run.model_version.stage != ModelVersion.Stage.SHADOW:
            jobs.job_cancel(ShadowRun, claim.job_id)
            return
    data = served_bytes(run.image)
    with jobs.LeaseKeeper(ShadowRun, claim):
        began = time.perf_counter()
        outcome = analyse(
            data,
            folder=model_folder(run.model_version),
            photographed=run.image.capture == StudyImage.Capture.FILM_PHOTO,
        )
        took = 1000 * (time.perf_counter() - began)
    with clinic_scope(claim.clinic_id):
        jobs.job_succeed(
            ShadowRun,
            claim,
            verdict=outcome.verdict,
            probability=outcome.probability,
            boxes=_boxes(outcome),
            milliseconds=round(took, 1),
        )


def shadow_fail(*, claim: Claim, code: str) -> None:
    """End the run: trying again cannot help."""
    with clinic_scope(claim.clinic_id):
        jobs.job_fail(ShadowRun, claim, code=code)


def shadow_retry(*, claim: Claim, code: str) -> None:
    """Put the run back with a growing delay, or end it after its last attempt."""
    with clinic_scope(claim.clinic_id):
        jobs.job_retry(ShadowRun, claim, code=code)


def shadow_postpone(*, claim: Claim, code: str) -> None:
    """Put the run back until storage or database are up again."""
    with clinic_scope(claim.clinic_id):
        jobs.job_postpone(ShadowRun, claim, code=code)


def shadows_sweep() -> None:
    """End what used up its attempts, and wake one worker for what nobody takes."""
    lost: Sequence[tuple[UUID, UUID]] = list(
        jobs.jobs_used_up(ShadowRun).values_list("pk", "clinic_id")[:100]
    )
    for run_id, clinic_id in lost:
        with clinic_scope(clinic_id):
            jobs.job_end_lost(ShadowRun, run_id)
    if jobs.jobs_overdue(ShadowRun).exists():
        jobs.wake_workers(model=ShadowRun, fill=True)


def _boxes(outcome: AnalysisOutcome) -> list[list[float]]:
    return [
        [round(value, 1) for value in (found.x, found.y, found.width, found.height)]
        + [round(found.probability, 4)]
        for found in outcome.findings
    ]
