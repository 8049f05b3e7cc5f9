"""Secrets at rest, sealed with keys derived from SECRET_KEY: a stolen database tells none."""

import base64
import hashlib
import json
from collections.abc import Mapping

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

_PURPOSE = "secrets of peers:"


class SealBrokenError(Exception):
    """Sealed with a key that this site no longer has; the secrets must be given anew."""


def cipher(purpose: str) -> MultiFernet:
    """Return what encrypts with the present secret key and decrypts with former ones, too."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = [hashlib.sha256((purpose + key).encode()).digest() for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])


def seal(secrets: Mapping[str, str]) -> bytes:
    """Return secrets as authenticated ciphertext; nothing for nothing."""
    return cipher(_PURPOSE).encrypt(json.dumps(dict(secrets)).encode()) if secrets else b""


def unseal(sealed: bytes | memoryview) -> dict[str, str]:
    """Return what was sealed.

    Raises:
        SealBrokenError: no key fits.
    """
    if not sealed:
        return {}
    try:
        secrets: dict[str, str] = json.loads(cipher(_PURPOSE).decrypt(bytes(sealed)))
    except InvalidToken as error:
        raise SealBrokenError from error
    return secrets
