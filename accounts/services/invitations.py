"""Invitations: a membership is promised to an address and given to whoever proves to own it."""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from smtplib import SMTPException
from uuid import UUID

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from accounts.audit import audit_record
from accounts.models import Clinic, Invitation, Membership, Role, User, membership_in_force
from accounts.policy import Action, require
from accounts.selectors import invitation_usable, owns_address, secret_hash
from accounts.tenancy import clinic_scope
from fracture_site.common.errors import ConflictError, DomainError, UnavailableError

LIFETIME = timedelta(days=7)


@transaction.atomic
def invitation_create(
    *, actor: User, clinic_id: UUID, email: str, roles: Sequence[str]
) -> Invitation:
    """Invite an address, replacing what it was sent before, and send the link.

    Raises:
        ActionDeniedError: ``actor`` does not manage the members of this clinic.
        ConflictError: ``already_member``.
        UnavailableError: ``mail_unavailable``; nothing is stored then.
    """
    require(user=actor, action=Action.MEMBER_MANAGE, clinic_id=clinic_id)
    return invitation_send(actor=actor, clinic_id=clinic_id, email=email, roles=roles)


def invitation_send(
    *, actor: User, clinic_id: UUID, email: str, roles: Sequence[str]
) -> Invitation:
    """Do what ``invitation_create`` does, for services that checked the right themselves."""
    email = email.strip().lower()
    # Two invitations of one address at the same time: the second waits and replaces the first.
    clinic = Clinic.objects.select_for_update().get(pk=clinic_id)
    members = Membership.objects.filter(membership_in_force(), clinic=clinic)
    if members.filter(user__email__iexact=email).exists():
        raise ConflictError("already_member", _("This person is a member already."))
    now = timezone.now()
    Invitation.objects.filter(
        clinic=clinic, email__iexact=email, accepted_at=None, revoked_at=None
    ).update(revoked_at=now)
    secret = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        clinic=clinic,
        email=email,
        roles=roles_sorted(roles),
        token_hash=secret_hash(secret),
        invited_by=actor,
        expires_at=now + LIFETIME,
    )
    audit_record(
        actor=actor,
        action="invitation.create",
        clinic_id=clinic_id,
        target=invitation,
        roles=invitation.roles,
    )
    _send(invitation, secret)
    return invitation


@transaction.atomic
def invitation_revoke(*, actor: User, invitation: Invitation) -> None:
    """Make the link useless; again and again is harmless.

    Raises:
        ActionDeniedError: ``actor`` does not manage the members of this clinic.
    """
    require(user=actor, action=Action.MEMBER_MANAGE, clinic_id=invitation.clinic_id)
    revoked = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None).update(
        revoked_at=timezone.now()
    )
    if revoked:
        audit_record(
            actor=actor,
            action="invitation.revoke",
            clinic_id=invitation.clinic_id,
            target=invitation,
        )


def invitation_accept(*, user: User, invitation_id: UUID) -> Membership:
    """Make the invited person a member.

    A foreign, expired, used, revoked or unknown invitation is refused in the same words. An
    active member keeps their roles: only ``member_update`` changes those.

    Raises:
        DomainError: ``invitation_invalid``.
        ConflictError: ``already_member``, while the person has break-glass access; the
            invitation stays open.
    """
    invitation = invitation_usable(pk=invitation_id)
    if invitation is None:
        raise invitation_error()
    with clinic_scope(invitation.clinic_id):
        # Other changes of the clinic's members wait, so that none of them is undone.
        Clinic.objects.select_for_update().get(pk=invitation.clinic_id)
        locked = Invitation.objects.select_for_update().get(pk=invitation_id)
        if invitation_usable(pk=locked.pk) is None or not owns_address(
            user=user, email=locked.email
        ):
            raise invitation_error()
        locked.accepted_at = timezone.now()
        locked.save(update_fields=["accepted_at"])
        membership, created = Membership.objects.get_or_create(
            user=user, clinic_id=locked.clinic_id, defaults={"roles": locked.roles}
        )
        if not created:
            _return(membership, locked)
        audit_record(
            actor=user,
            action="invitation.accept",
            clinic_id=locked.clinic_id,
            target=locked,
            roles=membership.roles,
        )
    return membership


def _return(membership: Membership, invitation: Invitation) -> None:
    """Let a former member in again with the invitation's roles; leave a present one alone."""
    if membership.is_in_force:
        if membership.expires_at:
            raise ConflictError(
                "already_member",
                _("You have access for a short time now. Accept the invitation when it is over."),
            )
        return
    membership.roles, membership.is_active, membership.expires_at = invitation.roles, True, None
    membership.save(update_fields=["roles", "is_active", "expires_at"])


def invitation_error() -> DomainError:
    """Return the one answer to every invitation that cannot be used."""
    return DomainError(
        "invitation_invalid",
        _("This invitation cannot be used. Ask the clinic to send you a new one."),
    )


def roles_sorted(roles: Sequence[str]) -> list[str]:
    """Return known roles once each, in the order of the table of roles.

    Raises:
        DomainError: ``roles_invalid``.
    """
    chosen = [role for role in Role.values if role in roles]
    if not chosen or set(roles) - set(chosen):
        raise DomainError("roles_invalid", _("Choose at least one role."))
    return chosen


def _send(invitation: Invitation, secret: str) -> None:
    """Send the link; it names the configured address, never the one in the request."""
    path = reverse("accounts:invitation-open", kwargs={"secret": secret})
    context = {
        "invitation": invitation,
        "clinic": invitation.clinic,
        "inviter": invitation.invited_by,
        "link": settings.BASE_URL.rstrip("/") + path,
        "days": LIFETIME.days,
    }
    with translation.override(invitation.clinic.language):
        subject = render_to_string("accounts/email/invitation_subject.txt", context)
        message = render_to_string("accounts/email/invitation_message.txt", context)
    try:
        send_mail(
            subject=" ".join(subject.split()),
            message=message,
            from_email=None,
            recipient_list=[invitation.email],
        )
    except (SMTPException, OSError) as error:
        raise UnavailableError(
            "mail_unavailable", _("The invitation could not be sent. Please try again later.")
        ) from error
