"""A proxy between the site and one of its servers, which can be made to fail.

It runs an event loop in a thread of its own and listens on a unix socket or a TCP port.
"""

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import Self

CHUNK = 2**16


class FaultProxy:
    """Passes bytes on until told otherwise.

    ``cut``: connections end and new ones are refused. ``freeze``: connections stay open and
    nothing passes, as with a machine that lost its power. ``slow``: each piece waits.
    ``corrupt``: bytes from the server arrive changed. ``break_off``: the next answer ends after a
    few bytes, and its connection with it. ``heal``: as at the beginning.
    """

    def __init__(self, *, listen: Path | None = None, target: Path | tuple[str, int]) -> None:
        self._listen, self._target = listen, target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()
        self._delay_s, self._corrupt = 0.0, False
        self._break_off: int | None = None
        self._server: asyncio.Server | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.heal()
        return self

    def __exit__(self, *_error: object) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        self._do(self._end())

    def freeze(self) -> None:
        self._loop.call_soon_threadsafe(self._passing.clear)

    def slow(self, seconds: float) -> None:
        self._delay_s = seconds

    def corrupt(self) -> None:
        self._corrupt = True

    def break_off(self, *, after_bytes: int) -> None:
        self._break_off = after_bytes

    def heal(self) -> None:
        self._delay_s, self._corrupt, self._break_off = 0.0, False, None
        self._do(self._begin())

    def _do(self, what) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _begin(self) -> None:
        self._passing.set()
        if self._server is not None:
            return
        if self._listen:
            self._listen.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, self._listen)
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        self._passing.set()
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()
        while self._open:
            await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(self._target, Path):
            there = await asyncio.open_unix_connection(self._target)
        else:
            there = await asyncio.open_connection(*self._target)
        self._open.update({writer, there[1]})
        try:
            ways = (
                asyncio.ensure_future(self._pass(reader, there[1], spoil=False)),
                asyncio.ensure_future(self._pass(there[0], writer, spoil=True)),
            )
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            for end in (writer, there[1]):
                end.transport.abort()
                self._open.discard(end)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, spoil: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                await self._passing.wait()
                await asyncio.sleep(self._delay_s)
                if spoil and self._corrupt:
                    data = bytes(byte ^ 0xFF for byte in data)
                if spoil and self._break_off is not None:
                    writer.write(data[: self._break_off])
                    self._break_off = None
                    await writer.drain()
                    return
                writer.write(data)
                await writer.drain()
