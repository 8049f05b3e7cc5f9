"""All data of one patient as one file: asking for it, making it, handing it out, removing it."""

import hashlib
import tempfile
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import Clinic, User
from accounts.policy import Action, allowed_actions, require
from accounts.tenancy import clinic_scope
from diagnosis import jobs
from diagnosis.jobs import Claim
from diagnosis.models import Patient, PatientExport
from diagnosis.services.patient_export_files import DamagedFileError, export_write
from diagnosis.services.patients import patient_locked
from diagnosis.services.violations import violated_constraint
from diagnosis.storage import object_delete, object_put_file
from fracture_site.common.errors import ConflictError

IN_MEMORY = 32 * 2**20


@transaction.atomic
def patient_export_request(*, actor: User, patient: Patient) -> PatientExport:
    """Promise to make the file; the caller has confirmed who asks.

    Raises:
        ConflictError: ``export_open``: one is being made; ``patient_merged``.
    """
    require(user=actor, action=Action.PATIENT_EXPORT, clinic_id=patient.clinic_id)
    locked = patient_locked(patient)
    try:
        with transaction.atomic():
            export = PatientExport.objects.create(
                clinic_id=locked.clinic_id, patient=locked, requested_by=actor
            )
    except IntegrityError as error:
        if violated_constraint(error) != "patient_export_one_open":
            raise
        raise ConflictError(
            "export_open", _("A file of this patient is being made already.")
        ) from error
    _audit(actor, "patient.export_request", export)
    transaction.on_commit(lambda: jobs.wake_workers(model=PatientExport), robust=True)
    return export


@transaction.atomic
def patient_export_hand_out(*, actor: User, export: PatientExport) -> str:
    """Record that the file leaves and return its key; the caller has confirmed who asks.

    Raises:
        ConflictError: ``export_not_ready``, also after it has expired.
    """
    require(user=actor, action=Action.PATIENT_EXPORT, clinic_id=export.clinic_id)
    ready = PatientExport.objects.filter(
        pk=export.pk, status=PatientExport.Status.SUCCEEDED, expires_at__gt=Now()
    ).exclude(object_key="")
    if not ready.update(downloads=F("downloads") + 1):
        raise ConflictError(
            "export_not_ready", _("This file is not there (any more). Ask for a new one.")
        )
    _audit(actor, "patient.export", export)
    return str(ready.values_list("object_key", flat=True).get())


def patient_export_claim_next() -> Claim | None:
    """Take the file that waits longest; ``None`` when there is none."""
    return jobs.job_claim_next(PatientExport)


def patient_export_run(*, claim: Claim) -> None:
    """Make and store the file; nothing happens when the claim is stale by now.

    Raises:
        OSError: the store does not answer.
    """
    with clinic_scope(claim.clinic_id):
        held = jobs.job_held(PatientExport, claim)
        export = held.select_related("patient", "clinic", "requested_by").first()
        if export is None:
            return
        rights = allowed_actions(user=export.requested_by, clinic_id=export.clinic_id)
        if Action.PATIENT_EXPORT not in rights or export.patient.erased_at is not None:
            jobs.job_fail(PatientExport, claim, code="permission_denied")
            return
    told = 0

    def progress(percent: int) -> None:
        nonlocal told
        if percent >= told + 5:
            told = percent
            with clinic_scope(claim.clinic_id):
                jobs.job_held(PatientExport, claim).update(progress=min(percent, 99))

    with (
        jobs.LeaseKeeper(PatientExport, claim),
        tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as stream,
    ):
        try:
            export_write(export=export, stream=stream, progress=progress)  # type: ignore[arg-type]
        except DamagedFileError:
            _end(claim, code="damaged_object")
            return
        size = stream.tell()
        stream.seek(0)
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        key = object_put_file(stream=stream, kind="exports", content_type="application/zip")  # type: ignore[arg-type]
    stored = False
    try:
        with clinic_scope(claim.clinic_id):
            stored = jobs.job_succeed(
                PatientExport,
                claim,
                object_key=key,
                sha256=sha256,
                size_bytes=size,
                progress=100,
                expires_at=timezone.now() + timedelta(hours=settings.EXPORT_KEEP_HOURS),
            )
            if stored:
                _audit(None, "patient.export_made", export)
    finally:
        if not stored:  # erased or taken over meanwhile
            object_delete(key)


def patient_export_retry(*, claim: Claim, code: str) -> None:
    """Put it back with a growing delay, or end it after its last attempt."""
    with clinic_scope(claim.clinic_id):
        jobs.job_retry(PatientExport, claim, code=code)


def patient_export_postpone(*, claim: Claim, code: str) -> None:
    """Put it back until the part that it needs answers again."""
    with clinic_scope(claim.clinic_id):
        jobs.job_postpone(PatientExport, claim, code=code)


def patient_exports_sweep() -> None:
    """End what used up its attempts, wake a worker for what waits."""
    lost = jobs.jobs_used_up(PatientExport).values_list("pk", "clinic_id")[:100]
    for job_id, clinic_id in list(lost):
        with clinic_scope(clinic_id):
            jobs.job_end_lost(PatientExport, job_id)
    if jobs.jobs_overdue(PatientExport).exists():
        jobs.wake_workers(model=PatientExport, fill=True)


def patient_exports_expire() -> int:
    """Remove the files whose time is over and return how many.

    Raises:
        OSError: the store does not answer; the next run goes on.
    """
    count = 0
    for clinic_id in Clinic.objects.values_list("pk", flat=True):
        with clinic_scope(clinic_id):
            over = PatientExport.objects.filter(expires_at__lte=Now()).exclude(object_key="")
            keys = list(over.values_list("pk", "object_key"))
        for pk, key in keys:
            object_delete(key)
            with clinic_scope(clinic_id):
                PatientExport.objects.filter(pk=pk, object_key=key).update(object_key="")
            count += 1
    return count


def _end(claim: Claim, *, code: str) -> None:
    with clinic_scope(claim.clinic_id):
        jobs.job_fail(PatientExport, claim, code=code)


def _audit(actor: User | None, action: str, export: PatientExport) -> None:
    audit_record(
        actor=actor,
        action=action,
        clinic_id=export.clinic_id,
        target=export,
        patient_id=export.patient_id,
    )
