"""Who is asking, and for which clinic: sessions, API tokens, the current clinic, denials."""

import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from urllib.parse import urlencode, urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.http.request import UnreadablePostError
from django.shortcuts import resolve_url
from django.utils import timezone
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRedirect
from redis.exceptions import RedisError

from accounts.audit import (
    SAFE_METHODS,
    audit_denial,
    audit_denials_write,
    audit_record,
    denials_of,
)
from accounts.models import ApiToken, Membership, User
from accounts.policy import ActionDeniedError
from accounts.reauthentication import attempts_unavailable
from accounts.selectors import has_second_factor, membership_current, token_find
from accounts.services import SESSION_KEY, token_touch
from accounts.tenancy import clinic_scope
from fracture_site.common.answers import FHIR_PREFIX, error_response, is_api
from fracture_site.common.errors import DomainError

logger = logging.getLogger(__name__)
GetResponse = Callable[[HttpRequest], HttpResponseBase]
SECOND_FACTOR_PAGE = "mfa_index"
SIGNED_IN_KEY = "signed_in_at"
SEEN_KEY = "seen_at"
TOKEN_PATHS = ("/api/", "/fhir/")
# These answer while the database does not.
UNSCOPED_PATHS = ("/healthz", "/readyz", "/metrics")
ABANDONED = "_abandoned"
RETRY_AFTER_S = "10"


class SessionLifetimeMiddleware:
    """End a session that is idle for too long or too old.

    Parts of pages that refresh themselves send ``X-Background: true``: a screen that
    nobody looks at must not keep its session alive.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Sign out what is over its time, and note activity at most once a minute."""
        if settings.SESSION_COOKIE_NAME in request.COOKIES and isinstance(request.user, User):
            session, now = request.session, int(time.time())
            seen = session.setdefault(SEEN_KEY, now)
            idle = now - seen > settings.SESSION_IDLE_SECONDS
            old = now - session.setdefault(SIGNED_IN_KEY, now) > settings.SESSION_ABSOLUTE_SECONDS
            if idle or old:
                audit_record(actor=request.user, action="auth.session_expired", clinic_id=None)
                logout(request)
            elif now - seen >= 60 and request.headers.get("X-Background") != "true":
                _note_activity(session, now)
        return _sign_in_as_a_page(request, self.get_response(request))


def _note_activity(session: SessionBase, now: int) -> None:
    """Write the time into a fresh copy of the session.

    Saving this request's copy at its end could undo what another request changes
    meanwhile: which clinic the person chose.
    """
    fresh = type(session)(session.session_key)
    fresh[SEEN_KEY] = now
    with suppress(UpdateError):  # signed out meanwhile
        fresh.save()


def _sign_in_as_a_page(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Lead a page whose part was asked for after the session ended to sign-in as a whole."""
    htmx = getattr(request, "htmx", None)
    target = urlsplit(response.headers.get("Location", "")).path
    if htmx and response.status_code == 302 and target == resolve_url(SECOND_FACTOR_PAGE):
        return HttpResponseClientRedirect(target)
    if not htmx or response.status_code != 302 or target != resolve_url(settings.LOGIN_URL):
        return response
    return HttpResponseClientRedirect(
        f"{target}?{urlencode({'next': htmx.current_url_abs_path or '/'})}"
    )


class ApiTokenMiddleware:
    """Turn ``Authorization: Token …`` (or ``Bearer …``) into a user before the clinic scope opens.

    A request with a token never falls back to a session: a wrong token is
    anonymous, even when the browser would be signed in, and the session that
    the browser sent is neither read nor changed.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Set ``request.user`` and ``request.api_token``."""
        request.api_token = None  # type: ignore[attr-defined]
        scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() in {"token", "bearer"} and request.path.startswith(TOKEN_PATHS):
            self._use_token(request, secret.strip())
        return self.get_response(request)

    @staticmethod
    def _use_token(request: HttpRequest, secret: str) -> None:
        token = token_find(secret=secret)
        if token and token.smart_scopes and not request.path.startswith(FHIR_PREFIX):
            token = None  # a SMART app reads FHIR and nothing else
        request.api_token_given = True  # type: ignore[attr-defined]
        request.api_token = token  # type: ignore[attr-defined]
        request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)
        request.session = import_module(settings.SESSION_ENGINE).SessionStore()
        request.user = AnonymousUser()
        if token:
            request.user = token.membership.user
            request.user.acting_token_id = token.pk  # type: ignore[attr-defined]
            token_touch(token=token)


class UploadMiddleware:
    """Bound every body by its length, and take uploads in before the transaction opens.

    A phone on a bad line may need minutes; a transaction must not wait for it. Only
    ``settings.UPLOAD_PATHS`` take files, and only from people and programs that are known:
    nobody else makes the server read more than a form.
    """

    FORM_OVERHEAD = 2**20

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Read an upload; answer 413, or send to sign-in, without reading."""
        takes_files = request.method == "POST" and any(
            re.fullmatch(path, request.path_info) for path in settings.UPLOAD_PATHS
        )
        limit = settings.INGEST_MAX_BYTES if takes_files else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if _body_length(request) > limit + self.FORM_OVERHEAD:
            detail = _("This file is too large.") if takes_files else _("This is too much at once.")
            return error_response(request, 413, "too_large", detail)
        takes_part = request.method == "PATCH" and bool(
            re.fullmatch(settings.UPLOAD_PART_PATH, request.path_info)
        )
        if not takes_files and not takes_part:
            return self.get_response(request)
        if not isinstance(request.user, User):  # the forgery check would read the body
            if is_api(request):
                return self.get_response(request)  # 401, before any parser runs
            return redirect_to_login(request.get_full_path())
        token: ApiToken | None = getattr(request, "api_token", None)
        if token is None or token.scope == ApiToken.Scope.WRITE:
            try:
                _read = request.POST
                if takes_part or request.content_type == "multipart/related":
                    # Parts and STOW-RS are no forms, so nothing has been read yet.
                    request._body = request.read()  # noqa: SLF001
            except UnreadablePostError:  # the sender went away
                return HttpResponse(status=400)
        return self.get_response(request)


def _body_length(request: HttpRequest) -> int:
    """Return how much of the body can be read; Django takes an odd length for none, too."""
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


class ClinicScopeMiddleware:
    """Run the view and its rendering in one transaction of the current clinic.

    A server error, and a page that ends in 403 or 404, roll everything back; a
    denied action is then written to the audit trail in a transaction of its own.
    A ``DomainError`` does not: each service undoes its own part, and a wrong
    password stays on record. Bodies that stream run after the transaction, where
    no clinical row is visible.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Set ``request.membership`` and open the scope."""
        request.membership = None  # type: ignore[attr-defined]
        if request.path in UNSCOPED_PATHS:
            return self.get_response(request)
        membership = _membership(request)
        request.second_factor_missing = _lacks_second_factor(  # type: ignore[attr-defined]
            request, membership
        )
        if request.second_factor_missing:  # type: ignore[attr-defined]
            membership = None
        request.membership = membership  # type: ignore[attr-defined]
        clinic_id = membership.clinic_id if membership else None
        with clinic_scope(clinic_id), timezone.override(_zone(request, membership)):
            response = self.get_response(request)
            if (
                response.status_code >= 500
                or denials_of(request)
                or request.__dict__.get(ABANDONED)
            ):
                transaction.set_rollback(True)
        if denials_of(request):
            with clinic_scope(clinic_id):
                audit_denials_write(request=request)
        if response.status_code == 503 and not response.has_header("Retry-After"):
            response["Retry-After"] = RETRY_AFTER_S
        if isinstance(request.user, User) and not response.has_header("Cache-Control"):
            # The next person at this computer must not page back into it.
            response["Cache-Control"] = "private, no-store"
        return response

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> HttpResponseBase | None:
        """Answer what a page refused; the API's exception handler does the same for itself."""
        if isinstance(exception, Http404 | PermissionDenied):
            setattr(request, ABANDONED, True)
        if isinstance(exception, ActionDeniedError):
            audit_denial(request=request, action=exception.action)
        if isinstance(exception, RedisError):  # sign-in: allauth counts attempts in the cache
            logger.error("attempts cannot be counted", extra={"code": type(exception).__name__})
            exception = attempts_unavailable()
        if isinstance(exception, DomainError):
            detail = str(exception.detail or exception.code)
            return error_response(request, exception.http_status, exception.code, detail)
        return None


def _lacks_second_factor(request: HttpRequest, membership: Membership | None) -> bool:
    """Return whether the clinic asks for a second factor and the signed-in person has none.

    A program's token is no password: it was made by somebody who was inside.
    """
    if membership is None or getattr(request, "api_token_given", False):
        return False
    required = membership.clinic.second_factor_required
    return required and not has_second_factor(user=membership.user)


def _zone(request: HttpRequest, membership: Membership | None) -> ZoneInfo | None:
    """Return the clock that pages show: the clinic's. Programs get the site's, which is UTC."""
    if membership is None or is_api(request):
        return None
    try:
        return ZoneInfo(membership.clinic.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        return None


def _membership(request: HttpRequest) -> Membership | None:
    """Return the membership that this request acts with.

    The first choice is remembered, so that a new membership never moves a
    person to another clinic. When the chosen one has ended, what the page on
    the screen still sends must not land in another clinic: only the next
    opened page moves there.
    """
    if getattr(request, "api_token_given", False):
        token = request.api_token  # type: ignore[attr-defined]
        return token.membership if token else None
    if not isinstance(request.user, User):
        return None
    chosen = request.session.get(SESSION_KEY)
    membership = membership_current(user=request.user, clinic_id=UUID(chosen) if chosen else None)
    if membership is None or str(membership.clinic_id) == chosen:
        return membership
    if chosen and request.method not in SAFE_METHODS:
        return None
    request.session[SESSION_KEY] = str(membership.clinic_id)
    return membership
