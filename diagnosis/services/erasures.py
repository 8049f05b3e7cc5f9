"""Erasing a patient: asking for it, taking a planned one back, trying a failed one again."""

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import Clinic, User
from accounts.policy import Action, require
from diagnosis import jobs
from diagnosis.models import Erasure, Patient
from diagnosis.selectors.retention import hold_of, keeping_of, retention_policy_of
from diagnosis.services.patients import patient_locked
from diagnosis.services.violations import violated_constraint
from fracture_site.common.errors import ConflictError, RefusedInputError


@transaction.atomic
def erasure_request(*, actor: User, patient: Patient, record_number: str, reason: str) -> Erasure:
    """Promise to erase a patient for good; the caller has confirmed who asks.

    ``record_number`` is typed a second time, so that nobody erases the wrong person. A planned
    erasure of the policy is brought forward.

    Raises:
        ConflictError: ``patient_held``, ``reports_kept`` (``extra["until"]``), ``erasure_open``,
            or ``patient_merged``.
        RefusedInputError: ``record_number_differs`` or ``reason_unknown``.
    """
    require(user=actor, action=Action.PATIENT_ERASE, clinic_id=patient.clinic_id)
    locked = patient_locked(patient)
    if record_number.strip() != locked.record_number:
        text = _("This is not the record number of this patient.")
        raise RefusedInputError("record_number_differs", text, fields={"record_number": text})
    if reason not in Erasure.Reason.values:
        text = _("Choose one of the listed values.")
        raise RefusedInputError("reason_unknown", text, fields={"reason": text})
    refuse_kept(locked)
    planned = Erasure.objects.filter(
        patient=locked, status=Erasure.Status.QUEUED, source=Erasure.Source.POLICY
    )
    for pk in planned.values_list("pk", flat=True):
        jobs.job_cancel(Erasure, pk)
    try:
        with transaction.atomic():
            erasure = Erasure.objects.create(
                clinic_id=locked.clinic_id,
                patient=locked,
                source=Erasure.Source.REQUEST,
                requested_by=actor,
                reason=reason,
            )
    except IntegrityError as error:
        if violated_constraint(error) != "erasure_one_open":
            raise
        raise ConflictError("erasure_open", _("This patient is being erased already.")) from error
    _audit(actor, "patient.erase_request", erasure)
    transaction.on_commit(lambda: jobs.wake_workers(model=Erasure), robust=True)
    return erasure


def refuse_kept(patient: Patient) -> None:
    """Return silently unless a hold or the law keeps the patient.

    Raises:
        ConflictError: ``patient_held`` or ``reports_kept``.
    """
    if hold_of(patient_id=patient.pk) is not None:
        raise ConflictError("patient_held", _("This patient is under a legal hold. Lift it first."))
    policy = retention_policy_of(clinic_id=patient.clinic_id)
    clinic = Clinic.objects.get(pk=patient.clinic_id)
    until = keeping_of(patient=patient, policy=policy, clinic=clinic).by_law
    if until and until > timezone.localdate():
        raise ConflictError(
            "reports_kept",
            _("The clinic's policy keeps signed reports of this patient until %(day)s.")
            % {"day": date_format(until, "DATE_FORMAT")},
            extra={"until": until.isoformat()},
        )


@transaction.atomic
def erasure_cancel(*, actor: User, erasure: Erasure) -> None:
    """Take a planned erasure back; the policy proposes it again unless the patient is held.

    Raises:
        ConflictError: ``erasure_begun``.
    """
    require(user=actor, action=Action.RETENTION_MANAGE, clinic_id=erasure.clinic_id)
    locked = Erasure.objects.select_for_update().get(pk=erasure.pk)
    if locked.status != Erasure.Status.QUEUED or locked.emptied_at:
        raise ConflictError("erasure_begun", _("This erasure has begun; it cannot be taken back."))
    jobs.job_cancel(Erasure, locked.pk)
    _audit(actor, "patient.erase_cancel", locked)


@transaction.atomic
def erasure_retry(*, actor: User, erasure: Erasure) -> None:
    """Let a failed erasure go on.

    Raises:
        ConflictError: ``erasure_not_failed``.
    """
    require(user=actor, action=Action.PATIENT_ERASE, clinic_id=erasure.clinic_id)
    locked = Erasure.objects.select_for_update().get(pk=erasure.pk)
    if locked.status != Erasure.Status.FAILED:
        raise ConflictError("erasure_not_failed", _("This erasure has not failed."))
    jobs.job_requeue(Erasure, locked.pk)
    _audit(actor, "patient.erase_retry", locked)
    transaction.on_commit(lambda: jobs.wake_workers(model=Erasure), robust=True)


def _audit(actor: User | None, action: str, erasure: Erasure) -> None:
    audit_record(
        actor=actor,
        action=action,
        clinic_id=erasure.clinic_id,
        target=erasure,
        patient_id=erasure.patient_id,
        source=erasure.source,
        reason=erasure.reason,
    )
