"""Proof that the signed-in person is there right now, for pages and API alike."""

import time
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from redis.exceptions import RedisError

from accounts.mfa import ReauthenticateForm
from accounts.models import User
from fracture_site.common.errors import DomainError, UnavailableError


class ReauthenticationError(DomainError):
    """The person did not prove to be there (HTTP 403)."""

    http_status = 403


class SecondFactorMissingError(DomainError):
    """The clinic asks everybody for a second factor, and this person has none (HTTP 403)."""

    http_status = 403


def second_factor_words() -> Any:
    """Return what somebody reads who has no second factor where the clinic wants one."""
    return _("Your clinic asks for a second factor. Set one up here; then everything opens.")


class TooManyAttemptsError(DomainError):
    """All ways to confirm share one limit of wrong attempts (HTTP 429)."""

    http_status = 429


def credentials_confirm(
    *, request: Any, password: str | None = None, otp: str | None = None
) -> None:
    """Return silently when the password or the one-time code is right.

    Without either, an allauth re-authentication of this session within the last
    two minutes does, and so does a sign-in through a provider within that time:
    such people have no password here. A request with an API token has no session.
    Wrong attempts are audited; call this before the transaction of the service,
    so that they stay.

    Args:
        request: Django's request or DRF's.
        password: the person's password.
        otp: a code of their authenticator app.

    Raises:
        ReauthenticationError: ``reauthentication_required`` when nothing was given,
            ``reauthentication_failed`` when it is wrong.
        TooManyAttemptsError: ``too_many_attempts``.
        UnavailableError: ``attempts_unavailable``: without the cache nobody counts them.
    """
    http_request: HttpRequest = getattr(request, "_request", request)
    user = http_request.user
    if not isinstance(user, User) or not user.is_active:
        raise _required()
    if not password and not otp:
        if recently_confirmed(http_request):
            return
        raise _required()
    try:
        right = _password_is_right(user, password) if password else _code_is_right(user, otp or "")
    except RedisError as error:
        raise attempts_unavailable() from error
    if not right:
        raise ReauthenticationError(
            "reauthentication_failed", _("The password or code is not right.")
        )


def recently_confirmed(request: HttpRequest) -> bool:
    """Return whether this session was confirmed within ``ACCOUNT_REAUTHENTICATION_TIMEOUT``."""
    if getattr(request, "api_token_given", False):
        return False
    since = time.time() - settings.ACCOUNT_REAUTHENTICATION_TIMEOUT
    return any(
        since < record["at"] <= time.time()
        and (record.get("reauthenticated") or record["method"] == "socialaccount")
        for record in get_authentication_records(request, request.user)
    )


def session_is_fresh(request: HttpRequest) -> bool:
    """Return whether the person signed in or confirmed within the same time, in whatever way.

    Who signs in through a provider alone cannot be asked again here and passes.
    """
    since = time.time() - settings.ACCOUNT_REAUTHENTICATION_TIMEOUT
    records = get_authentication_records(request, request.user)
    fresh = any(since < record["at"] <= time.time() for record in records)
    return fresh or not get_adapter().get_reauthentication_methods(request.user)


def has_authenticator(user: User) -> bool:
    """Return whether the person can prove who they are by a one-time code."""
    return bool(Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists())


def _password_is_right(user: User, password: str) -> bool:
    try:
        return bool(user.has_usable_password() and get_adapter().reauthenticate(user, password))
    except ValidationError as error:
        raise _too_many() from error


def _code_is_right(user: User, otp: str) -> bool:
    if not has_authenticator(user):
        return False
    form = ReauthenticateForm(user=user, data={"code": otp})
    if form.is_valid():
        form.authenticator.record_usage()
        return True
    codes = {error.code for error in form.errors.as_data().get("code", [])}
    if "too_many_login_attempts" in codes:
        raise _too_many()
    return False


def attempts_unavailable() -> UnavailableError:
    """Return the answer to every password and code while attempts cannot be counted."""
    return UnavailableError(
        "attempts_unavailable",
        _("Passwords and codes cannot be checked at the moment. Please try again in a minute."),
    )


def _required() -> ReauthenticationError:
    return ReauthenticationError(
        "reauthentication_required", _("Enter your password or a code to confirm this.")
    )


def _too_many() -> TooManyAttemptsError:
    return TooManyAttemptsError(
        "too_many_attempts", _("Too many wrong attempts. Please wait five minutes.")
    )
