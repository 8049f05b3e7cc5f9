"""The endpoints of SMART, put together from ``oauthlib``: the grants, and how they answer."""

import re
from typing import Any

from oauthlib.common import Request
from oauthlib.oauth2 import (
    AuthorizationCodeGrant,
    AuthorizationEndpoint,
    BearerToken,
    ClientCredentialsGrant,
    IntrospectEndpoint,
    RefreshTokenGrant,
    RevocationEndpoint,
    TokenEndpoint,
)
from oauthlib.oauth2.rfc6749.errors import UnsupportedCodeChallengeMethodError

from accounts.services.smart_tokens import SERVICE_SECONDS, TOKEN_SECONDS, smart_secret
from accounts.smart import CODE, REFRESH, SERVICE, SmartValidator
from accounts.smart_scopes import OFFLINE, ONLINE

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


class SmartToken(BearerToken):
    """An answer with a token: a refresh secret for those who may renew, the patient if there is."""

    def create_token(
        self,
        request: Request,
        refresh_token: bool = False,  # noqa: FBT001, FBT002 - the library's signature
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the answer."""
        renewing = request.grant_type == REFRESH
        allowed = request.smart_refresh.scopes.split() if renewing else request.scopes or []
        renewable = refresh_token and bool({OFFLINE, ONLINE} & set(allowed))
        token: dict[str, Any] = super().create_token(request, refresh_token=renewable, **kwargs)
        patient = None
        if request.grant_type == CODE:
            patient = request.smart_code.patient_id
        elif renewing:
            patient = request.smart_refresh.token.patient_id
        if patient is not None:
            token["patient"] = str(patient)
            token["need_patient_banner"] = True
        return token


def authorization_endpoint() -> AuthorizationEndpoint:
    """Return what checks and answers a request for a code."""
    return AuthorizationEndpoint(
        default_response_type="code",
        default_token_type=_bearer(),
        response_types={"code": _code_grant()},
    )


def token_endpoint() -> TokenEndpoint:
    """Return what makes tokens: for a code, for a refresh secret, for a service."""
    return TokenEndpoint(
        default_grant_type=CODE,
        default_token_type=_bearer(),
        grant_types={
            CODE: _code_grant(),
            REFRESH: RefreshTokenGrant(request_validator=SmartValidator()),
            SERVICE: ClientCredentialsGrant(request_validator=SmartValidator()),
        },
    )


def revocation_endpoint() -> RevocationEndpoint:
    """Return what ends a token for its app."""
    return RevocationEndpoint(SmartValidator())


def introspection_endpoint() -> IntrospectEndpoint:
    """Return what tells an app about a token of its own."""
    return IntrospectEndpoint(_IntrospectionValidator())


class _IntrospectionValidator(SmartValidator):
    """RFC 7662 wants whoever asks to be authorised: programs with keys, which prove themselves."""

    def client_authentication_required(self, *_args: Any, **_kwargs: Any) -> bool:
        """Return true."""
        return True


def _code_grant() -> AuthorizationCodeGrant:
    grant = AuthorizationCodeGrant(request_validator=SmartValidator())
    grant.custom_validators.pre_auth.append(_require_s256)
    return grant


def _bearer() -> BearerToken:
    return SmartToken(
        SmartValidator(),
        token_generator=lambda _request: smart_secret(),
        expires_in=lambda request: (
            SERVICE_SECONDS if request.grant_type == SERVICE else TOKEN_SECONDS
        ),
    )


def _require_s256(request: Request) -> dict[str, Any]:
    if request.code_challenge_method != "S256" or not _CHALLENGE.fullmatch(
        request.code_challenge or ""
    ):
        raise UnsupportedCodeChallengeMethodError(request=request)
    return {}
