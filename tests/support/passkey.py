"""What a browser would have sent when a passkey was made: well-formed, and of no device."""

import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

HOST = "testserver"
KEY_ID = b"key"


def registration() -> dict[str, Any]:
    """Return the JSON of a new passkey (WebAuthn's RegistrationResponseJSON)."""
    flags = AuthenticatorData.FLAG
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    data = AuthenticatorData.create(
        hashlib.sha256(HOST.encode()).digest(),
        flags.UP | flags.UV | flags.AT,
        0,
        AttestedCredentialData.create(Aaguid.NONE, KEY_ID, ES256.from_cryptography_key(public)),
    )
    client = CollectedClientData.create("webauthn.create", b"c" * 32, f"https://{HOST}")
    return {
        "id": websafe_encode(KEY_ID),
        "rawId": websafe_encode(KEY_ID),
        "type": "public-key",
        "clientExtensionResults": {"credProps": {"rk": True}},
        "response": {
            "clientDataJSON": websafe_encode(client),
            "attestationObject": websafe_encode(AttestationObject.create("none", data, {})),
        },
    }
