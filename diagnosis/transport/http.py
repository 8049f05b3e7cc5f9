"""HTTP to addresses that clinics have typed: to the very address that was checked, no redirects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import urllib3
from django.conf import settings

from diagnosis.transport.errors import PeerRefusedError, PeerUnavailableError
from diagnosis.transport.guard import allowed_address
from diagnosis.transport.tls import client_context

MAX_ANSWER_BYTES: Final = 2**20
_LATER: Final = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; the body is cut at a mebibyte unless more was asked for."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def http_request(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    max_answer_bytes: int = MAX_ANSWER_BYTES,
) -> Answer:
    """Send one request; ``secrets`` may hold ``bearer_token``, ``certificate``, ``key``, ``ca``.

    Raises:
        PeerUnavailableError: no answer, or one that says to come again later (5xx, 429).
        PeerRefusedError: ``address_not_allowed``, ``tls_failed``, or ``answer_too_large``.
    """
    secrets = secrets or {}
    parts = urlsplit(url)
    secure, host = parts.scheme == "https", parts.hostname or ""
    port = parts.port or (443 if secure else 80)
    sent = {"Host": parts.netloc, "User-Agent": "fracture-site", **(headers or {})}
    if secrets.get("bearer_token"):
        sent["Authorization"] = f"Bearer {secrets['bearer_token']}"
    limits = urllib3.Timeout(connect=10, read=settings.DELIVERY_TIMEOUT_S)
    address = allowed_address(host, port)
    pool: urllib3.HTTPConnectionPool
    if secure:
        context = client_context(secrets)
        pool = urllib3.HTTPSConnectionPool(
            address,
            port,
            timeout=limits,
            retries=False,
            ssl_context=context,
            server_hostname=host,
            assert_hostname=host,
        )
    else:
        pool = urllib3.HTTPConnectionPool(address, port, timeout=limits, retries=False)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        answer = pool.request(
            method, target, body=body, headers=sent, redirect=False, preload_content=False
        )
        received = answer.read(max_answer_bytes + 1, decode_content=True)
        answer.close()
    except urllib3.exceptions.SSLError as error:
        raise PeerRefusedError("tls_failed") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise PeerUnavailableError("peer_unreachable") from error
    finally:
        pool.close()
    if len(received) > max_answer_bytes:
        raise PeerRefusedError("answer_too_large")
    if answer.status >= 500 or answer.status in _LATER:
        raise PeerUnavailableError("peer_busy")
    return Answer(answer.status, received, dict(answer.headers))
