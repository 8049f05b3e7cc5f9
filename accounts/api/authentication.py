"""DRF's view of what ``ApiTokenMiddleware`` found."""

from typing import cast

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.models import ApiToken, User


class MiddlewareTokenAuthentication(BaseAuthentication):
    """Accept the token that the middleware resolved; a wrong one is 401, never a session."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """Return user and token, or ``None`` when no token was sent."""
        if not getattr(request._request, "api_token_given", False):
            return None
        token: ApiToken | None = request._request.api_token  # type: ignore[attr-defined]
        if token is None:
            raise AuthenticationFailed(code="invalid_token")
        user = request._request.user
        return cast("User", user), token

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 - DRF's signature
        """Name the scheme, which makes DRF answer 401 instead of 403."""
        return "Token"
