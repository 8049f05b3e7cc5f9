"""A clinic's consent to training sets: given and withdrawn by its administrators."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from diagnosis.models import TrainingConsent


@transaction.atomic
def training_consent_set(*, actor: User, clinic_id: UUID, granted: bool) -> None:
    """Open a period of consent, or end the open one; doing it twice changes nothing.

    Raises:
        ActionDeniedError: ``actor`` is no administrator of the clinic.
    """
    require(user=actor, action=Action.TRAINING_EXPORT, clinic_id=clinic_id)
    in_force = TrainingConsent.objects.select_for_update(no_key=True).filter(
        clinic_id=clinic_id, withdrawn_at__isnull=True
    )
    consent = in_force.first()
    if granted == (consent is not None):
        return
    if consent is None:
        consent = TrainingConsent.objects.create(clinic_id=clinic_id, granted_by=actor)
    else:
        consent.withdrawn_by, consent.withdrawn_at = actor, timezone.now()
        consent.save(update_fields=["withdrawn_by", "withdrawn_at"])
    audit_record(
        actor=actor,
        action="training.consent" if granted else "training.withdraw",
        clinic_id=clinic_id,
        target=consent,
    )
