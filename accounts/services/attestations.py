"""Whether a clinic uses the product clinically: attested by its administrator, never assumed."""

from datetime import date
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.audit import audit_record
from accounts.models import Clinic, UseAttestation, User
from accounts.policy import Action, require
from fracture_site.common.errors import ConflictError, DomainError


@transaction.atomic
def clinic_use_attest(
    *,
    actor: User,
    clinic: Clinic,
    statement: str,
    reference: str,
    attested_name: str,
    attested_on: date,
) -> UseAttestation:
    """Attest that local rules allow clinical use; pages and reports stop saying otherwise.

    The caller has confirmed the credentials of ``actor``.

    Raises:
        ActionDeniedError: ``actor`` does not manage this clinic's settings.
        DomainError: ``attestation_incomplete``, with ``fields``.
    """
    require(user=actor, action=Action.CLINIC_SETTINGS, clinic_id=clinic.pk)
    texts = {
        "statement": statement.strip(),
        "reference": reference.strip(),
        "attested_name": attested_name.strip(),
    }
    missing: dict[str, Any] = {name: _("Required.") for name, text in texts.items() if not text}
    if attested_on > timezone.localdate():
        missing["attested_on"] = _("This day is in the future.")
    if missing:
        raise DomainError("attestation_incomplete", fields=missing)
    return _store(actor, clinic, cleared=True, attested_on=attested_on, **texts)


@transaction.atomic
def clinic_use_withdraw(*, actor: User, clinic: Clinic) -> UseAttestation:
    """Go back to research use.

    Raises:
        ActionDeniedError: ``actor`` does not manage this clinic's settings.
        ConflictError: ``not_attested``.
    """
    require(user=actor, action=Action.CLINIC_SETTINGS, clinic_id=clinic.pk)
    if Clinic.objects.get(pk=clinic.pk).intended_use != "cleared":
        raise ConflictError("not_attested", _("Nothing is attested."))
    return _store(actor, clinic, cleared=False)


def _store(actor: User, clinic: Clinic, *, cleared: bool, **values: Any) -> UseAttestation:
    locked = Clinic.objects.select_for_update().get(pk=clinic.pk)
    locked.intended_use = "cleared" if cleared else "research"
    locked.save(update_fields=["intended_use"])
    attestation = UseAttestation.objects.create(
        clinic=locked, cleared=cleared, author=actor, **values
    )
    audit_record(
        actor=actor,
        action="clinic.use_attest" if cleared else "clinic.use_withdraw",
        clinic_id=locked.pk,
        target=attestation,
        intended_use=locked.intended_use,
    )
    return attestation
