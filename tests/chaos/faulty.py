"""Let the Nth call to the database, the store or Redis fail as the real thing fails."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg2
import pytest
from django.core.files.base import File
from django.db import OperationalError, connection
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError

from fracture_site.common.database import Line
from fracture_site.common.storage import PrivateFileStorage


@dataclass
class Fault:
    """Strikes at call ``at``; with ``late`` the call was done and only its answer is lost."""

    at: int
    late: bool
    calls: int = 0

    @property
    def struck(self) -> bool:
        return self.calls >= self.at

    def call(self, do: Callable[[], Any], fail: Callable[[], None]) -> Any:
        """Do it, or fail; only one call fails: a part that stays away is another test."""
        self.calls += 1
        if self.calls != self.at:
            return do()
        if self.late:
            answer = do()
            if isinstance(answer, File):
                answer.close()
        fail()
        raise AssertionError("a fault that does not fail")


@contextmanager
def database(fault: Fault) -> Iterator[None]:
    """Statements, savepoints and commits of this thread; the line is gone after the fault."""

    def end_line(kind: type[Exception]) -> None:
        connection.connection.close()
        raise kind("server closed the connection unexpectedly")

    def statement(execute, sql, params, many, context):
        do = partial(execute, sql, params, many, context)
        return fault.call(do, partial(end_line, OperationalError))

    commit = Line.commit

    def bent_commit(line: Line) -> None:
        if line is not connection.connection:  # another thread's
            return commit(line)
        return fault.call(partial(commit, line), partial(end_line, psycopg2.OperationalError))

    with pytest.MonkeyPatch.context() as patch, connection.execute_wrapper(statement):
        patch.setattr(Line, "commit", bent_commit)
        yield


@contextmanager
def storage(fault: Fault) -> Iterator[None]:
    """Everything that the local folder is asked for."""

    def fail() -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("_save", "_open", "delete", "exists"):
            _bend(patch, PrivateFileStorage, name, fault, fail)
        yield


@contextmanager
def broker(fault: Fault) -> Iterator[None]:
    """Every command to Redis: messages, and the counting of attempts."""

    def fail() -> None:
        raise RedisConnectionError("Connection closed by server.")

    with pytest.MonkeyPatch.context() as patch:
        _bend(patch, Redis, "execute_command", fault, fail)
        _bend(patch, Pipeline, "execute", fault, fail)
        yield


def _bend(
    patch: pytest.MonkeyPatch, owner: type, name: str, fault: Fault, fail: Callable[[], None]
) -> None:
    original = getattr(owner, name)

    def bent(*args: Any, **kwargs: Any) -> Any:
        return fault.call(partial(original, *args, **kwargs), fail)

    patch.setattr(owner, name, bent)


PARTS = {"database": database, "storage": storage, "broker": broker}
