"""Asking for analyses, cancelling and repeating them: what people and services do with jobs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from accounts.tenancy import clinic_scope
from diagnosis import jobs
from diagnosis.models import Analysis, Study, StudyImage
from diagnosis.services.study_results import study_refresh
from diagnosis.services.violations import violated_constraint
from fracture_site.common.errors import ConflictError

logger = logging.getLogger(__name__)


@transaction.atomic
def analysis_enqueue(*, image: StudyImage, requested_by: User | None, priority: int) -> Analysis:
    """Promise one run of the model over an image; returns the open promise if there is one.

    The row is the job. A worker is woken up after commit, and a broker that is down changes
    nothing: the sweeper finds the row. The caller has checked permission and calls
    ``study_refresh`` at the end of its own change.
    """
    while True:
        try:
            with transaction.atomic():
                analysis = Analysis.objects.create(
                    clinic_id=image.clinic_id,
                    image=image,
                    requested_by=requested_by,
                    priority=priority,
                )
        except IntegrityError as error:
            # One open run an image. The open one may end before it can be read.
            if violated_constraint(error) != "analysis_one_open_per_image":
                raise
            is_open = Analysis.objects.filter(image=image, status__in=Analysis.OPEN).first()
            if is_open is not None:
                return is_open
        else:
            transaction.on_commit(partial(_announce, analysis, image), robust=True)
            return analysis


def _announce(analysis: Analysis, image: StudyImage) -> None:
    """Wake a worker; connect the request's id with the ids that the worker's lines will have."""
    logger.info(
        "analysis promised",
        extra={
            "analysis_id": analysis.pk,
            "image_id": image.pk,
            "study_id": image.study_id,
            "clinic_id": image.clinic_id,
        },
    )
    jobs.wake_workers()


@transaction.atomic
def analysis_request(*, actor: User, image: StudyImage) -> Analysis:
    """Queue another run over one image; returns the open one if there is one."""
    require(user=actor, action=Action.ANALYSIS_REQUEST, clinic_id=image.clinic_id)
    analysis = _request(actor, image, image.study)
    study_refresh(study_id=image.study_id)
    return analysis


@transaction.atomic
def study_analyses_request(*, actor: User, study: Study) -> list[Analysis]:
    """Queue another run over each image of a study that has none open."""
    require(user=actor, action=Action.ANALYSIS_REQUEST, clinic_id=study.clinic_id)
    requested = [_request(actor, image, study) for image in study.images.all()]
    study_refresh(study_id=study.pk)
    return requested


@transaction.atomic
def analysis_cancel(*, actor: User, clinic_id: UUID, analysis_id: UUID) -> None:
    """End an open job; for operators of the site, who see ids and states only.

    Raises:
        ConflictError: ``job_is_final``.
        PermissionDenied: ``actor`` does not operate the site.
    """
    with _operating(actor, clinic_id):
        if not jobs.job_cancel(Analysis, analysis_id):
            raise ConflictError("job_is_final")
        _audit_and_refresh(actor, "analysis.cancel", analysis_id)


@transaction.atomic
def analysis_requeue(*, actor: User, clinic_id: UUID, analysis_id: UUID) -> None:
    """Let a failed, cancelled or stuck job run again; for operators of the site.

    Raises:
        ConflictError: ``job_has_succeeded``, or ``analysis_is_open`` - the image has a newer one.
        PermissionDenied: ``actor`` does not operate the site.
    """
    with _operating(actor, clinic_id):
        try:
            with transaction.atomic():
                moved = jobs.job_requeue(Analysis, analysis_id)
        except IntegrityError as error:
            raise ConflictError("analysis_is_open") from error
        if not moved:
            raise ConflictError("job_has_succeeded")
        _audit_and_refresh(actor, "analysis.requeue", analysis_id)
    transaction.on_commit(jobs.wake_workers, robust=True)


def _request(actor: User, image: StudyImage, study: Study) -> Analysis:
    analysis = analysis_enqueue(image=image, requested_by=actor, priority=study.priority)
    audit_record(
        actor=actor,
        action=Action.ANALYSIS_REQUEST,
        clinic_id=image.clinic_id,
        target=analysis,
        patient_id=study.patient_id,
        image=str(image.pk),
    )
    return analysis


@contextmanager
def _operating(actor: User, clinic_id: UUID) -> Iterator[None]:
    """Act in a clinic as the operator of the site: ids and states, nothing of a patient."""
    if not (actor.is_active and actor.is_staff):
        raise PermissionDenied
    with clinic_scope(clinic_id):
        yield


def _audit_and_refresh(actor: User, action: str, analysis_id: UUID) -> None:
    analysis = Analysis.objects.select_related("image__study").get(pk=analysis_id)
    study = analysis.image.study
    audit_record(
        actor=actor,
        action=action,
        clinic_id=analysis.clinic_id,
        target=analysis,
        patient_id=study.patient_id,
    )
    study_refresh(study_id=study.pk)
