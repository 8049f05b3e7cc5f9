"""SMART App Launch, standalone: what an app may ask for, and OAuth's rules by ``oauthlib``.

The library checks requests and writes answers; this validator looks things up and stores them.
Apps are public clients: PKCE with S256 is required, addresses match exactly, a code works once, and
tokens live an hour, without refresh.
"""

import re
from typing import Any, Final

from oauthlib.common import Request
from oauthlib.oauth2 import (
    AuthorizationCodeGrant,
    AuthorizationEndpoint,
    BearerToken,
    RequestValidator,
    TokenEndpoint,
)
from oauthlib.oauth2.rfc6749.errors import UnsupportedCodeChallengeMethodError

from accounts.selectors import smart_app_find
from accounts.services.smart import (
    TOKEN_SECONDS,
    smart_code_create,
    smart_code_find,
    smart_secret,
    smart_token_create,
)

READABLE: Final = (
    "Patient",
    "ServiceRequest",
    "ImagingStudy",
    "Observation",
    "DiagnosticReport",
    "Device",
    "DocumentReference",
    "Provenance",
    "AuditEvent",
)
_SCOPE = re.compile(r"user/(\*|[A-Za-z]+)\.(read|rs)")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
MAX_SCOPES: Final = 20


def scope_is_known(scope: str) -> bool:
    """Return whether an app may ask for it: reading all types, or one, in either spelling."""
    found = _SCOPE.fullmatch(scope)
    return found is not None and (found[1] == "*" or found[1] in READABLE)


def scope_reads(scopes: str, kind: str) -> bool:
    """Return whether a token's scopes let it read a type; a token without any is no app's."""
    if not scopes:
        return True
    given = set(scopes.split())
    return any(f"user/{name}.{verb}" in given for name in ("*", kind) for verb in ("read", "rs"))


class SmartValidator(RequestValidator):
    """Answers the library's questions from our tables."""

    def validate_client_id(self, client_id: str, request: Request, *_a: Any, **_k: Any) -> bool:
        """Return whether there is such an app."""
        request.client = smart_app_find(pk=client_id)
        return request.client is not None

    def validate_redirect_uri(
        self, _client_id: str, redirect_uri: str, request: Request, *_a: Any, **_k: Any
    ) -> bool:
        """Return whether it is, letter by letter, one of the app's addresses."""
        return redirect_uri in request.client.redirect_uris

    def get_default_redirect_uri(self, *_args: Any, **_kwargs: Any) -> None:
        """Return none: an app names its address."""

    def validate_response_type(
        self, _client_id: str, response_type: str, *_args: Any, **_kwargs: Any
    ) -> bool:
        """Return whether a code is asked for."""
        return bool(response_type == "code")

    def get_default_scopes(self, *_args: Any, **_kwargs: Any) -> list[str]:
        """Return none: an app says what it wants."""
        return []

    def validate_scopes(
        self, _client_id: str, scopes: list[str], *_args: Any, **_kwargs: Any
    ) -> bool:
        """Return whether all are known."""
        return 0 < len(scopes) <= MAX_SCOPES and all(map(scope_is_known, scopes))

    def is_pkce_required(self, *_args: Any) -> bool:
        """Return true: a code that is stolen on its way must be worth nothing."""
        return True

    def save_authorization_code(
        self, _client_id: str, code: dict[str, str], request: Request, *_a: Any, **_k: Any
    ) -> None:
        """Store what the person has just allowed; the view has set ``request.membership``."""
        smart_code_create(
            membership=request.membership,
            app=request.client,
            code=code["code"],
            redirect_uri=request.redirect_uri,
            scopes=request.scopes,
            challenge=request.code_challenge,
        )

    def client_authentication_required(self, *_args: Any, **_kwargs: Any) -> bool:
        """Return false: public clients have no secret."""
        return False

    def authenticate_client_id(
        self, client_id: str, request: Request, *_args: Any, **_kwargs: Any
    ) -> bool:
        """Return whether there is such an app."""
        return self.validate_client_id(client_id, request)

    def validate_grant_type(
        self, _client_id: str, grant_type: str, *_args: Any, **_kwargs: Any
    ) -> bool:
        """Return whether a code is exchanged."""
        return bool(grant_type == "authorization_code")

    def validate_code(
        self, _client_id: str, code: str, client: Any, request: Request, *_a: Any, **_k: Any
    ) -> bool:
        """Return whether this app may exchange the code now; it is locked until that is done."""
        found = smart_code_find(app=client, code=code)
        if found is None:
            return False
        request.smart_code = found
        request.user, request.scopes = found.membership.user, found.scopes.split()
        return True

    def get_code_challenge(self, _code: str, request: Request) -> str:
        """Return what the app committed itself to."""
        challenge: str = request.smart_code.challenge
        return challenge

    def get_code_challenge_method(self, *_args: Any) -> str:
        """Return the only one."""
        return "S256"

    def confirm_redirect_uri(
        self, _client_id: str, _code: str, redirect_uri: str, _client: Any, request: Request,
        *_args: Any, **_kwargs: Any,
    ) -> bool:  # fmt: skip
        """Return whether it is the address that the code was sent to."""
        return bool(redirect_uri == request.smart_code.redirect_uri)

    def save_bearer_token(
        self, token: dict[str, Any], request: Request, *_args: Any, **_kwargs: Any
    ) -> None:
        """Store the token and spend the code."""
        smart_token_create(code=request.smart_code, secret=token["access_token"])

    def invalidate_authorization_code(self, *_args: Any, **_kwargs: Any) -> None:
        """Do nothing: the code was spent together with making the token."""


def authorization_endpoint() -> AuthorizationEndpoint:
    """Return what checks and answers a request for a code."""
    return AuthorizationEndpoint(
        default_response_type="code",
        default_token_type=_bearer(),
        response_types={"code": _grant()},
    )


def token_endpoint() -> TokenEndpoint:
    """Return what exchanges a code for a token."""
    return TokenEndpoint(
        default_grant_type="authorization_code",
        default_token_type=_bearer(),
        grant_types={"authorization_code": _grant()},
    )


def _grant() -> AuthorizationCodeGrant:
    grant = AuthorizationCodeGrant(request_validator=SmartValidator(), refresh_token=False)
    grant.custom_validators.pre_auth.append(_require_s256)
    return grant


def _bearer() -> BearerToken:
    return BearerToken(
        SmartValidator(),
        token_generator=lambda _request: smart_secret(),
        expires_in=TOKEN_SECONDS,
    )


def _require_s256(request: Request) -> dict[str, Any]:
    if request.code_challenge_method != "S256" or not _CHALLENGE.fullmatch(
        request.code_challenge or ""
    ):
        raise UnsupportedCodeChallengeMethodError(request=request)
    return {}
