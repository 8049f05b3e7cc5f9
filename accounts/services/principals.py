"""Principals that are no persons: they cannot sign in and act with the rights of a role."""

from uuid import UUID, uuid4

from django.db import transaction

from accounts.audit import audit_record
from accounts.models import Membership, Role, User
from accounts.policy import Action, require


@transaction.atomic
def principal_create(*, actor: User, clinic_id: UUID, name: str) -> Membership:
    """Make a technician of the clinic that is a machine: no password, no mail, no way to reset."""
    require(user=actor, action=Action.DESTINATION_MANAGE, clinic_id=clinic_id)
    user = User.objects.create_user(f"{uuid4()}@devices.invalid", full_name=name[:150])
    membership = Membership.objects.create(user=user, clinic_id=clinic_id, roles=[Role.TECHNICIAN])
    audit_record(actor=actor, action="principal.create", clinic_id=clinic_id, target=membership)
    return membership
