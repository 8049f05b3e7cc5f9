"""Bounds on what is read of a DICOM peer, whichever side has called the other.

Every read has a deadline; a PDU is never longer than what was negotiated, and a message never
longer than an image may be.
"""

import socket
import time
from contextlib import suppress
from typing import Any, Final

from django.conf import settings
from pynetdicom.events import Event

READ_S: Final = 30.0
MAX_PDU: Final = 128 * 1024
MAX_PDU_BEFORE_ASSOCIATION: Final = 64 * 1024
_HEADER: Final = 6
_PDU_TYPES: Final = range(1, 8)
_OVERHEAD: Final = 2**20


def guard_connection(event: Event) -> None:
    """Bound what is read from a connection; for the event that it was opened."""
    association: Any = event.assoc
    association.dul.socket.recv = BoundedReader(association)


class BoundedReader:
    """Reads exactly so many bytes from an association's socket, within limits of size and time.

    ``received`` counts the bytes of the present message; its handler sets it back.
    """

    def __init__(self, association: Any) -> None:
        self._association = association
        self.received = 0

    def __call__(self, wanted: int) -> bytearray:
        """Return the bytes; fewer when the peer has gone.

        Raises:
            OSError: too much or too slow; the connection is then closed.
        """
        raw = self._association.dul.socket.socket
        try:
            self._check(wanted)
            found = self._read(raw, wanted)
            _check_type(wanted, found)
        except OSError:
            with suppress(OSError):
                raw.shutdown(socket.SHUT_RDWR)  # at once; the threads follow when they notice
            raise
        return found

    def _read(self, raw: Any, wanted: int) -> bytearray:
        deadline = time.monotonic() + READ_S
        found = bytearray()
        while len(found) < wanted:
            left = deadline - time.monotonic()
            if left <= 0:
                raise OSError("the peer is too slow")
            raw.settimeout(left)
            part = raw.recv(min(65536, wanted - len(found)))
            if not part:
                break
            found.extend(part)
        return found

    def _check(self, wanted: int) -> None:
        established = self._association.is_established
        limit = MAX_PDU + _HEADER if established else MAX_PDU_BEFORE_ASSOCIATION
        self.received = self.received + wanted if established else 0
        if wanted > limit or self.received > settings.INGEST_MAX_BYTES + _OVERHEAD:
            raise OSError("the peer sends too much")


def _check_type(wanted: int, found: bytearray) -> None:
    if wanted == _HEADER and found and found[0] not in _PDU_TYPES:
        raise OSError("the peer talks nonsense")


def message_ended(event: Event) -> None:
    """Count the next message from zero; for the event that a whole message has arrived."""
    reader = event.assoc.dul.socket.recv if event.assoc.dul.socket else None
    if isinstance(reader, BoundedReader):
        reader.received = 0
