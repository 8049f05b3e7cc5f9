"""How a peer is recognised and how we show who we are."""

import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path

from diagnosis.transport.errors import PeerRefusedError


def client_context(secrets: Mapping[str, str]) -> ssl.SSLContext:
    """Return a context that trusts ``ca`` (else the system's) and shows ``certificate``.

    Raises:
        PeerRefusedError: ``tls_unusable``; what was given as certificate or key is none.
    """
    try:
        context = ssl.create_default_context(cadata=secrets.get("ca") or None)
        if secrets.get("certificate"):
            # The library reads certificates from files only.
            with tempfile.TemporaryDirectory(prefix="fracture-tls-") as folder:
                path = Path(folder) / "client.pem"
                path.touch(mode=0o600)
                path.write_text(f"{secrets['certificate']}\n{secrets.get('key', '')}\n")
                context.load_cert_chain(path)
    except (ssl.SSLError, ValueError) as error:
        raise PeerRefusedError("tls_unusable") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
