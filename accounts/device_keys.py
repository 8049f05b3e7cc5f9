"""Whose files wait in a browser: opaque marks of person and clinic, and a key pair for each person.

Pages carry the public half, so that a device can lock files up without being able to open them.
The private half is derived, stored nowhere, and handed out to the signed-in person alone.
"""

import base64
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from django.utils.crypto import salted_hmac

_CURVE = ec.SECP256R1()
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256, SEC 2


def device_marks(*, user_id: UUID, clinic_id: UUID) -> dict[str, str]:
    """Return ``person`` and ``clinic`` as words that say nothing to anybody else."""
    return {
        "person": _mac("person", user_id).hex()[:24],
        "clinic": _mac("clinic", user_id, clinic_id).hex()[:24],
    }


def device_key(*, user_id: UUID) -> dict[str, str]:
    """Return the person's private key on P-256 as a JSON Web Key (RFC 7518, 6.2)."""
    # 512 bits reduced by a 256-bit order: no value is likelier than another.
    number = int.from_bytes(_mac("key", user_id), "big") % (_ORDER - 1) + 1
    point = ec.derive_private_key(number, _CURVE).public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": _field(point.x),
        "y": _field(point.y),
        "d": _field(number),
    }


def device_lock(*, user_id: UUID) -> dict[str, str]:
    """Return the public half of ``device_key``."""
    return {name: value for name, value in device_key(user_id=user_id).items() if name != "d"}


def _field(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()


def _mac(purpose: str, *ids: UUID) -> bytes:
    text = "/".join(str(each) for each in ids)
    return salted_hmac(f"accounts.device_keys.{purpose}", text, algorithm="sha512").digest()
