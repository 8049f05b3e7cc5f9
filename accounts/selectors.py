"""Every read about people: tokens, memberships, members of a clinic, the audit trail."""

import hashlib
from datetime import date, datetime, time, timedelta
from uuid import UUID

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import (
    ApiToken,
    AuditEvent,
    Clinic,
    Invitation,
    Membership,
    User,
    membership_in_force,
)
from accounts.smart_models import SmartApp, SmartRefresh


def secret_hash(secret: str) -> str:
    """Return what is stored of a random secret; it has 256 bits, so one SHA-256 suffices."""
    return hashlib.sha256(secret.encode()).hexdigest()


def token_find(*, secret: str) -> ApiToken | None:
    """Return the live token with this secret, with its membership, user and clinic."""
    return _tokens_live().filter(token_hash=secret_hash(secret)).first()


def token_live(*, pk: UUID) -> ApiToken | None:
    """Return the token of this row while it works; for what was opened by it before."""
    return _tokens_live().filter(pk=pk).first()


def _tokens_live() -> QuerySet[ApiToken]:
    return ApiToken.objects.select_related("membership__user", "membership__clinic").filter(
        Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now()),
        Q(app__isnull=True) | Q(app__is_active=True),
        membership_in_force("membership__"),
        revoked_at__isnull=True,
        membership__user__is_active=True,
        membership__clinic__is_active=True,
    )


def token_list(*, membership: Membership, whole_clinic: bool = False) -> QuerySet[ApiToken]:
    """Return the member's tokens, or all of the clinic; those that still work first."""
    whose = (
        Q(membership__clinic_id=membership.clinic_id) if whole_clinic else Q(membership=membership)
    )
    return (
        ApiToken.objects.filter(whose)
        .select_related("membership__user")
        .order_by("-revoked_at", "-created_at")
    )


def clinic_name_is_taken(*, name: str) -> bool:
    """Return whether some clinic has the name; only site administrators may know."""
    return Clinic.objects.filter(name__iexact=name.strip()).exists()


def has_second_factor(*, user: User) -> bool:
    """Return whether sign-in asks the person for more than a password; spare codes are none."""
    kinds = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]
    return bool(Authenticator.objects.filter(user=user, type__in=kinds).exists())


def membership_list(*, user: User) -> QuerySet[Membership]:
    """Return the person's active memberships, by name of the clinic."""
    return (
        Membership.objects.filter(membership_in_force(), user=user, clinic__is_active=True)
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
    return _usable().filter(clinic_id=clinic_id).order_by("email")


def invitation_find(*, secret: str) -> Invitation | None:
    """Return the invitation that this link opens, while it can be accepted."""
    return _usable().filter(token_hash=secret_hash(secret)).first()


def invitation_usable(*, pk: UUID) -> Invitation | None:
    """Return the invitation while it can be accepted."""
    return _usable().filter(pk=pk).first()


def owns_address(*, user: User, email: str) -> bool:
    """Return whether the address is one that the person has proved to own."""
    proved = EmailAddress.objects.filter(user_id=user.pk, email__iexact=email, verified=True)
    return user.email.lower() == email.lower() or proved.exists()


def address_is_known(*, email: str) -> bool:
    """Return whether somebody has an account with this address already."""
    proved = EmailAddress.objects.filter(email__iexact=email, verified=True)
    return User.objects.filter(email__iexact=email).exists() or proved.exists()


def _usable() -> QuerySet[Invitation]:
    return Invitation.objects.filter(
        accepted_at__isnull=True,
        revoked_at__isnull=True,
        expires_at__gt=timezone.now(),
        clinic__is_active=True,
    ).select_related("clinic", "invited_by")


def audit_event_list(
    *,
    clinic_id: UUID,
    action: str = "",
    actor_id: UUID | None = None,
    since: date | None = None,
    until: date | None = None,
) -> QuerySet[AuditEvent]:
    """Return the clinic's trail, newest first; ``action`` is a beginning, both days count."""
    events = AuditEvent.objects.filter(clinic_id=clinic_id).select_related("actor")
    if action:
        events = events.filter(action__startswith=action)
    if actor_id:
        events = events.filter(actor_id=actor_id)
    if since:
        events = events.filter(at__gte=_midnight(since))
    if until:
        events = events.filter(at__lt=_midnight(until + timedelta(days=1)))
    return events.order_by("-id")


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def smart_app_find(*, pk: str) -> SmartApp | None:
    """Return the app with this ``client_id`` while people may let it in."""
    try:
        key = UUID(pk)
    except ValueError:
        return None
    apps = SmartApp.objects.select_related("membership__user")
    return apps.filter(pk=key, is_active=True).first()


def smart_token_find(*, app: SmartApp, secret: str) -> ApiToken | None:
    """Return the app's token that this is the secret of, or a refresh secret of, ended or not."""
    tokens = ApiToken.objects.filter(app=app).select_related("membership__user")
    digest = secret_hash(secret)
    renewing = SmartRefresh.objects.filter(secret_hash=digest).values("token")
    return tokens.filter(Q(token_hash=digest) | Q(pk__in=renewing)).first()


def smart_refresh_is_live(*, secret: str) -> bool:
    """Return whether this is a refresh secret that was not used yet, of a token that may go on."""
    return SmartRefresh.objects.filter(
        membership_in_force("token__membership__"),
        secret_hash=secret_hash(secret),
        used_at__isnull=True,
        token__revoked_at__isnull=True,
        token__renewable_until__gt=timezone.now(),
        token__membership__user__is_active=True,
        token__membership__clinic__is_active=True,
    ).exists()
