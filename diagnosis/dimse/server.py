"""A server that hostile peers cannot fill, stall or crash.

Newcomers wait at the ``Door``; only who has asked for an association gets a thread. Associations
are counted in all and for each address, and addresses from which no device has been recognised yet
share half of the places, so that strangers cannot keep the known ones out. What is read of a
connection is bounded by ``diagnosis.transport.dicom_limits``.
"""

import gc
import socket
from typing import Any, Final

from django.conf import settings
from pynetdicom.transport import ThreadedAssociationServer

from diagnosis.dimse.door import MAX_WAITING, Address, Door

ANSWER_S: Final = 10.0


class GuardedServer(ThreadedAssociationServer):
    """Starts an association for complete requests, while there is room for them."""

    daemon_threads = True
    request_queue_size = MAX_WAITING  # whom the system turns away comes again seconds later

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        gc.freeze()  # each 60th connection makes pynetdicom collect; what is here stays anyway
        self._known: set[str] = set()
        self._door = Door(self._admit, self.ssl_context)

    def know(self, address: str) -> None:
        """Remember an address from which a device was recognised."""
        self._known.add(address)

    def get_request(self) -> tuple[socket.socket, Address]:
        """Accept a connection; a TLS handshake comes later, at the door."""
        assert self.socket is not None  # noqa: S101 - it listens
        connection, address = self.socket.accept()
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Let a connection wait at the door."""
        self._door.hold(request, client_address)

    def server_close(self) -> None:
        """Close the door, too."""
        super().server_close()
        self._door.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: what a peer sent may be in the error."""

    def _admit(self, connection: socket.socket, address: Address) -> None:
        if self._has_room(address[0]):
            connection.settimeout(ANSWER_S)
            self.process_request_thread(connection, address)  # which starts the association's own
        else:
            connection.close()

    def _has_room(self, address: str) -> bool:
        """Return whether there is room for one more, in all and from this address."""
        places: int = settings.DIMSE_MAX_CONNECTIONS
        taken = [str(one.remote["address"]) for one in self.active_associations]
        if taken.count(address) >= settings.DIMSE_MAX_CONNECTIONS_PER_ADDRESS:
            return False
        unknown = sum(1 for one in taken if one not in self._known)
        return len(taken) < places and (address in self._known or unknown < max(1, places // 2))
