"""What a worker does with erasures: claim, empty the rows, delete the objects, sweep; replay."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final
from uuid import uuid4

from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone

from accounts.audit import audit_record
from accounts.models import AuditEvent, Clinic
from accounts.tenancy import clinic_scope
from diagnosis import jobs
from diagnosis.jobs import Claim
from diagnosis.models import Erasure, Patient
from diagnosis.selectors.retention import keeping_of, retention_policy_of
from diagnosis.services.erasure_list import Erased, erasure_note
from diagnosis.services.erasure_rows import rows_empty
from diagnosis.services.erasures import refuse_kept
from diagnosis.storage import object_delete
from fracture_site.common.errors import ConflictError

_LEASE_OF_A_REPLAY: Final = timedelta(hours=1)


def erasure_claim_next() -> Claim | None:
    """Take the erasure that is due longest; ``None`` when there is none."""
    return jobs.job_claim_next(Erasure)


def erasure_run(*, claim: Claim) -> None:
    """Erase; nothing happens when the claim is stale, or when something keeps the patient by now.

    Raises:
        OSError: the store or the list of erasures does not answer; the next attempt goes on.
    """
    with clinic_scope(claim.clinic_id):
        erasure = jobs.job_held(Erasure, claim).select_related("patient").first()
        if erasure is None:
            return
        if erasure.emptied_at is None and not _begin(erasure, claim):
            return
        keys = list(jobs.job_held(Erasure, claim).values_list("keys", flat=True))
    for key in (key for of_row in keys for key in of_row):
        object_delete(key)
    with clinic_scope(claim.clinic_id):
        count = sum(map(len, keys))
        if jobs.job_succeed(Erasure, claim, keys=[], objects_deleted=count):
            _audit(erasure, "patient.erase", studies=erasure.studies, objects=count)


def _begin(erasure: Erasure, claim: Claim) -> bool:
    """Empty all rows, unless the patient is to be kept; the caller's transaction holds it."""
    patient = Patient.objects.select_for_update().defer("search").get(pk=erasure.patient_id)
    if patient.erased_at is None and erasure.source != Erasure.Source.RESTORE:
        try:
            refuse_kept(patient)
        except ConflictError as error:
            _stop(erasure, error.code)
            return False
        if erasure.source == Erasure.Source.POLICY and not _still_due(patient):
            _stop(erasure, "not_due")
            return False
    keys, erasure.studies = rows_empty(patient)
    jobs.job_held(Erasure, claim).update(
        keys=sorted(set(keys) - {""}), studies=erasure.studies, emptied_at=Now()
    )
    erasure_note(clinic_id=erasure.clinic_id, patient_id=patient.pk)
    return True


def _still_due(patient: Patient) -> bool:
    """Tell whether the policy of today, and what happened since it was planned, still want it."""
    if patient.merged_into_id is not None:
        return False
    clinic = Clinic.objects.get(pk=patient.clinic_id)
    policy = retention_policy_of(clinic_id=clinic.pk)
    day = keeping_of(patient=patient, policy=policy, clinic=clinic).by_policy
    return day is not None and day <= timezone.localdate()


def _stop(erasure: Erasure, code: str) -> None:
    jobs.job_cancel(Erasure, erasure.pk)
    _audit(erasure, "patient.erase_cancel", outcome=AuditEvent.Outcome.FAILED, code=code)


def erasure_postpone(*, claim: Claim, code: str) -> None:
    """Put an erasure back until the part that it needs answers again."""
    with clinic_scope(claim.clinic_id):
        if jobs.job_postpone(
            Erasure,
            claim,
            code=code,
            patience=settings.ERASURE_PATIENCE,
            longest=settings.DELIVERY_LONGEST_PAUSE,
        ):
            _audit_failed(claim)


def erasure_retry_later(*, claim: Claim, code: str) -> None:
    """Put an erasure back with a growing delay, or end it after its last attempt."""
    with clinic_scope(claim.clinic_id):
        if jobs.job_retry(Erasure, claim, code=code):
            _audit_failed(claim)


def erasures_sweep() -> None:
    """End what used up its attempts, and wake a worker for what nobody takes."""
    lost = jobs.jobs_used_up(Erasure).values_list("pk", "clinic_id")[:100]
    for job_id, clinic_id in list(lost):
        with clinic_scope(clinic_id):
            jobs.job_end_lost(Erasure, job_id)
    if jobs.jobs_overdue(Erasure).exists():
        jobs.wake_workers(model=Erasure, fill=True)


def erasures_replay(noted: Iterable[Erased]) -> int:
    """Erase again whom a restore has brought back, and return how many those were.

    Raises:
        OSError: the store does not answer; run it again before anybody opens the site.
    """
    count = 0
    for erased in noted:
        with clinic_scope(erased.clinic_id):
            back = Patient.objects.filter(pk=erased.patient_id, erased_at__isnull=True).first()
            if back is None:
                continue
            Erasure.objects.filter(patient=back, status__in=Erasure.OPEN).update(
                status=Erasure.Status.CANCELLED, lease_expires_at=None, finished_at=Now()
            )
            row = Erasure.objects.create(
                clinic_id=erased.clinic_id,
                patient=back,
                source=Erasure.Source.RESTORE,
                status=Erasure.Status.RUNNING,
                token=uuid4(),
                started_at=timezone.now(),
                lease_expires_at=timezone.now() + _LEASE_OF_A_REPLAY,
            )
        assert row.token is not None  # noqa: S101 - given above
        erasure_run(claim=Claim(row.pk, erased.clinic_id, row.token))
        count += 1
    return count


def _audit_failed(claim: Claim) -> None:
    row = Erasure.objects.get(pk=claim.job_id)
    if not row.is_open:
        _audit(row, "patient.erase", outcome=AuditEvent.Outcome.FAILED, code=row.error_code)


def _audit(
    erasure: Erasure, action: str, outcome: str = AuditEvent.Outcome.SUCCESS, **details: object
) -> None:
    audit_record(
        actor=erasure.requested_by,
        action=action,
        clinic_id=erasure.clinic_id,
        target=erasure,
        patient_id=erasure.patient_id,
        outcome=outcome,
        source=erasure.source,
        reason=erasure.reason,
        **details,
    )
