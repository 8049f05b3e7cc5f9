"""Where newcomers wait until they have said who they are; they cost a file descriptor, no thread.

One thread watches all of them. A connection is handed on when its whole request for an association
has come (with TLS: when its certificate was accepted), is hung up on when that takes too long or
the request is larger than any real one, and gives way to newer ones when too many wait. Of a plain
connection nothing is read here, only looked at, so that the association finds it untouched.
"""

import fcntl
import select
import socket
import ssl
import struct
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from django.conf import settings

from diagnosis.transport.dicom_limits import MAX_PDU_BEFORE_ASSOCIATION

WAIT_S: Final = 5.0
MAX_WAITING: Final = 512
_TICK_S: Final = 0.25
_HEADER: Final = struct.Struct(">BxL")
_ASSOCIATE_RQ: Final = 1
_EVENTS: Final = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET
Address = tuple[str, int]


@dataclass(slots=True, frozen=True)
class _Newcomer:
    connection: socket.socket
    address: Address
    until: float


class Door:
    """Holds connections and calls ``admit`` (in its own thread) with those that are complete."""

    def __init__(
        self, admit: Callable[[socket.socket, Address], None], context: ssl.SSLContext | None
    ) -> None:
        self._admit = admit
        self._context = context
        self._waiting: dict[int, _Newcomer] = {}  # by file descriptor, the oldest first
        self._lock = threading.Lock()
        self._events = select.epoll()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="dicom-door", daemon=True)
        self._thread.start()

    def hold(self, connection: socket.socket, address: Address) -> None:
        """Let a connection wait; when there are too many, the oldest is hung up on."""
        connection.settimeout(0)
        if self._context is not None:
            try:
                connection = self._context.wrap_socket(
                    connection, server_side=True, do_handshake_on_connect=False
                )
            except OSError:
                connection.close()  # it has gone already
                return
        newcomer = _Newcomer(connection, address, time.monotonic() + WAIT_S)
        with self._lock:
            neighbours = [n for n in self._waiting.values() if n.address[0] == address[0]]
            if len(neighbours) >= settings.DIMSE_MAX_CONNECTIONS_PER_ADDRESS:
                self._hang_up(neighbours[0])
            elif len(self._waiting) >= MAX_WAITING:
                self._hang_up(next(iter(self._waiting.values())))
            self._waiting[connection.fileno()] = newcomer
            self._events.register(connection.fileno(), _EVENTS)

    def close(self) -> None:
        """Hang up on everybody and end the thread."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closed.is_set():
            happened = self._events.poll(_TICK_S)
            admitted = []
            with self._lock:
                for descriptor, _ in happened:
                    newcomer = self._waiting.get(descriptor)
                    if newcomer is not None and self._is_complete(newcomer):
                        self._let_go(newcomer)
                        admitted.append(newcomer)
                now = time.monotonic()
                for newcomer in [n for n in self._waiting.values() if n.until < now]:
                    self._hang_up(newcomer)
            for newcomer in admitted:
                self._admit(newcomer.connection, newcomer.address)
        with self._lock:
            for newcomer in list(self._waiting.values()):
                self._hang_up(newcomer)
            self._events.close()

    def _is_complete(self, newcomer: _Newcomer) -> bool:
        """Return whether it may go on; one that never can is hung up on."""
        try:
            if isinstance(newcomer.connection, ssl.SSLSocket):
                newcomer.connection.do_handshake()
                return True
            return _has_request(newcomer.connection)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return False  # more is to come
        except OSError:
            self._hang_up(newcomer)
            return False

    def _hang_up(self, newcomer: _Newcomer) -> None:
        self._let_go(newcomer)
        newcomer.connection.close()

    def _let_go(self, newcomer: _Newcomer) -> None:
        descriptor = newcomer.connection.fileno()
        del self._waiting[descriptor]
        with suppress(OSError):
            self._events.unregister(descriptor)


def _has_request(connection: socket.socket) -> bool:
    """Return whether a whole A-ASSOCIATE-RQ lies in the system's buffer.

    Raises:
        BlockingIOError: nothing has come yet.
        OSError: what comes is something else, or too large.
    """
    start = connection.recv(_HEADER.size, socket.MSG_PEEK)
    if not start:
        raise OSError("the peer has gone")
    if len(start) < _HEADER.size:
        return False
    kind, length = _HEADER.unpack(start)
    if kind != _ASSOCIATE_RQ or length > MAX_PDU_BEFORE_ASSOCIATION:
        raise OSError("not a request for an association, or too large")
    (there,) = struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, b"\0" * 4))
    return bool(there >= _HEADER.size + length)
