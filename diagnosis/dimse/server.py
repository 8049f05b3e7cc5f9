"""A server that hostile peers cannot fill, stall or crash.

Connections are counted in all and for each address; the TLS handshake has its own thread and a
time limit. What is read of a connection is bounded by ``diagnosis.transport.dicom_limits``.
"""

import socket
import ssl
from typing import Any, Final

from django.conf import settings
from pynetdicom.transport import ThreadedAssociationServer

HANDSHAKE_S: Final = 10.0


class GuardedServer(ThreadedAssociationServer):
    """Refuses connections beyond the limits before a byte of them is read."""

    daemon_threads = True

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection; the handshake comes later, in the connection's own thread."""
        assert self.socket is not None  # noqa: S101 - it listens
        connection, address = self.socket.accept()
        connection.settimeout(HANDSHAKE_S)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """Return whether there is room for one more, in all and from this address."""
        active = self.active_associations
        from_here = [one for one in active if one.remote["address"] == client_address[0]]
        return (
            len(active) < settings.DIMSE_MAX_CONNECTIONS
            and len(from_here) < settings.DIMSE_MAX_CONNECTIONS_PER_ADDRESS
        )

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the handshake, then start the association."""
        if self.ssl_context is not None:
            try:
                request = self.ssl_context.wrap_socket(request, server_side=True)
            except (OSError, ssl.SSLError):
                request.close()
                return
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: what a peer sent may be in the error."""
