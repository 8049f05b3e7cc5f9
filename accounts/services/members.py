"""Members: their roles, leaving and coming back. A clinic never loses its last administrator."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.audit import audit_record
from accounts.models import ApiToken, Clinic, Membership, Role, User
from accounts.policy import Action, require
from accounts.services.clinics import require_site_admin
from accounts.services.invitations import roles_sorted
from accounts.tenancy import clinic_scope
from fracture_site.common.errors import ConflictError, DomainError

BREAK_GLASS_MAX_HOURS = 4


class BreakGlassReason(models.TextChoices):
    """Why a site administrator needs a clinic's records."""

    PATIENT_SAFETY = "patient_safety", _("A patient is at risk")
    INCIDENT = "incident", _("Security incident")
    SUPPORT = "support", _("Support that the clinic asked for")
    LEGAL = "legal", _("Legal duty")


@transaction.atomic
def member_update(
    *,
    actor: User,
    membership: Membership,
    roles: Sequence[str],
    in_training: bool | None = None,
    read_first: bool | None = None,
) -> Membership:
    """Give a member these roles instead of the present ones; in force with the next request.

    With ``in_training`` given, both reading rules are set: ``read_first=None`` then means as the
    clinic says.

    Raises:
        ActionDeniedError: ``actor`` does not manage the members of this clinic.
        ConflictError: ``last_clinic_admin``.
        DomainError: ``roles_invalid``.
    """
    member = _locked(actor, membership)
    before, member.roles = member.roles, roles_sorted(roles)
    if before != member.roles:
        member.save(update_fields=["roles"])
        _keep_an_admin(member.clinic_id)
        _record(actor, "member.update", member, before=before, after=member.roles)
    if in_training is not None and (member.in_training, member.read_first) != (
        in_training,
        read_first,
    ):
        member.in_training, member.read_first = in_training, read_first
        member.save(update_fields=["in_training", "read_first"])
        _record(actor, "member.reading", member, in_training=in_training, read_first=read_first)
    return member


@transaction.atomic
def member_deactivate(*, actor: User, membership: Membership) -> Membership:
    """End a membership and its API tokens at once; what the person did stays theirs.

    Raises:
        ActionDeniedError: ``actor`` does not manage the members of this clinic.
        ConflictError: ``last_clinic_admin``.
    """
    member = _locked(actor, membership)
    if member.is_active:
        member.is_active = False
        member.save(update_fields=["is_active"])
        _keep_an_admin(member.clinic_id)
        _record(actor, "member.deactivate", member, tokens_revoked=_end_tokens(member))
    return member


@transaction.atomic
def member_reactivate(*, actor: User, membership: Membership) -> Membership:
    """Let a former member in again, with the roles they had and for good.

    Also somebody whose break-glass access is over: then the clinic itself decides.

    Raises:
        ActionDeniedError: ``actor`` does not manage the members of this clinic.
    """
    member = _locked(actor, membership)
    if not member.is_in_force:
        _end_tokens(member)
        member.is_active, member.expires_at = True, None
        member.save(update_fields=["is_active", "expires_at"])
        _record(actor, "member.reactivate", member, roles=member.roles)
    return member


def member_grant(*, actor: User, user: User, clinic_id: UUID, roles: Sequence[str]) -> Membership:
    """Let a site administrator place a person in a clinic; the clinic reads it in its trail.

    For themselves they have ``member_break_glass`` alone, or an invitation of the clinic.

    Raises:
        PermissionDenied: ``actor`` is no site administrator.
        ConflictError: ``own_membership``.
        ConflictError: ``already_member`` (also of a former member: use ``member_reactivate``).
    """
    require_site_admin(actor)
    _not_for_oneself(actor, user.pk)
    with clinic_scope(clinic_id):
        Clinic.objects.select_for_update().get(pk=clinic_id)
        if Membership.objects.filter(user=user, clinic_id=clinic_id).exists():
            raise ConflictError("already_member", _("This person is a member already."))
        member = Membership.objects.create(
            user=user, clinic_id=clinic_id, roles=roles_sorted(roles)
        )
        _record(actor, "member.grant", member, roles=member.roles)
    return member


def member_override(
    *, actor: User, membership: Membership, roles: Sequence[str], is_active: bool
) -> Membership:
    """Let a site administrator set a membership, also the last administrator's.

    Break-glass access stays as short as it was granted.

    Raises:
        PermissionDenied: ``actor`` is no site administrator.
        ConflictError: ``own_membership``; ending one's own is allowed.
        DomainError: ``roles_invalid``.
    """
    require_site_admin(actor)
    if is_active:
        _not_for_oneself(actor, membership.user_id)
    with clinic_scope(membership.clinic_id):
        Clinic.objects.select_for_update().get(pk=membership.clinic_id)
        member = Membership.objects.get(pk=membership.pk)
        member.roles, member.is_active = roles_sorted(roles), is_active
        member.save(update_fields=["roles", "is_active"])
        if not is_active:
            _end_tokens(member)
        _record(actor, "member.override", member, roles=member.roles, is_active=is_active)
    return member


def member_break_glass(
    *, actor: User, user: User, clinic_id: UUID, roles: Sequence[str], reason: str, hours: int
) -> Membership:
    """Let a site administrator open a clinic's records for hours, with a reason.

    The clinic sees it on its page of members and in its trail. It ends by itself; asking
    again renews it, and is audited again.

    Raises:
        PermissionDenied: ``actor`` is no site administrator.
        DomainError: ``break_glass_invalid`` (reason, 1 to 4 hours); ``roles_invalid``:
            none, or one that manages the clinic.
        ConflictError: ``already_member``.
    """
    require_site_admin(actor)
    if reason not in BreakGlassReason.values or not 1 <= hours <= BREAK_GLASS_MAX_HOURS:
        raise DomainError(
            "break_glass_invalid", _("Choose a reason and a time of one to four hours.")
        )
    wanted = roles_sorted(roles)
    if Role.CLINIC_ADMIN in wanted:
        raise DomainError("roles_invalid", _("Whoever manages the clinic is invited by it."))
    with clinic_scope(clinic_id):
        Clinic.objects.select_for_update().get(pk=clinic_id)
        member = Membership.objects.filter(user=user, clinic_id=clinic_id).first()
        if member is None:
            member = Membership(user=user, clinic_id=clinic_id)
        elif member.is_in_force and member.expires_at is None:
            raise ConflictError("already_member", _("This person is a member already."))
        else:
            _end_tokens(member)
        member.roles, member.is_active = wanted, True
        member.expires_at = timezone.now() + timedelta(hours=hours)
        member.save()
        _record(actor, "member.break_glass", member, roles=wanted, reason=reason, hours=hours)
    return member


def _not_for_oneself(actor: User, user_id: UUID) -> None:
    if user_id == actor.pk:
        raise ConflictError(
            "own_membership",
            _("Nobody gives themselves a lasting place in a clinic. Use break-glass access."),
        )


def _end_tokens(member: Membership) -> int:
    """Revoke the member's tokens: coming back must not bring forgotten keys back to life."""
    return ApiToken.objects.filter(membership=member, revoked_at=None).update(
        revoked_at=timezone.now()
    )


def _locked(actor: User, membership: Membership) -> Membership:
    """Return the member as it is now; changes of a clinic's members wait for each other."""
    require(user=actor, action=Action.MEMBER_MANAGE, clinic_id=membership.clinic_id)
    Clinic.objects.select_for_update().get(pk=membership.clinic_id)
    return Membership.objects.select_related("user").get(pk=membership.pk)


def _keep_an_admin(clinic_id: UUID) -> None:
    if not Membership.objects.filter(
        clinic_id=clinic_id,
        roles__contains=[Role.CLINIC_ADMIN],
        is_active=True,
        expires_at__isnull=True,
        user__is_active=True,
    ).exists():
        raise ConflictError(
            "last_clinic_admin",
            _("A clinic needs an administrator. Make somebody else one first."),
        )


def _record(actor: User, action: str, member: Membership, **details: Any) -> None:
    audit_record(
        actor=actor, action=action, clinic_id=member.clinic_id, target=member,
        user=str(member.user_id), **details,
    )  # fmt: skip
