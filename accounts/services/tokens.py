"""API tokens: made once, shown once, ended at any time."""

import secrets
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.audit import audit_record
from accounts.models import ApiToken, Membership, User
from accounts.policy import Action, ActionDeniedError, allowed_actions, require
from accounts.selectors import secret_hash
from accounts.services.clinics import require_site_admin
from accounts.tenancy import clinic_scope
from fracture_site.common.errors import DomainError

PREFIX = "fs_"
USE_NOTED_EVERY = timedelta(minutes=1)


@transaction.atomic
def token_create(
    *,
    actor: User,
    membership: Membership,
    name: str,
    scope: str,
    expires_at: datetime | None = None,
) -> tuple[ApiToken, str]:
    """Make a key of the actor's own membership; the secret is in this answer and nowhere else.

    Raises:
        ActionDeniedError: the membership is somebody else's, or may not hold tokens.
        DomainError: ``token_invalid``.
    """
    require(user=actor, action=Action.TOKEN_MANAGE, clinic_id=membership.clinic_id)
    if membership.user_id != actor.pk:
        raise ActionDeniedError(Action.TOKEN_MANAGE)
    name = name.strip()
    if not name or scope not in ApiToken.Scope.values:
        raise DomainError("token_invalid", _("Give the token a name and a scope."))
    if expires_at is not None and expires_at <= timezone.now():
        raise DomainError("token_invalid", _("The token would have expired already."))
    secret = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        membership=membership,
        name=name,
        scope=scope,
        token_hash=secret_hash(secret),
        prefix=secret[:8],
        expires_at=expires_at,
    )
    audit_record(
        actor=actor,
        action="token.create",
        clinic_id=membership.clinic_id,
        target=token,
        scope=scope,
    )
    return token, secret


@transaction.atomic
def token_revoke(*, actor: User, token: ApiToken) -> None:
    """End a token with its next request; the owner may, and whoever manages the clinic's members.

    Raises:
        ActionDeniedError: the token is somebody else's.
    """
    clinic_id = token.membership.clinic_id
    allowed = allowed_actions(user=actor, clinic_id=clinic_id)
    own = token.membership.user_id == actor.pk and Action.TOKEN_MANAGE in allowed
    if not own and Action.MEMBER_MANAGE not in allowed:
        raise ActionDeniedError(Action.TOKEN_MANAGE)
    _end(actor, token, clinic_id)


def token_override_revoke(*, actor: User, token: ApiToken) -> None:
    """Let a site administrator end a token of any clinic; the clinic reads it in its trail.

    Raises:
        PermissionDenied: ``actor`` is no site administrator.
    """
    require_site_admin(actor)
    clinic_id = token.membership.clinic_id
    with clinic_scope(clinic_id):
        _end(actor, token, clinic_id)


def _end(actor: User, token: ApiToken, clinic_id: UUID) -> None:
    revoked = ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(
        revoked_at=timezone.now()
    )
    if revoked:
        audit_record(actor=actor, action="token.revoke", clinic_id=clinic_id, target=token)


def token_touch(*, token: ApiToken) -> None:
    """Note the use of a token, at most once a minute."""
    limit = timezone.now() - USE_NOTED_EVERY
    if token.last_used_at is None or token.last_used_at < limit:
        ApiToken.objects.filter(
            Q(last_used_at__isnull=True) | Q(last_used_at__lt=limit), pk=token.pk
        ).update(last_used_at=timezone.now())
