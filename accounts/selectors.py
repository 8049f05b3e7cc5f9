"""Every read about people: tokens, memberships, members of a clinic."""

import hashlib
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import ApiToken, AuditEvent, Invitation, Membership, User


def secret_hash(secret: str) -> str:
    """Return what is stored of a random secret; it has 256 bits, so one SHA-256 suffices."""
    return hashlib.sha256(secret.encode()).hexdigest()


def token_find(*, secret: str) -> ApiToken | None:
    """Return the live token with this secret, with its membership, user and clinic."""
    return (
        ApiToken.objects.select_related("membership__user", "membership__clinic")
        .filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now()),
            token_hash=secret_hash(secret),
            revoked_at__isnull=True,
            membership__is_active=True,
            membership__user__is_active=True,
            membership__clinic__is_active=True,
        )
        .first()
    )


def membership_list(*, user: User) -> QuerySet[Membership]:
    """Return the person's active memberships, by name of the clinic."""
    return (
        Membership.objects.filter(user=user, is_active=True, clinic__is_active=True)
        .select_related("clinic")
        .order_by("clinic__name")
    )


def membership_current(*, user: User, clinic_id: UUID | None) -> Membership | None:
    """Return the chosen membership while it is active, otherwise the first one."""
    memberships = list(membership_list(user=user))
    chosen = [m for m in memberships if m.clinic_id == clinic_id]
    return next(iter(chosen or memberships), None)


def member_list(*, clinic_id: UUID) -> QuerySet[Membership]:
    """Return all members of a clinic, active first."""
    return (
        Membership.objects.filter(clinic_id=clinic_id)
        .select_related("user")
        .order_by("-is_active", "user__email")
    )


def invitation_open_list(*, clinic_id: UUID) -> QuerySet[Invitation]:
    """Return invitations that still wait for an answer."""
    return Invitation.objects.filter(
        clinic_id=clinic_id,
        accepted_at__isnull=True,
        revoked_at__isnull=True,
        expires_at__gt=timezone.now(),
    ).order_by("email")


def audit_event_list(*, clinic_id: UUID) -> QuerySet[AuditEvent]:
    """Return the clinic's trail, newest first."""
    return AuditEvent.objects.filter(clinic_id=clinic_id).select_related("actor").order_by("-id")
