"""The life of an app's token: exchanged for a code, renewed, made for a service, ended.

An app has one row for each time that a member allowed it. Renewing changes the row's secret; the
refresh secrets hang on it, so that revoking the row, stopping the app or the end of the membership
ends all of them at once.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.audit import audit_record
from accounts.models import ApiToken, AuditEvent, Membership, User
from accounts.policy import Action, allowed_actions
from accounts.selectors import secret_hash
from accounts.smart_models import SmartApp, SmartCode, SmartRefresh
from accounts.smart_scopes import OFFLINE, ONLINE
from accounts.tenancy import clinic_scope

TOKEN_SECONDS: Final = 3600
SERVICE_SECONDS: Final = 300
OFFLINE_LIFE: Final = timedelta(days=90)
_PREFIX: Final = "fs_"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the app is told once; only hashes of it are stored."""

    access: str
    refresh: str = ""


def smart_secret() -> str:
    """Return a new secret."""
    return _PREFIX + secrets.token_urlsafe(32)


def smart_code_find(*, app: SmartApp, code: str) -> SmartCode | None:
    """Return the app's code while it can be exchanged, locked until the transaction ends.

    One that was exchanged before ends the token it was exchanged for: two holders of one code
    mean that one of them stole it.
    """
    row = (
        SmartCode.objects.select_for_update(of=("self",))
        .select_related("membership__user", "app", "token")
        .filter(app=app, code_hash=secret_hash(code))
        .first()
    )
    if row is None:
        return None
    if row.used_at is not None:
        if row.token is not None:
            _stolen(row.token)
        return None
    live = row.expires_at > timezone.now() and _may_hold_tokens(row.membership)
    return row if live else None


@transaction.atomic
def smart_token_create(*, code: SmartCode, told: Secrets) -> ApiToken:
    """Exchange a code: a token that reads for an hour what the member has allowed."""
    now, scopes = timezone.now(), code.scopes.split()
    _forget_old(code.app)
    token = ApiToken.objects.create(
        membership=code.membership,
        app=code.app,
        name=code.app.name,
        scope=ApiToken.Scope.READ,
        smart_scopes=code.scopes,
        patient_id=code.patient_id,
        token_hash=secret_hash(told.access),
        prefix=told.access[:8],
        expires_at=now + timedelta(seconds=TOKEN_SECONDS),
        renewable_until=now + _life(scopes) if told.refresh else None,
    )
    SmartCode.objects.filter(pk=code.pk).update(used_at=now, token=token)
    if told.refresh:
        _add_refresh(token, told.refresh, code.scopes)
    _audit("token.create", token, app=str(code.app_id))
    return token


def smart_refresh_find(*, app: SmartApp, secret: str) -> SmartRefresh | None:
    """Return an unused refresh secret of the app whose token may live on; its token is locked.

    One that was used before ends the token: the app and a thief both hold it.
    """
    known = SmartRefresh.objects.filter(token__app=app, secret_hash=secret_hash(secret)).first()
    if known is None:
        return None
    tokens = ApiToken.objects.select_for_update(of=("self",)).select_related("membership__user")
    token = tokens.get(pk=known.token_id)
    row = SmartRefresh.objects.get(pk=known.pk)  # as it is now that the token is ours alone
    row.token = token
    if row.used_at is not None:
        _stolen(token)
        return None
    ends = token.renewable_until
    live = token.revoked_at is None and ends is not None and ends > timezone.now()
    return row if live and _may_hold_tokens(token.membership) else None


@transaction.atomic
def smart_token_renew(*, refresh: SmartRefresh, scopes: Sequence[str], told: Secrets) -> ApiToken:
    """Give the token a new secret for another hour; the old one and the refresh secret are over."""
    now, token = timezone.now(), refresh.token
    token.smart_scopes = " ".join(dict.fromkeys(scopes))
    token.token_hash, token.prefix = secret_hash(told.access), told.access[:8]
    token.expires_at = now + timedelta(seconds=TOKEN_SECONDS)
    if token.renewable_until is not None:
        token.expires_at = min(token.expires_at, token.renewable_until)
    token.save(update_fields=["smart_scopes", "token_hash", "prefix", "expires_at"])
    SmartRefresh.objects.filter(pk=refresh.pk).update(used_at=now)
    _add_refresh(token, told.refresh, refresh.scopes)
    _audit("token.renew", token, app=str(token.app_id))
    return token


@transaction.atomic
def smart_service_token_create(*, app: SmartApp, scopes: Sequence[str], secret: str) -> ApiToken:
    """Make a backend service's token, for five minutes and without renewal."""
    membership = app.membership
    if membership is None:
        raise ValueError("not a backend service")
    _forget_old(app)
    token = ApiToken.objects.create(
        membership=membership,
        app=app,
        name=app.name,
        scope=ApiToken.Scope.READ,
        smart_scopes=" ".join(scopes),
        token_hash=secret_hash(secret),
        prefix=secret[:8],
        expires_at=timezone.now() + timedelta(seconds=SERVICE_SECONDS),
    )
    _audit("token.create", token, app=str(app.pk))
    return token


def smart_service_may(*, app: SmartApp) -> bool:
    """Return whether the member, whose rights the service has, may hold tokens now."""
    return app.membership is not None and _may_hold_tokens(app.membership)


@transaction.atomic
def smart_token_end(*, token: ApiToken) -> None:
    """End a token because its app has asked for that."""
    ended = ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())
    if ended:
        _audit("token.revoke", token, app=str(token.app_id))


def smart_online_end(*, user: User) -> None:
    """End what apps may read only while the person is here; they have just signed out."""
    online = ApiToken.objects.filter(
        membership__user=user, revoked_at=None, refreshes__scopes__contains=ONLINE
    )
    ids = set(online.values_list("pk", flat=True))
    ApiToken.objects.filter(pk__in=ids).update(revoked_at=timezone.now())


def _may_hold_tokens(membership: Membership) -> bool:
    allowed = allowed_actions(user=membership.user, clinic_id=membership.clinic_id)
    return Action.TOKEN_MANAGE in allowed


def _life(scopes: Sequence[str]) -> timedelta:
    """Return how long a token can be renewed; ``online_access`` ends with the longest session."""
    online = timedelta(seconds=settings.SESSION_ABSOLUTE_SECONDS)
    return OFFLINE_LIFE if OFFLINE in scopes else online


def _add_refresh(token: ApiToken, secret: str, scopes: str) -> None:
    SmartRefresh.objects.create(token=token, secret_hash=secret_hash(secret), scopes=scopes)


def _stolen(token: ApiToken) -> None:
    if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        _audit("token.reuse", token, outcome=AuditEvent.Outcome.DENIED, app=str(token.app_id))


def _forget_old(app: SmartApp) -> None:
    """Drop the secrets of tokens that nobody can renew any more, and a service's old tokens.

    A service asks every few minutes; the trail keeps the id of each of its tokens.
    """
    now = timezone.now()
    SmartRefresh.objects.filter(token__app=app, token__renewable_until__lt=now).delete()
    if app.membership_id is not None:
        day_ago = now - timedelta(days=1)
        ApiToken.objects.filter(app=app, expires_at__lt=day_ago).delete()


def _audit(action: str, token: ApiToken, **details: Any) -> None:
    membership = token.membership
    with clinic_scope(membership.clinic_id):
        audit_record(
            actor=membership.user,
            action=action,
            clinic_id=membership.clinic_id,
            target=token,
            patient_id=token.patient_id,
            **details,
        )
