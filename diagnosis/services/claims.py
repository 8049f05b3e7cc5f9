"""Who reads a study now, and who shall: claims that only one doctor holds, and assignments.

Each claim is decided by one conditional statement on the study's only claim row, with the
database's clock; no lock is held while somebody reads.
"""

from collections.abc import Sequence
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import Membership, User, membership_in_force
from accounts.policy import Action, allowed_actions, require
from diagnosis.models import Study, StudyClaim
from diagnosis.models.worklist import claim_in_force
from fracture_site.common.errors import ConflictError, RefusedInputError

ASSIGN_AT_MOST = 200


@transaction.atomic
def claim_take(*, actor: User, study: Study) -> StudyClaim:
    """Let ``actor`` read a study; an own claim is renewed, a timed-out one is taken.

    Raises:
        ConflictError: ``study_claimed``: a colleague is reading it; ``extra["doctor"]`` is who.
    """
    require(user=actor, action=Action.STUDY_CLAIM, clinic_id=study.clinic_id)
    held = StudyClaim.objects.filter(claim_in_force(), study=study, doctor=actor).exists()
    StudyClaim.objects.bulk_create(
        [StudyClaim(clinic_id=study.clinic_id, study=study, doctor=actor)], ignore_conflicts=True
    )
    if not _move(actor, study, Q(doctor=actor) | ~claim_in_force(), keep_start=held):
        raise _claimed(study)
    if not held:
        _audit(actor, "study.claim", study)
    return StudyClaim.objects.select_related("doctor").get(study=study)


@transaction.atomic
def claim_take_over(*, actor: User, study: Study, holder_id: UUID) -> StudyClaim:
    """Take the claim from the colleague whom ``actor`` has seen holding it.

    The colleague's page says so at its next sign of life.

    Raises:
        ConflictError: ``study_claimed``: somebody else holds it by now.
    """
    require(user=actor, action=Action.STUDY_CLAIM, clinic_id=study.clinic_id)
    if not _move(actor, study, Q(doctor_id=holder_id), keep_start=False):
        return claim_take(actor=actor, study=study)
    _audit(actor, "study.claim_take_over", study, from_doctor=str(holder_id))
    return StudyClaim.objects.select_related("doctor").get(study=study)


@transaction.atomic
def claim_renew(*, actor: User, study: Study) -> bool:
    """Note that ``actor`` still reads; ``False`` when the claim is no longer theirs."""
    require(user=actor, action=Action.STUDY_CLAIM, clinic_id=study.clinic_id)
    mine = StudyClaim.objects.filter(study=study, doctor=actor)
    return bool(mine.update(seen_at=Now()))


@transaction.atomic
def claim_release(*, actor: User, study: Study, token: UUID | None = None) -> bool:
    """Give an own claim back; with ``token`` only the one that a page was given."""
    require(user=actor, action=Action.STUDY_CLAIM, clinic_id=study.clinic_id)
    mine = StudyClaim.objects.filter(study=study, doctor=actor)
    released, _rows = (mine.filter(token=token) if token else mine).delete()
    if released:
        _audit(actor, "study.release", study)
    return bool(released)


@transaction.atomic
def studies_assign(
    *, actor: User, clinic_id: UUID, study_ids: Sequence[UUID], doctor_id: UUID | None
) -> int:
    """Give studies to a doctor of the clinic to read, ``None`` to nobody; return how many changed.

    Studies that are not of the clinic are left out, as if they did not exist.

    Raises:
        RefusedInputError: ``doctor_unknown``, ``nothing_selected`` or ``too_many_selected``.
    """
    require(user=actor, action=Action.STUDY_ASSIGN, clinic_id=clinic_id)
    if not study_ids:
        raise RefusedInputError("nothing_selected", _("Select at least one study."))
    if len(study_ids) > ASSIGN_AT_MOST:
        text = _("Select at most %(n)s studies at once.") % {"n": ASSIGN_AT_MOST}
        raise RefusedInputError("too_many_selected", text)
    _check_doctor(doctor_id, clinic_id)
    rows = Study.objects.filter(clinic_id=clinic_id, pk__in=study_ids).order_by("pk")
    locked = list(rows.select_for_update(no_key=True).only("pk", "patient_id", "assigned_to_id"))
    changed = [study for study in locked if study.assigned_to_id != doctor_id]
    Study.objects.filter(pk__in=[study.pk for study in changed]).update(
        assigned_to=doctor_id, updated_at=Now()
    )
    for study in changed:
        audit_record(
            actor=actor,
            action="study.assign",
            clinic_id=clinic_id,
            target=study,
            patient_id=study.patient_id,
            doctor=str(doctor_id) if doctor_id else None,
        )
    return len(changed)


def claims_drop(study: Study) -> None:
    """End the claim of a study that has nothing left to read; call it within the change."""
    StudyClaim.objects.filter(study=study).delete()


def _move(actor: User, study: Study, condition: Q, *, keep_start: bool) -> bool:
    """Make the claim ``actor``'s where ``condition`` holds at this very moment."""
    start = {} if keep_start else {"claimed_at": Now()}
    rows = StudyClaim.objects.filter(condition, study=study)
    return bool(rows.update(doctor=actor, token=uuid4(), seen_at=Now(), **start))


def _claimed(study: Study) -> ConflictError:
    holder = StudyClaim.objects.select_related("doctor").filter(study=study).first()
    name = holder.doctor.display_name if holder else ""
    minutes = int(settings.STUDY_CLAIM_TIMEOUT.total_seconds() // 60)
    text = _(
        "%(name)s is reading this study. Take it over, or wait: without activity it is free "
        "after %(n)s minutes."
    ) % {"name": name, "n": minutes}
    return ConflictError(
        "study_claimed", text, extra={"doctor": str(holder.doctor_id) if holder else ""}
    )


def _check_doctor(doctor_id: UUID | None, clinic_id: UUID) -> None:
    if doctor_id is None:
        return
    member = Membership.objects.filter(
        membership_in_force(), user_id=doctor_id, clinic_id=clinic_id, user__is_active=True
    ).select_related("user")
    found = member.first()
    if found is None or Action.REPORT_WRITE not in allowed_actions(
        user=found.user, clinic_id=clinic_id
    ):
        unknown = _("Choose a doctor of this clinic.")
        raise RefusedInputError("doctor_unknown", unknown, fields={"doctor": unknown})


def _audit(actor: User, action: str, study: Study, **details: str) -> None:
    audit_record(
        actor=actor,
        action=action,
        clinic_id=study.clinic_id,
        target=study,
        patient_id=study.patient_id,
        **details,
    )
