"""Sending one HL7 message over MLLP and reading its acknowledgement."""

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from django.conf import settings

from diagnosis.transport.errors import PeerRefusedError, PeerUnavailableError
from diagnosis.transport.guard import allowed_address
from diagnosis.transport.tls import client_context

_START, _END = b"\x0b", b"\x1c\r"
_MAX_ANSWER: Final = 2**16
_TAKEN: Final = frozenset({"AA", "CA"})


@dataclass(frozen=True, slots=True)
class MllpPeer:
    """Where a listener is; ``secrets`` may hold ``certificate``, ``key`` and ``ca``."""

    host: str
    port: int
    use_tls: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict)


def mllp_send(peer: MllpPeer, message: bytes, *, control_id: str) -> None:
    """Send a message and wait for its positive acknowledgement.

    Raises:
        PeerUnavailableError: nobody answers, or the answer broke off.
        PeerRefusedError: ``hl7_refused`` (AE, AR, CE, CR), ``hl7_answer_unexpected``,
            ``tls_failed``, ``address_not_allowed``.
    """
    try:
        with _connected(peer) as connection:
            connection.sendall(_START + message + _END)
            answer = _answer(connection)
    except ssl.SSLError as error:
        raise PeerRefusedError("tls_failed") from error
    except OSError as error:  # also a time-out
        raise PeerUnavailableError("peer_unreachable") from error
    code, about = _acknowledgement(answer)
    if about != control_id:
        raise PeerRefusedError("hl7_answer_unexpected")
    if code not in _TAKEN:
        raise PeerRefusedError("hl7_refused")


def mllp_test(peer: MllpPeer) -> None:
    """Connect and hang up; HL7 has no question that changes nothing.

    Raises:
        TransportError: as ``mllp_send``.
    """
    try:
        _connected(peer).close()
    except ssl.SSLError as error:
        raise PeerRefusedError("tls_failed") from error
    except OSError as error:
        raise PeerUnavailableError("peer_unreachable") from error


def _connected(peer: MllpPeer) -> socket.socket:
    address = allowed_address(peer.host, peer.port)
    connection = socket.create_connection((address, peer.port), timeout=10)
    connection.settimeout(settings.DELIVERY_TIMEOUT_S)
    if not peer.use_tls:
        return connection
    try:
        context = client_context(peer.secrets)
        return context.wrap_socket(connection, server_hostname=peer.host)
    except BaseException:
        connection.close()
        raise


def _answer(connection: socket.socket) -> bytes:
    data = b""
    while _END not in data:
        part = connection.recv(4096)
        if not part:
            raise PeerUnavailableError("answer_broken_off")
        data += part
        if len(data) > _MAX_ANSWER:
            raise PeerRefusedError("hl7_answer_unexpected")
    return data.partition(_END)[0].lstrip(_START + b"\r\n")


def _acknowledgement(answer: bytes) -> tuple[str, str]:
    """Return MSA-1 and MSA-2."""
    text = answer.decode("latin-1").replace("\n", "\r")
    separator = text[3:4]
    for line in text.split("\r"):
        if separator and line.startswith(f"MSA{separator}"):
            fields = [*line.split(separator), "", ""]
            return fields[1].strip(), fields[2].strip()
    raise PeerRefusedError("hl7_answer_unexpected")
