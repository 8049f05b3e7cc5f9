"""MLLP: HL7 messages in frames over TCP, one answer for each, with bounds on everything.

A frame is ``<VT> message <FS><CR>``. What a peer sends before a frame is noise; after a frame that
is too long or too slow nothing can be trusted, so the connection ends.
"""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from ssl import SSLContext
from typing import Final, Self

logger = logging.getLogger(__name__)

START, END = b"\x0b", b"\x1c\x0d"
_NOISE: Final = frozenset(b"\r\n\x00 ")


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end: address, and digest of the client certificate (``""`` without)."""

    address: str
    certificate_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one listener puts up with; times in seconds."""

    message_bytes: int = 2**20
    connections: int = 100
    connections_per_address: int = 20
    idle_s: float = 3600.0
    frame_s: float = 30.0
    write_s: float = 30.0


Handler = Callable[[bytes, Peer], Awaitable[bytes]]
Refuser = Callable[[str], bytes]


class MllpServer:
    """Takes frames, asks ``handle`` for the answer to each, and sends it.

    ``refuse`` makes the answer to a frame that was never read whole.
    """

    def __init__(self, handle: Handler, refuse: Refuser, limits: Limits) -> None:
        self._handle, self._refuse, self._limits = handle, refuse, limits
        self._open: Counter[str] = Counter()
        self._tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._busy: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int, *, tls: SSLContext | None = None) -> Self:
        """Listen; port 0 takes a free one, see ``port``."""
        self._server = await asyncio.start_server(
            self._connected, host, port, ssl=tls, limit=self._limits.message_bytes
        )
        return self

    @property
    def port(self) -> int:
        """The port that is listened on."""
        assert self._server is not None  # noqa: S101 - a mistake of the caller
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, *, grace_s: float = 10.0) -> None:
        """Take no more frames; let those that are being worked on get their answer."""
        if self._server is not None:
            self._server.close()
        for task, writer in list(self._tasks.items()):
            if task not in self._busy:
                writer.transport.abort()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=grace_s)
        for task in list(self._tasks):
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        peer = _peer(writer)
        full = (
            self._open.total() >= self._limits.connections
            or self._open[peer.address] >= self._limits.connections_per_address
        )
        if task is None or full:
            logger.warning("connection refused", extra={"code": "too_many_connections"})
            writer.transport.abort()
            return
        self._open[peer.address] += 1
        self._tasks[task] = writer
        try:
            while await self._exchange(task, peer, reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            logger.info("connection ended", extra={"code": type(error).__name__})
        finally:
            del self._tasks[task]
            self._open[peer.address] -= 1
            self._open += Counter()  # forgets addresses without a connection
            writer.close()
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), self._limits.write_s)

    async def _exchange(
        self,
        task: asyncio.Task[None],
        peer: Peer,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Read one frame and answer it; return whether there may be another one."""
        first = await asyncio.wait_for(reader.read(1), self._limits.idle_s)
        if not first:
            return False
        if first != START:
            if first[0] in _NOISE:
                return True
            logger.warning("connection ended", extra={"code": "not_mllp"})
            return False
        try:
            frame = await asyncio.wait_for(reader.readuntil(END), self._limits.frame_s)
        except asyncio.LimitOverrunError:
            await self._answer(writer, self._refuse("too_large"))
            return False
        data = frame[: -len(END)]
        if START in data:  # a frame that broke off, and another one inside of it
            await self._answer(writer, self._refuse("malformed"))
            return False
        self._busy.add(task)
        try:
            await self._answer(writer, await self._handle(data, peer))
        finally:
            self._busy.discard(task)
        return self._server is not None and self._server.is_serving()

    async def _answer(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(START + data + END)
        await asyncio.wait_for(writer.drain(), self._limits.write_s)


def _peer(writer: asyncio.StreamWriter) -> Peer:
    address = str(writer.get_extra_info("peername")[0])
    connection = writer.get_extra_info("ssl_object")
    certificate = connection.getpeercert(binary_form=True) if connection else None
    digest = hashlib.sha256(certificate).hexdigest() if certificate else ""
    return Peer(address.removeprefix("::ffff:"), digest)
