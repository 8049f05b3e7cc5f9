"""A server that hostile peers cannot fill, stall or crash.

Connections are counted in all and for each address. Who has not said who they are (silent,
half-open, in a TLS handshake) has no right to the place: when there is no more room, the oldest of
those is hung up on for a newcomer, so that a known device always gets in. What is read of a
connection is bounded by ``diagnosis.transport.dicom_limits``.
"""

import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from pynetdicom.transport import ThreadedAssociationServer

HANDSHAKE_S: Final = 10.0


@dataclass(slots=True)
class _Newcomer:
    """A connection of which nobody knows yet whose it is."""

    connection: socket.socket
    address: str

    def hang_up(self) -> None:
        """End it; its thread notices by itself."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class GuardedServer(ThreadedAssociationServer):
    """Refuses connections beyond the limits before a byte of them is read."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._newcomers: list[_Newcomer] = []
        self._door = threading.Lock()
        super().__init__(*args, **kwargs)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection; the handshake comes later, in the connection's own thread."""
        assert self.socket is not None  # noqa: S101 - it listens
        connection, address = self.socket.accept()
        connection.settimeout(HANDSHAKE_S)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether there is room for one more, and make some at the cost of strangers."""
        address = str(client_address[0])
        known = [one for one in self.active_associations if hasattr(one, "device")]
        from_here = sum(1 for one in known if one.remote["address"] == address)
        limit = settings.DIMSE_MAX_CONNECTIONS_PER_ADDRESS
        if len(known) >= settings.DIMSE_MAX_CONNECTIONS or from_here >= limit:
            return False
        with self._door:
            self._forget(known)
            neighbours = [one for one in self._newcomers if one.address == address]
            if from_here + len(neighbours) >= limit:
                self._hang_up(neighbours[0])
            elif len(known) + len(self._newcomers) >= settings.DIMSE_MAX_CONNECTIONS:
                self._hang_up(self._newcomers[0])
            self._newcomers.append(_Newcomer(request, address))
        return True

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the handshake, then start the association."""
        if self.ssl_context is not None:
            plain = request
            try:
                request = self.ssl_context.wrap_socket(
                    plain, server_side=True, do_handshake_on_connect=False
                )
                self._is_now(plain, request)
                request.do_handshake()
            except (OSError, ssl.SSLError, ValueError):
                request.close()
                return
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: what a peer sent may be in the error."""

    def _forget(self, known: list[Any]) -> None:
        """Leave out who has gone or is known by now."""
        sockets = {id(one.dul.socket.socket) for one in known if one.dul.socket}
        self._newcomers = [
            one
            for one in self._newcomers
            if one.connection.fileno() != -1 and id(one.connection) not in sockets
        ]

    def _hang_up(self, newcomer: _Newcomer) -> None:
        self._newcomers.remove(newcomer)
        newcomer.hang_up()

    def _is_now(self, plain: socket.socket, wrapped: ssl.SSLSocket) -> None:
        with self._door:
            for one in self._newcomers:
                if one.connection is plain:
                    one.connection = wrapped
