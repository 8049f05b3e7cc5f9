"""SMART on FHIR: what ``oauthlib`` asks us about apps of people and backend services.

The library checks requests and writes answers; this validator looks things up and stores them.
PKCE with S256 is required, addresses match exactly, a code and a refresh secret work once. A
program that has registered keys proves at each request that it is the one; others are public.
"""

from typing import Any

from django.conf import settings
from oauthlib.common import Request
from oauthlib.oauth2 import RequestValidator

from accounts.selectors import (
    smart_app_find,
    smart_refresh_is_live,
    smart_token_find,
    token_find,
)
from accounts.services.smart import smart_code_create
from accounts.services.smart_tokens import (
    Secrets,
    smart_code_find,
    smart_refresh_find,
    smart_service_may,
    smart_service_token_create,
    smart_token_create,
    smart_token_end,
    smart_token_renew,
)
from accounts.smart_scopes import scopes_askable, scopes_system, scopes_within
from accounts.smart_statements import STATEMENT_TYPE, statement_client

MAX_SCOPES, MAX_LENGTH = 20, 500
CODE, REFRESH, SERVICE = "authorization_code", "refresh_token", "client_credentials"


def fhir_url() -> str:
    """Return the address that an app names as ``aud``."""
    return settings.BASE_URL.rstrip("/") + "/fhir/R4"


def token_url() -> str:
    """Return where tokens are made: the audience of a program's signed statement."""
    return settings.BASE_URL.rstrip("/") + "/oauth/token"


class SmartValidator(RequestValidator):
    """Answers the library's questions from our tables."""

    def validate_client_id(self, client_id: str, request: Request, *_a: Any, **_k: Any) -> bool:
        """Return whether there is such an app."""
        request.client = smart_app_find(pk=client_id or "")
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
        self, _client_id: str, scopes: list[str], client: Any, request: Request, *_a: Any, **_k: Any
    ) -> bool:
        """Return whether all are known, and a service's are among those it was registered for."""
        if not 0 < len(scopes) <= MAX_SCOPES or len(" ".join(scopes)) > MAX_LENGTH:
            return False
        if request.grant_type == SERVICE:
            return scopes_system(scopes) and scopes_within(scopes, client.system_scopes.split())
        return scopes_askable(scopes)

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
            patient_id=request.launch_patient,
        )

    def client_authentication_required(self, request: Request, *_a: Any, **_k: Any) -> bool:
        """Return whether the program has to prove who it is: whoever has keys, and services."""
        if _parameter(request, "client_assertion") or request.grant_type == SERVICE:
            return True
        app = smart_app_find(pk=request.client_id or "")
        return app is not None and app.jwks is not None

    def authenticate_client(self, request: Request, *_args: Any, **_kwargs: Any) -> bool:
        """Return whether a signed statement proves who the program is."""
        if _parameter(request, "client_assertion_type") != STATEMENT_TYPE:
            return False
        statement = _parameter(request, "client_assertion")
        app = statement_client(statement=statement, audience=token_url())
        if app is None or request.client_id not in {None, "", app.client_id}:
            return False
        request.client = app
        return True

    def authenticate_client_id(
        self, client_id: str, request: Request, *_args: Any, **_kwargs: Any
    ) -> bool:
        """Return whether there is such an app."""
        return self.validate_client_id(client_id, request)

    def validate_grant_type(
        self, _client_id: str, grant_type: str, client: Any, *_args: Any, **_kwargs: Any
    ) -> bool:
        """Return whether people's apps exchange and renew, and services ask for themselves."""
        if client.membership_id is not None:
            return grant_type == SERVICE and smart_service_may(app=client)
        return grant_type in {CODE, REFRESH}

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

    def validate_refresh_token(
        self, refresh_token: str, client: Any, request: Request, *_args: Any, **_kwargs: Any
    ) -> bool:
        """Return whether this app may renew now; the token is locked until that is done."""
        found = smart_refresh_find(app=client, secret=refresh_token)
        if found is None:
            return False
        request.smart_refresh, request.user = found, found.token.membership.user
        return True

    def get_original_scopes(
        self, _refresh_token: str, request: Request, *_args: Any, **_kwargs: Any
    ) -> list[str]:
        """Return what the member allowed, however little was asked for since."""
        scopes: str = request.smart_refresh.scopes
        return scopes.split()

    def is_within_original_scope(
        self, request_scopes: list[str], refresh_token: str, request: Request, *_a: Any, **_k: Any
    ) -> bool:
        """Return whether a part of it is asked for."""
        short = len(" ".join(request_scopes)) <= MAX_LENGTH
        return short and scopes_within(
            request_scopes, self.get_original_scopes(refresh_token, request)
        )

    def save_bearer_token(
        self, token: dict[str, Any], request: Request, *_args: Any, **_kwargs: Any
    ) -> None:
        """Store the token and spend what it was made for."""
        told = Secrets(token["access_token"], token.get("refresh_token", ""))
        if request.grant_type == SERVICE:
            smart_service_token_create(
                app=request.client, scopes=request.scopes, secret=told.access
            )
        elif request.grant_type == REFRESH:
            smart_token_renew(refresh=request.smart_refresh, scopes=request.scopes, told=told)
        else:
            smart_token_create(code=request.smart_code, told=told)

    def invalidate_authorization_code(self, *_args: Any, **_kwargs: Any) -> None:
        """Do nothing: the code was spent together with making the token."""

    def revoke_token(
        self, token: str, _token_type_hint: str, request: Request, *_args: Any, **_kwargs: Any
    ) -> None:
        """End one of the app's own tokens, named by either of its secrets."""
        found = smart_token_find(app=request.client, secret=token)
        if found is not None:
            smart_token_end(token=found)

    def introspect_token(
        self, token: str, _token_type_hint: str, request: Request, *_args: Any, **_kwargs: Any
    ) -> dict[str, Any] | None:
        """Return what one of the app's own secrets opens; nothing of one that is over."""
        found = smart_token_find(app=request.client, secret=token)
        if found is None:
            return None
        ends = found.expires_at
        if token_find(secret=token) is None:
            if not smart_refresh_is_live(secret=token):
                return None
            ends = found.renewable_until
        claims: dict[str, Any] = {
            "scope": found.smart_scopes,
            "client_id": str(found.app_id),
            "sub": str(found.membership.user_id),
            "iss": fhir_url(),
            "aud": fhir_url(),
            "token_type": "Bearer",
        }
        if ends is not None:
            claims["exp"] = int(ends.timestamp())
        if found.patient_id is not None:
            claims["patient"] = str(found.patient_id)
        return claims


def as_https(path: str) -> str:
    """Return an address for the library, which reads its parameters and insists on https.

    That people come by https is the site's own setting; a demo on one machine has none.
    """
    return f"https://site{path}"


def _parameter(request: Request, name: str) -> str:
    """Return a parameter that the library does not know by name."""
    return str(dict(request.decoded_body or ()).get(name, ""))
