"""Programs that prove who they are by a signed statement (``private_key_jwt``, RFC 7523).

The keys are public ones that the site's operator has registered. Which algorithms count is fixed
here, never by the statement: ``none`` and secrets shared with us do not exist.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.selectors import secret_hash, smart_app_find
from accounts.smart_models import SmartApp, SmartStatement
from fracture_site.common.errors import DomainError

STATEMENT_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS: Final = {"RSA": "RS384", "EC": "ES384"}
MAX_LIFE_S: Final = 300
CLOCKS_DIFFER_S: Final = 30
MIN_RSA_BITS: Final = 2048
MAX_KEYS: Final = 10
MAX_LENGTH: Final = 8000
# What a statement can do to the reader before it is proved: all of it is a wrong statement.
_BROKEN: Final = (jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError, RecursionError)


def statement_client(*, statement: str, audience: str) -> SmartApp | None:
    """Return the program that signed the statement, for this address and for the first time.

    Args:
        statement: The compact JWT.
        audience: The address it must be made for.
    """
    app = _named(statement)
    if app is None:
        return None
    try:
        key = _key(app, str(jwt.get_unverified_header(statement).get("kid", "")))
        claims = jwt.decode(
            statement,
            key=key.key,
            algorithms=[ALGORITHMS[str(key.key_type)]],
            audience=audience,
            issuer=app.client_id,
            subject=app.client_id,
            leeway=CLOCKS_DIFFER_S,
            options={"require": ["iss", "sub", "aud", "exp", "jti"], "strict_aud": True},
        )
    except _BROKEN:
        return None
    return app if _lives_shortly(claims) and _is_first(app, claims) else None


def keys_checked(jwks: Any) -> dict[str, list[dict[str, Any]]]:
    """Return a JSON Web Key Set with what is needed of its keys.

    Raises:
        DomainError: ``smart_keys_invalid``.
    """
    keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(keys, list) or not 1 <= len(keys) <= MAX_KEYS:
        raise _keys_invalid()
    kept = [_key_checked(key) for key in keys]
    if len({key["kid"] for key in kept}) != len(kept):
        raise _keys_invalid()
    return {"keys": kept}


def _named(statement: str) -> SmartApp | None:
    """Return the program that the statement says it is of; that is to be proved."""
    if not statement or len(statement) > MAX_LENGTH:
        return None
    try:
        told = jwt.decode(statement, options={"verify_signature": False})
    except _BROKEN:
        return None
    app = smart_app_find(pk=str(told.get("iss", "")))
    return app if app is not None and app.jwks else None


def _key(app: SmartApp, kid: str) -> jwt.PyJWK:
    """Return the registered key of that name; addresses of keys in a statement are not followed."""
    told: dict[str, Any] = next((key for key in (app.jwks or {})["keys"] if key["kid"] == kid), {})
    return jwt.PyJWK(told, algorithm=ALGORITHMS[told["kty"]])


def _lives_shortly(claims: Mapping[str, Any]) -> bool:
    jti, exp = claims["jti"], claims["exp"]
    limit = timezone.now().timestamp() + MAX_LIFE_S + CLOCKS_DIFFER_S
    return isinstance(jti, str) and 0 < len(jti) <= 500 and float(exp) <= limit


def _is_first(app: SmartApp, claims: Mapping[str, Any]) -> bool:
    """Note the statement's number; of two at the same time the second one waits, and is refused."""
    now = timezone.now()
    ends = datetime.fromtimestamp(float(claims["exp"]) + 2 * CLOCKS_DIFFER_S, tz=UTC)
    SmartStatement.objects.filter(app=app, expires_at__lt=now).delete()
    return statement_note(app_id=app.pk, number=str(claims["jti"]), expires_at=ends)


def statement_note(*, app_id: UUID, number: str, expires_at: datetime) -> bool:
    """Remember a number that counts once; return whether it is the first time."""
    try:
        with transaction.atomic():
            SmartStatement.objects.create(
                app_id=app_id, jti_hash=secret_hash(number), expires_at=expires_at
            )
    except IntegrityError:
        return False
    return True


def _key_checked(told: Any) -> dict[str, Any]:
    """Return the public part of a key that signs well enough."""
    if not isinstance(told, Mapping) or not isinstance(told.get("kid"), str) or not told["kid"]:
        raise _keys_invalid()
    members = {"RSA": ("n", "e"), "EC": ("crv", "x", "y")}.get(str(told.get("kty")), ())
    if not members or told.get("use", "sig") != "sig" or "d" in told or "k" in told:
        raise _keys_invalid()
    public = {name: told[name] for name in ("kty", "kid", *members) if name in told}
    try:
        key = jwt.PyJWK(public, algorithm=ALGORITHMS[public["kty"]]).key
    except _BROKEN as error:
        raise _keys_invalid() from error
    strong_rsa = isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS
    right_curve = isinstance(key, EllipticCurvePublicKey) and key.curve.name == "secp384r1"
    if told.get("alg", ALGORITHMS[public["kty"]]) != ALGORITHMS[public["kty"]] or not (
        strong_rsa or right_curve
    ):
        raise _keys_invalid()
    return public


def _keys_invalid() -> DomainError:
    return DomainError(
        "smart_keys_invalid",
        _(
            "Give a JSON Web Key Set of public keys, each with its kid: RSA of 2048 bits or more "
            "for RS384, or P-384 for ES384."
        ),
    )
