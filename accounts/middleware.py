"""Who is asking and for which clinic: API tokens, the current clinic, audited denials."""

from collections.abc import Callable
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase

from accounts.audit import audit_denial
from accounts.models import Membership, User
from accounts.policy import ActionDeniedError
from accounts.selectors import membership_current, token_find
from accounts.tenancy import clinic_scope

GetResponse = Callable[[HttpRequest], HttpResponseBase]
SESSION_KEY = "current_clinic"
TOKEN_PATHS = ("/api/",)


class ApiTokenMiddleware:
    """Turn ``Authorization: Token …`` into a user before the clinic scope opens.

    A request with a token never falls back to a session: a wrong token is
    anonymous, even when the browser would be signed in.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Set ``request.user`` and ``request.api_token``."""
        request.api_token = None  # type: ignore[attr-defined]
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "token" and request.path.startswith(TOKEN_PATHS):
            token = token_find(secret=secret.strip())
            request.user = token.membership.user if token else AnonymousUser()
            request.api_token = token  # type: ignore[attr-defined]
            request.api_token_given = True  # type: ignore[attr-defined]
            if token:
                request.user.acting_token_id = token.pk  # type: ignore[union-attr]
        return self.get_response(request)


class ClinicScopeMiddleware:
    """Run the view and its rendering in one transaction of the current clinic.

    A server error rolls everything back; a denied action is written to the
    audit trail after the service's own savepoint was rolled back.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Set ``request.membership`` and open the scope."""
        membership = self._membership(request)
        request.membership = membership  # type: ignore[attr-defined]
        with clinic_scope(membership.clinic_id if membership else None):
            response = self.get_response(request)
            if response.status_code >= 500:
                transaction.set_rollback(True)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Record what a page refused; the API's exception handler does the same for itself."""
        if isinstance(exception, ActionDeniedError):
            audit_denial(request=request, error=exception)

    @staticmethod
    def _membership(request: HttpRequest) -> Membership | None:
        token = request.api_token  # type: ignore[attr-defined]
        if token is not None:
            return token.membership  # type: ignore[no-any-return]
        if not isinstance(request.user, User):
            return None
        chosen = request.session.get(SESSION_KEY)
        return membership_current(user=request.user, clinic_id=UUID(chosen) if chosen else None)
