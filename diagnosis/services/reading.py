"""Audited reads: who opened which patient, study, image and report, and whom lists told of."""

import hashlib
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from django.core.cache import cache
from django.db import transaction
from redis.exceptions import RedisError

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from diagnosis.models import Patient, Report, Study, StudyImage
from diagnosis.services.first_reads import require_first_read

# A page asks for the same picture again and again: one event says it for this long.
QUIET_SECONDS: Final = 300
_REPEATED: Final = frozenset({"rendition", "thumbnail", "heatmap", "full", "data", "photo"})


@transaction.atomic
def study_open(*, actor: User, study: Study, polled: bool = False) -> None:
    """Record that a person opened a study; call it once an opening, not for each poll.

    ``polled`` is for programs, which ask again until there is a result: they are
    recorded once in five minutes.
    """
    require(user=actor, action=Action.STUDY_VIEW, clinic_id=study.clinic_id)
    key = _key(actor, study.pk, "study")
    if polled and _is_quiet(key):
        return
    audit_record(
        actor=actor,
        action="study.open",
        clinic_id=study.clinic_id,
        target=study,
        patient_id=study.patient_id,
    )
    if polled:
        transaction.on_commit(lambda: _be_quiet(key), robust=True)


@transaction.atomic(savepoint=False)  # one row: nothing to undo by halves
def patient_open(*, actor: User, patient: Patient) -> None:
    """Record that a person opened a patient's data; once in five minutes."""
    require(user=actor, action=Action.PATIENT_VIEW, clinic_id=patient.clinic_id)
    key = _key(actor, patient.pk, "patient")
    if _is_quiet(key):
        return
    audit_record(
        actor=actor,
        action="patient.open",
        clinic_id=patient.clinic_id,
        target=patient,
        patient_id=patient.pk,
    )
    transaction.on_commit(lambda: _be_quiet(key), robust=True)


@transaction.atomic(savepoint=False)  # one row: nothing to undo by halves
def list_open(*, actor: User, clinic_id: UUID, noun: str, patients: Iterable[UUID]) -> None:
    """Record of whom a list told; the same list once in five minutes, for lists are polled.

    The caller has required the right. A list of one patient stands in that patient's trail,
    one of several names them all.
    """
    named = sorted({str(pk) for pk in patients})
    digest = hashlib.sha256(" ".join(named).encode()).hexdigest()
    key = _key(actor, clinic_id, f"{noun}/{digest}")
    if _is_quiet(key):
        return
    audit_record(
        actor=actor,
        action=f"{noun}.list",
        clinic_id=clinic_id,
        patient_id=UUID(named[0]) if len(named) == 1 else None,
        patients=named,
    )
    transaction.on_commit(lambda: _be_quiet(key), robust=True)


@transaction.atomic
def report_open(*, actor: User, report: Report) -> None:
    """Record that a person read a report's texts; once in five minutes."""
    require(user=actor, action=Action.REPORT_VIEW, clinic_id=report.clinic_id)
    require_first_read(actor=actor, study=report.study)
    key = _key(actor, report.pk, "report")
    if _is_quiet(key):
        return
    audit_record(
        actor=actor,
        action="report.open",
        clinic_id=report.clinic_id,
        target=report,
        patient_id=report.study.patient_id,
    )
    transaction.on_commit(lambda: _be_quiet(key), robust=True)


@transaction.atomic
def image_open(*, actor: User, image: StudyImage, what: str) -> None:
    """Record that a person looked at an image; call it before the bytes are served.

    ``what`` is ``rendition``, ``thumbnail``, ``heatmap``, ``photo`` (of a film), ``full`` (the
    viewer's full depth),
    ``data`` (recorded once in five minutes a person and image) or ``file`` (recorded each time).
    """
    require(user=actor, action=Action.STUDY_VIEW, clinic_id=image.clinic_id)
    if what == "heatmap":
        require_first_read(actor=actor, study=image.study)
    key = _key(actor, image.pk, what)
    if what in _REPEATED and _is_quiet(key):
        return
    audit_record(
        actor=actor,
        action="image.open",
        clinic_id=image.clinic_id,
        target=image,
        patient_id=image.study.patient_id,
        what=what,
        study=str(image.study_id),
    )
    if what in _REPEATED:
        transaction.on_commit(lambda: _be_quiet(key), robust=True)


def _key(actor: User, pk: UUID, what: str) -> str:
    return f"opened/{actor.pk}/{getattr(actor, 'acting_token_id', None)}/{pk}/{what}"


def _is_quiet(key: str) -> bool:
    try:
        return cache.get(key) is not None
    except RedisError:  # without the cache each read is recorded
        return False


def _be_quiet(key: str) -> None:
    cache.set(key, 1, QUIET_SECONDS)
