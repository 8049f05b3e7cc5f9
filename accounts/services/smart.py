"""Apps that members let read FHIR: registering them, allowing one, exchanging its code."""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.audit import audit_record
from accounts.models import ApiToken, Membership, SmartApp, SmartCode, User
from accounts.policy import Action, allowed_actions, require
from accounts.selectors import secret_hash
from accounts.services.clinics import require_site_admin
from accounts.tenancy import clinic_scope
from fracture_site.common.errors import DomainError

TOKEN_SECONDS: Final = 3600
CODE_LIFE: Final = timedelta(minutes=1)
_PREFIX: Final = "fs_"


def smart_app_create(*, actor: User, name: str, redirect_uris: Sequence[str]) -> SmartApp:
    """Register an app; its id is the ``client_id``.

    Raises:
        PermissionDenied: ``actor`` is no site administrator.
        DomainError: ``smart_app_invalid``.
    """
    require_site_admin(actor)
    if not name.strip() or not redirect_uris or not all(map(_is_safe, redirect_uris)):
        raise DomainError(
            "smart_app_invalid",
            _("Give a name and https addresses (http for this machine), without a fragment."),
        )
    app = SmartApp.objects.create(name=name.strip(), redirect_uris=list(redirect_uris))
    audit_record(actor=actor, action="smart_app.create", clinic_id=None, target=app)
    return app


@transaction.atomic
def smart_code_create(
    *,
    membership: Membership,
    app: SmartApp,
    code: str,
    redirect_uri: str,
    scopes: Sequence[str],
    challenge: str,
) -> SmartCode:
    """Store what a member has allowed an app: a code that lives for a minute.

    Raises:
        ActionDeniedError: the member may not give tokens away.
    """
    require(user=membership.user, action=Action.TOKEN_MANAGE, clinic_id=membership.clinic_id)
    row = SmartCode.objects.create(
        app=app,
        membership=membership,
        code_hash=secret_hash(code),
        redirect_uri=redirect_uri,
        scopes=" ".join(scopes),
        challenge=challenge,
        expires_at=timezone.now() + CODE_LIFE,
    )
    audit_record(
        actor=membership.user,
        action="smart_app.allow",
        clinic_id=membership.clinic_id,
        target=app,
        scopes=list(scopes),
    )
    return row


def smart_code_find(*, app: SmartApp, code: str) -> SmartCode | None:
    """Return the app's code while it can be exchanged, locked until the transaction ends.

    One that was exchanged before ends the token it was exchanged for: two holders of one code
    mean that one of them stole it.
    """
    row = (
        SmartCode.objects.select_for_update(of=("self",))
        .select_related("membership__user", "app")
        .filter(app=app, code_hash=secret_hash(code))
        .first()
    )
    if row is None:
        return None
    if row.used_at is not None:
        if row.token_id is not None:
            tokens = ApiToken.objects.filter(pk=row.token_id, revoked_at=None)
            tokens.update(revoked_at=timezone.now())
        return None
    membership = row.membership
    allowed = allowed_actions(user=membership.user, clinic_id=membership.clinic_id)
    live = row.expires_at > timezone.now() and Action.TOKEN_MANAGE in allowed
    return row if live else None


@transaction.atomic
def smart_token_create(*, code: SmartCode, secret: str) -> ApiToken:
    """Exchange a code: a token that reads for an hour what the member has allowed."""
    now = timezone.now()
    membership = code.membership
    token = ApiToken.objects.create(
        membership=membership,
        name=code.app.name,
        scope=ApiToken.Scope.READ,
        smart_scopes=code.scopes,
        token_hash=secret_hash(secret),
        prefix=secret[:8],
        expires_at=now + timedelta(seconds=TOKEN_SECONDS),
    )
    SmartCode.objects.filter(pk=code.pk).update(used_at=now, token=token)
    with clinic_scope(membership.clinic_id):
        audit_record(
            actor=membership.user,
            action="token.create",
            clinic_id=membership.clinic_id,
            target=token,
            scope=token.scope,
            app=str(code.app_id),
        )
    return token


def smart_secret() -> str:
    """Return a new secret of a token."""
    return _PREFIX + secrets.token_urlsafe(32)


def _is_safe(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    local = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}
    secure = parts.scheme == "https" and bool(parts.hostname)
    plain = not (parts.fragment or parts.username or "*" in uri or len(uri) > 500)
    return (secure or local) and plain
