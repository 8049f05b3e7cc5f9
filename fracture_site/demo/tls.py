"""A certificate authority of this checkout, so that phones get https: camera, offline, passkeys."""

import datetime
import hashlib
import os
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

import trustme

from fracture_site.datafolder import private_folder

_LEAF_DAYS = 397  # phones refuse longer ones


@dataclass(frozen=True)
class Certificates:
    """Files for the web server, and the authority's public part for phones."""

    authority: Path
    certificate: Path
    key: Path
    fingerprint: str


def lan_address() -> str:
    """Return this machine's address in its network; nothing is sent to find it out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address reserved for documentation
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def ensure_certificates(folder: Path, names: list[str]) -> Certificates:
    """Keep the authority of earlier starts, and issue a fresh certificate for ``names``."""
    private_folder(folder)
    authority_file, authority_key = folder / "fracture-site-ca.crt", folder / "ca.key"
    if authority_file.exists() and authority_key.exists():
        authority = trustme.CA.from_pem(authority_file.read_bytes(), authority_key.read_bytes())
    else:
        authority = trustme.CA(
            organization_name="Fracture Site demo", organization_unit_name=socket.gethostname()
        )
        _write_private(authority_key, authority.private_key_pem.bytes())
        authority_file.write_bytes(authority.cert_pem.bytes())
    now = datetime.datetime.fromtimestamp(time.time(), tz=datetime.UTC)
    leaf = authority.issue_cert(
        *names,
        organization_name="Fracture Site demo",
        not_before=now - datetime.timedelta(days=1),
        not_after=now + datetime.timedelta(days=_LEAF_DAYS),
    )
    found = Certificates(authority_file, folder / "site.crt", folder / "site.key", "")
    found.certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    _write_private(found.key, leaf.private_key_pem.bytes())
    der = ssl.PEM_cert_to_DER_cert(authority_file.read_text())
    digest = hashlib.sha256(der).hexdigest().upper()
    fingerprint = ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
    return Certificates(found.authority, found.certificate, found.key, fingerprint)


def _write_private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(content)
