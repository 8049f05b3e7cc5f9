"""Lines to PostgreSQL that give up on a server that keeps them open and says nothing.

``statement_timeout`` is the server's: one that is frozen, or cut off by a firewall, ends nothing.
TCP notices a machine that is gone, not a process that stands still. So the client waits for each
answer a little longer than the server may think, and then shuts the line down: psycopg2 raises
``OperationalError``, the request becomes 503, and the next one connects anew.

A server that crashes in the middle of an answer makes psycopg2 raise its base class without a code;
that is made ``OperationalError`` too, which is what everybody else takes for an outage.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from psycopg2 import DatabaseError, OperationalError, extensions

_LOOK_EVERY_S: Final = 0.5


class Line(extensions.connection):
    """A connection whose statements, commits and rollbacks are bounded by ``answer_within_s``."""

    answer_within_s: float | None = None

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Return a cursor whose statements are bounded."""
        kwargs.setdefault("cursor_factory", _Cursor)
        return super().cursor(*args, **kwargs)

    def commit(self) -> None:
        """Commit, or fail when the server does not answer; what became of it is then unknown."""
        with _outage_told(self):
            super().commit()

    def rollback(self) -> None:
        """Roll back, or fail when the server does not answer."""
        with _outage_told(self):
            super().rollback()


class _Cursor(extensions.cursor):
    def execute(self, *args: Any, **kwargs: Any) -> None:
        with _outage_told(self.connection):
            super().execute(*args, **kwargs)

    def executemany(self, *args: Any, **kwargs: Any) -> None:
        with _outage_told(self.connection):
            super().executemany(*args, **kwargs)

    def fetchmany(self, *args: Any, **kwargs: Any) -> Any:  # named cursors ask the server
        with _outage_told(self.connection):
            return super().fetchmany(*args, **kwargs)


def line_that_gives_up(*, after_s: float | None) -> type[Line]:
    """Return the ``connection_factory`` of lines that wait so long; ``None``: for ever."""
    return type("Line", (Line,), {"answer_within_s": after_s})


@contextmanager
def without_limit(cursor: Any) -> Iterator[None]:
    """Let the statements of one line take as long as they need: whole tables are read."""
    line = cursor.connection
    limit, line.answer_within_s = line.answer_within_s, None
    try:
        yield
    finally:
        line.answer_within_s = limit


@contextmanager
def _outage_told(line: Line) -> Iterator[None]:
    """Bound what the block waits for, and call every broken line an ``OperationalError``."""
    try:
        with _watch.over(line):
            yield
    except DatabaseError as error:
        if type(error) is DatabaseError and error.pgcode is None:
            raise OperationalError("the line to the database broke") from error
        raise


class _Watch:
    """One thread a process, as long as anything waits, that shuts down what waits too long."""

    def __init__(self) -> None:
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[int, float] = {}
        self._looking = False

    @contextmanager
    def over(self, line: Line) -> Iterator[None]:
        """Shut ``line`` down when the block takes longer than the line may wait."""
        limit = line.answer_within_s
        if limit is None or line.closed or line.fileno() in self._until:
            yield
            return
        descriptor = line.fileno()
        with self._lock:
            self._until[descriptor] = time.monotonic() + limit
            if not self._looking:
                self._looking = True
                threading.Thread(target=self._look, name="database-watch", daemon=True).start()
        try:
            yield
        finally:
            # Under the lock: the number of a descriptor that is closed may be another's next.
            with self._lock:
                self._until.pop(descriptor, None)

    def _look(self) -> None:
        idle_since = time.monotonic()
        while True:
            time.sleep(_LOOK_EVERY_S)
            now = time.monotonic()
            with self._lock:
                for descriptor, until in list(self._until.items()):
                    if until < now:
                        _shut_down(descriptor)
                if self._until:
                    idle_since = now
                elif now - idle_since > 10:  # else there would be a new thread a statement
                    self._looking = False
                    return


def _shut_down(descriptor: int) -> None:
    """End both directions; the descriptor stays open and belongs to libpq."""
    with socket.socket(fileno=os.dup(descriptor)) as line:
        try:
            line.shutdown(socket.SHUT_RDWR)
        except OSError:  # it is gone already
            return


_watch: Final = _Watch()
