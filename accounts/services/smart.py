"""Apps that read FHIR: registering and stopping them, and a member's word that one may read."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.audit import audit_record
from accounts.models import ApiToken, Membership, User
from accounts.policy import Action, require
from accounts.selectors import secret_hash
from accounts.services.clinics import require_site_admin
from accounts.smart_models import SmartApp, SmartCode
from accounts.smart_scopes import scopes_system
from accounts.smart_statements import keys_checked
from accounts.tenancy import clinic_scope
from fracture_site.common.errors import DomainError

CODE_LIFE: Final = timedelta(minutes=1)


def smart_app_create(
    *,
    actor: User,
    name: str,
    redirect_uris: Sequence[str],
    jwks: Mapping[str, Any] | None = None,
) -> SmartApp:
    """Register an app of people; its id is the ``client_id``.

    Raises:
        PermissionDenied: ``actor`` is no site administrator.
        DomainError: ``smart_app_invalid`` or ``smart_keys_invalid``.
    """
    require_site_admin(actor)
    smart_app_check(name, redirect_uris)
    app = SmartApp.objects.create(
        name=name.strip(),
        redirect_uris=list(redirect_uris),
        jwks=None if jwks is None else keys_checked(jwks),
    )
    audit_record(actor=actor, action="smart_app.create", clinic_id=None, target=app)
    return app


def smart_app_check(name: str, redirect_uris: Sequence[str]) -> None:
    """Return when an app may be registered like this.

    Raises:
        DomainError: ``smart_app_invalid``.
    """
    if not name.strip() or not redirect_uris or not all(map(_is_safe, redirect_uris)):
        raise DomainError(
            "smart_app_invalid",
            _("Give a name and https addresses (http for this machine), without a fragment."),
        )


def smart_service_create(
    *,
    actor: User,
    name: str,
    jwks: Mapping[str, Any],
    membership: Membership,
    scopes: Sequence[str],
) -> SmartApp:
    """Register a backend service that reads in one clinic with a member's rights at most.

    Raises:
        PermissionDenied: ``actor`` is no site administrator.
        DomainError: ``smart_app_invalid``, ``smart_scopes_invalid`` or ``smart_keys_invalid``.
    """
    require_site_admin(actor)
    if not name.strip():
        raise DomainError("smart_app_invalid", _("Give the service a name."))
    if not scopes_system(scopes):
        raise DomainError(
            "smart_scopes_invalid", _("Give scopes such as system/*.rs or system/Patient.rs.")
        )
    app = SmartApp.objects.create(
        name=name.strip(),
        jwks=keys_checked(jwks),
        membership=membership,
        system_scopes=" ".join(dict.fromkeys(scopes)),
    )
    _audit(actor, "smart_app.create", app, scopes=list(scopes))
    return app


def smart_app_keys(*, actor: User, app: SmartApp, jwks: Mapping[str, Any]) -> None:
    """Replace the public keys of an app that has some; its tokens stay.

    Raises:
        PermissionDenied: ``actor`` is no site administrator.
        DomainError: ``smart_keys_invalid``, also for a public client, which stays one.
    """
    require_site_admin(actor)
    keys = keys_checked(jwks)
    if app.jwks is None:
        raise DomainError("smart_keys_invalid", _("This app is a public client without keys."))
    SmartApp.objects.filter(pk=app.pk).update(jwks=keys)
    _audit(actor, "smart_app.keys", app)


@transaction.atomic
def smart_app_stop(*, actor: User, app: SmartApp) -> None:
    """Let an app in no more; all its tokens end with their next request.

    Raises:
        PermissionDenied: ``actor`` is no site administrator.
    """
    require_site_admin(actor)
    SmartApp.objects.filter(pk=app.pk).update(is_active=False)
    ApiToken.objects.filter(app=app, revoked_at=None).update(revoked_at=timezone.now())
    _audit(actor, "smart_app.stop", app)


@transaction.atomic
def smart_code_create(
    *,
    membership: Membership,
    app: SmartApp,
    code: str,
    redirect_uri: str,
    scopes: Sequence[str],
    challenge: str,
    patient_id: UUID | None = None,
) -> SmartCode:
    """Store what a member has allowed an app: a code that lives for a minute.

    ``patient_id`` is the patient of the launch; the caller has looked it up in the clinic.

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
        patient_id=patient_id,
        expires_at=timezone.now() + CODE_LIFE,
    )
    audit_record(
        actor=membership.user,
        action="smart_app.allow",
        clinic_id=membership.clinic_id,
        target=app,
        patient_id=patient_id,
        scopes=list(scopes),
    )
    return row


def _audit(actor: User, action: str, app: SmartApp, **details: Any) -> None:
    """Write what the operator did; into the trail of its clinic for a service."""
    clinic_id = app.membership.clinic_id if app.membership else None
    with clinic_scope(clinic_id):
        audit_record(actor=actor, action=action, clinic_id=clinic_id, target=app, **details)


def _is_safe(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    local = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}
    secure = parts.scheme == "https" and bool(parts.hostname)
    plain = not (parts.fragment or parts.username or "*" in uri or len(uri) > 500)
    return (secure or local) and plain
