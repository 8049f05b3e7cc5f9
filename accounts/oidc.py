"""Sign-in through a hospital's OpenID provider: what it says is checked as if it came by post.

allauth leaves the ID token's signature unchecked when the token came straight from the provider
over TLS, as the standard allows, and takes issuer and keys from whatever the address serves. Here
the signature is always checked, with keys and algorithms of a short list; the issuer is the one
that the operator configured (OpenID Connect Discovery 4.3), and both sources of claims must speak
of one person (OpenID Connect Core 5.3.2).
"""

from typing import Any, Final

import jwt
from allauth.account.internal.decorators import login_not_required
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import (
    OAuth2CallbackView,
    OAuth2LoginView,
    OAuth2View,
)
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.http import Http404, HttpRequest, HttpResponseBase
from requests import RequestException

ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
)  # fmt: skip
REQUIRED: Final = ("iss", "sub", "aud", "exp", "iat")
WELL_KNOWN: Final = "/.well-known/openid-configuration"
CLOCKS_DIFFER_S: Final = 30


class CheckedOpenIDAdapter(OpenIDConnectOAuth2Adapter):
    """allauth's own, with nothing taken on trust."""

    @property
    def openid_config(self) -> dict[str, Any]:
        """Return the provider's description of itself, when it is the configured one's."""
        config: dict[str, Any] = super().openid_config
        expected = self.get_provider().server_url.removesuffix(WELL_KNOWN).rstrip("/")
        if str(config.get("issuer", "")).rstrip("/") != expected:
            raise OAuth2Error("the provider gives another issuer's description")
        return config

    def complete_login(
        self, request: HttpRequest, app: SocialApp, token: Any, **kwargs: Any
    ) -> Any:
        """Return who it is; the signed token decides, the other source only adds to it."""
        if not kwargs["response"].get("id_token"):
            raise OAuth2Error("the provider sent no ID token")
        login = super().complete_login(request, app, token, **kwargs)
        said = login.account.extra_data
        subjects = {str(part.get("sub")) for part in said.values() if isinstance(part, dict)}
        if subjects != {str(said["id_token"]["sub"])} or login.account.uid not in subjects:
            raise OAuth2Error("the provider speaks of two people")
        return login

    def _decode_id_token(self, app: SocialApp, id_token: str) -> dict[str, Any]:
        with get_adapter().get_requests_session() as session:
            answer = session.get(self.openid_config["jwks_uri"])
            answer.raise_for_status()
        try:
            header = jwt.get_unverified_header(id_token)
            keys = jwt.PyJWKSet.from_dict(answer.json()).keys
            key = next((key for key in keys if key.key_id == header.get("kid")), None)
            if key is None:
                raise OAuth2Error("the ID token names no key of the provider")
            claims: dict[str, Any] = jwt.decode(
                id_token,
                key=key.key,
                algorithms=list(ALGORITHMS),
                issuer=self.openid_config["issuer"],
                audience=app.client_id,
                leeway=CLOCKS_DIFFER_S,
                options={"require": list(REQUIRED)},
            )
        except (jwt.PyJWTError, ValueError) as error:
            raise OAuth2Error("the ID token is not valid") from error
        if claims.get("azp", app.client_id) != app.client_id:
            raise OAuth2Error("the ID token was made for another client")
        return claims


def _at_provider(
    request: HttpRequest, provider_id: str, view: type[OAuth2View]
) -> HttpResponseBase:
    adapter = CheckedOpenIDAdapter(request, provider_id)
    try:
        response: HttpResponseBase = view.adapter_view(adapter)(request)
    except SocialApp.DoesNotExist as error:
        raise Http404 from error
    except (OAuth2Error, RequestException) as error:  # it lies, or does not answer
        failed: HttpResponseBase = render_authentication_error(
            request, adapter.get_provider(), exception=error
        )
        return failed
    return response


@login_not_required  # type: ignore[untyped-decorator]
def login(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """The way to the provider."""
    return _at_provider(request, provider_id, OAuth2LoginView)


@login_not_required  # type: ignore[untyped-decorator]
def callback(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """The way back."""
    return _at_provider(request, provider_id, OAuth2CallbackView)
