"""A SMART app as it looks from outside: asks in a browser, exchanges, renews, reads."""

import base64
import hashlib
import json
import re
import time
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.conf import settings
from django.test import Client

from accounts.services.smart import smart_app_create
from accounts.smart_models import SmartApp
from tests.factories import UserFactory

BACK = "https://app.example/callback?x=1"
VERIFIER = "v" * 50
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
)
FORM = "application/x-www-form-urlencoded"


def operator():
    """Return who registers apps."""
    return UserFactory(is_superuser=True, is_staff=True)


def registered(**options: Any) -> SmartApp:
    """Return an app of people."""
    return smart_app_create(actor=operator(), name="Viewer", redirect_uris=[BACK], **options)


def asked(app: SmartApp, **changes: Any) -> str:
    """Return the address that the app sends the member to."""
    values = {
        "response_type": "code",
        "client_id": str(app.pk),
        "redirect_uri": BACK,
        "scope": "user/Patient.read",
        "state": "s-1",
        "aud": f"{settings.BASE_URL}/fhir/R4",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    } | changes
    return "/oauth/authorize?" + urlencode({k: v for k, v in values.items() if v is not None})


def led_back(response: Any) -> dict[str, str]:
    """Return what the app gets."""
    assert response.status_code == 200, response.content
    address = unescape(re.search(r'content="0; url=([^"]+)"', response.content.decode())[1])
    assert address.startswith("https://app.example/callback?x=1&")
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def allowed(browser: Client, app: SmartApp, *, patient: Any = None, **changes: Any) -> str:
    """Return the code that the app gets after the member has said yes."""
    answer = {"answer": "allow"} | ({"patient": str(patient.pk)} if patient else {})
    told = led_back(browser.post(asked(app, **changes), answer))
    assert told["state"] == "s-1"
    return told["code"]


def posted(path: str, **body: Any) -> Any:
    """Return the answer to a form that a program sends."""
    return Client().post(path, urlencode(body), content_type=FORM)


def exchanged(app: SmartApp, code: str, **changes: Any) -> Any:
    """Return the answer to exchanging a code."""
    body = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": str(app.pk),
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
    } | changes
    return posted("/oauth/token", **body)


def renewed(app: SmartApp, secret: str, **changes: Any) -> Any:
    """Return the answer to renewing."""
    body = {"grant_type": "refresh_token", "refresh_token": secret, "client_id": str(app.pk)}
    return posted("/oauth/token", **(body | changes))


def reader(token: str) -> Client:
    """Return a client with a token."""
    return Client(headers={"Authorization": f"Bearer {token}"})


class Key:
    """A program's key: signs, and is registered by its public half."""

    def __init__(self, kid: str = "k1", *, kind: str = "EC") -> None:
        self.kid = kid
        if kind == "EC":
            self.private: Any = ec.generate_private_key(ec.SECP384R1())
            self.algorithm = "ES384"
        else:
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            self.algorithm = "RS384"

    @property
    def public(self) -> dict[str, Any]:
        """The public key as JSON Web Key."""
        algorithm = jwt.algorithms.get_default_algorithms()[self.algorithm]
        return json.loads(algorithm.to_jwk(self.private.public_key())) | {
            "kid": self.kid, "use": "sig", "alg": self.algorithm,
        }  # fmt: skip

    @property
    def jwks(self) -> dict[str, Any]:
        """A set of this key alone."""
        return {"keys": [self.public]}

    def statement(self, app: SmartApp, *, header: dict[str, Any] | None = None, **changes) -> str:
        """Return a signed statement that the holder of the key is the app."""
        claims = {
            "iss": str(app.pk),
            "sub": str(app.pk),
            "aud": f"{settings.BASE_URL}/oauth/token",
            "exp": int(time.time()) + 240,
            "jti": str(uuid4()),
        } | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        headers = {"kid": self.kid} | (header or {})
        return jwt.encode(claims, self.private, algorithm=self.algorithm, headers=headers)


def proof(statement: str) -> dict[str, str]:
    """Return the form fields of a statement."""
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    return {"client_assertion_type": kind, "client_assertion": statement}
