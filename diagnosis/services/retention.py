"""The clinic's retention policy, holds, and what the policy proposes to erase."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import Clinic, User
from accounts.policy import Action, require
from accounts.tenancy import clinic_scope
from diagnosis import jobs
from diagnosis.models import Erasure, Patient, RetentionHold, RetentionPolicy
from diagnosis.selectors.retention import hold_of, patients_due, retention_policy_of
from diagnosis.services.patients import patient_locked
from diagnosis.services.violations import violated_constraint
from fracture_site.common.errors import ConflictError, RefusedInputError

_HIGHEST = {"keep_years": 100, "minors_until_age": 100, "reports_years": 100, "grace_days": 365}


@transaction.atomic
def retention_policy_update(
    *,
    actor: User,
    clinic_id: UUID,
    keep_years: int | None,
    minors_until_age: int,
    reports_years: int,
    grace_days: int,
) -> RetentionPolicy:
    """Store what the clinic has decided.

    What was proposed under the former policy is looked at again when its time has come, so a
    longer one takes effect at once.

    Raises:
        RefusedInputError: ``retention_unusable``; ``fields`` says which.
    """
    require(user=actor, action=Action.RETENTION_MANAGE, clinic_id=clinic_id)
    values: dict[str, Any] = {
        "keep_years": keep_years,
        "minors_until_age": minors_until_age,
        "reports_years": reports_years,
        "grace_days": grace_days,
    }
    _check(values)
    policy = retention_policy_of(clinic_id=clinic_id)
    policy.clinic_id, policy.updated_by = clinic_id, actor
    changed = [name for name, value in values.items() if getattr(policy, name) != value]
    for name in changed:
        setattr(policy, name, values[name])
    policy.save()
    audit_record(
        actor=actor, action="retention.policy", clinic_id=clinic_id, target=policy, **values
    )
    return policy


@transaction.atomic
def hold_place(*, actor: User, patient: Patient, reason: str) -> RetentionHold:
    """Keep a patient from being erased, and take a planned erasure back.

    Raises:
        ConflictError: ``patient_held`` already, or ``patient_merged``.
        RefusedInputError: ``reason_missing``.
    """
    require(user=actor, action=Action.RETENTION_MANAGE, clinic_id=patient.clinic_id)
    locked = patient_locked(patient)
    if not reason.strip():
        text = _("Say why: whoever lifts the hold one day has to know.")
        raise RefusedInputError("reason_missing", text, fields={"reason": text})
    try:
        with transaction.atomic():
            hold = RetentionHold.objects.create(
                clinic_id=locked.clinic_id, patient=locked, reason=reason.strip(), placed_by=actor
            )
    except IntegrityError as error:
        if violated_constraint(error) != "retention_hold_one_open":
            raise
        raise ConflictError("patient_held", _("This patient is under a legal hold.")) from error
    _audit(actor, "retention.hold", hold)
    for pk in Erasure.objects.filter(patient=locked, status=Erasure.Status.QUEUED).values_list(
        "pk", flat=True
    ):
        jobs.job_cancel(Erasure, pk)
    return hold


@transaction.atomic
def hold_release(*, actor: User, patient: Patient) -> None:
    """Lift the hold of a patient.

    Raises:
        ConflictError: ``patient_not_held``.
    """
    require(user=actor, action=Action.RETENTION_MANAGE, clinic_id=patient.clinic_id)
    hold = hold_of(patient_id=patient.pk)
    if hold is None:
        raise ConflictError("patient_not_held", _("This patient is under no legal hold."))
    RetentionHold.objects.filter(pk=hold.pk).update(released_at=Now(), released_by=actor)
    _audit(actor, "retention.release", hold)


def retention_propose() -> int:
    """Plan the erasure of everybody whom a policy no longer keeps; return how many are new.

    Each is due when the grace of its clinic's policy has ended; until then it stands in a list
    that the clinic's administrators see and may take patients from by a hold.
    """
    proposed = 0
    for clinic in Clinic.objects.filter(is_active=True):
        with clinic_scope(clinic.pk):
            policy = retention_policy_of(clinic_id=clinic.pk)
            today = timezone.localdate()
            for patient in patients_due(clinic=clinic, policy=policy, today=today):
                proposed += _propose(patient, policy)
    return proposed


def _propose(patient: Patient, policy: RetentionPolicy) -> int:
    try:
        with transaction.atomic():
            erasure = Erasure.objects.create(
                clinic_id=patient.clinic_id,
                patient=patient,
                source=Erasure.Source.POLICY,
                due_at=timezone.now() + timedelta(days=policy.grace_days),
            )
            audit_record(
                actor=None,
                action="retention.propose",
                clinic_id=patient.clinic_id,
                target=erasure,
                patient_id=patient.pk,
            )
    except IntegrityError as error:  # another process was faster
        if violated_constraint(error) != "erasure_one_open":
            raise
        return 0
    return 1


def _check(values: dict[str, Any]) -> None:
    lowest = {
        "keep_years": settings.RETENTION_MIN_YEARS,
        "minors_until_age": 18,
        "reports_years": 0,
        "grace_days": 7,
    }
    wrong = {
        name: _("Between %(low)s and %(high)s.") % {"low": lowest[name], "high": high}
        for name, high in _HIGHEST.items()
        if not (name == "keep_years" and values[name] is None)
        and not lowest[name] <= values[name] <= high
    }
    if wrong:
        text = _("These years or days cannot be used.")
        raise RefusedInputError("retention_unusable", text, fields=wrong)


def _audit(actor: User, action: str, hold: RetentionHold) -> None:
    audit_record(
        actor=actor,
        action=action,
        clinic_id=hold.clinic_id,
        target=hold,
        patient_id=hold.patient_id,
    )
