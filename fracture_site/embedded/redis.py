"""The embedded Redis: start it, stop it."""

import contextlib
import socket
from collections.abc import Callable, Iterator

from fracture_site.embedded.layout import Binaries, Layout
from fracture_site.embedded.server import end_leftovers, server


@contextlib.contextmanager
def redis_server(
    binaries: Binaries, layout: Layout, *, pause: Callable[[float], None]
) -> Iterator[None]:
    """Run Redis without files: the database row is the truth, a message is only a hint."""
    end_leftovers(layout.redis, "redis-server")
    path = layout.sockets / "redis.sock"
    argv = [
        str(binaries.redis), "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700",
        "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction",
    ]  # fmt: skip

    def ready() -> bool:
        with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        return False

    with server("Redis", argv, layout.redis, layout, ready, pause):
        yield
