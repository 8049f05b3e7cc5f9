"""Audited reads of the FHIR interface: one event for each request, whatever it returned."""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from fracture_site.common.models import UUIDModel


@transaction.atomic
def fhir_resource_opened(
    *,
    actor: User,
    clinic_id: UUID,
    action: Action,
    noun: str,
    target: UUIDModel | None,
    patient_id: UUID | None,
) -> None:
    """Record that one resource was read; call it before it is told.

    Raises:
        ActionDeniedError: ``actor`` may not read this kind.
    """
    require(user=actor, action=action, clinic_id=clinic_id)
    if noun:
        audit_record(
            actor=actor,
            action=f"{noun}.open",
            clinic_id=clinic_id,
            target=target,
            patient_id=patient_id,
            via="fhir",
        )


@transaction.atomic
def fhir_resources_listed(
    *, actor: User, clinic_id: UUID, noun: str, total: int, patients: Collection[UUID]
) -> None:
    """Record a search and of whom something was told; the caller has required the right.

    A page of one patient stands in that patient's trail, one of several names them all.
    """
    if noun:
        audit_record(
            actor=actor,
            action=f"{noun}.list",
            clinic_id=clinic_id,
            patient_id=next(iter(patients)) if len(patients) == 1 else None,
            via="fhir",
            total=total,
            patients=sorted(map(str, patients)),
        )
