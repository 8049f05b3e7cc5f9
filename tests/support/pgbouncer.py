"""A real pgbouncer in transaction mode before the database of the environment.

python -m tests.support.pgbouncer COMMAND...

Each transaction goes to another connection than the one before (``server_round_robin``), so code
that relies on anything of a session fails at once.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from fracture_site import processes
from tests.support.orthanc import free_port

PROGRAM = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
HOW_TO_GET_IT = "pgbouncer is needed: apt-get install pgbouncer"
# What worker hosts connect to sets what a worker's session cannot set by itself.
WORKER_LIMITS = "SET lock_timeout = 5000; SET idle_in_transaction_session_timeout = 10000"


def is_installed() -> bool:
    return Path(PROGRAM).exists()


def configuration(folder: Path, url: str, *, address: str, port: int) -> str:
    """Return pgbouncer's file for the database that ``url`` reaches."""
    parts = urlsplit(url)
    upstream = f"host={unquote(parts.hostname or '')} port={parts.port or 5432}"
    name = parts.path.lstrip("/")
    return f"""
[databases]
{name}_worker = {upstream} dbname={name} connect_query='{WORKER_LIMITS}'
* = {upstream}
[pgbouncer]
listen_addr = {address}
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = transaction
server_round_robin = 1
default_pool_size = 20
max_client_conn = 500
logfile = {folder}/pgbouncer.log
pidfile = {folder}/pgbouncer.pid
"""


def prepared(folder: Path, url: str, *, address: str, port: int, uid: int) -> list[str]:
    """Write the files for a user id and return the command."""
    parts = urlsplit(url)
    (folder / "users").write_text(f'"{parts.username}" "{unquote(parts.password or "")}"\n')
    file = folder / "pgbouncer.ini"
    file.write_text(configuration(folder, url, address=address, port=port))
    for path in (folder, folder / "users", file):
        os.chown(path, uid, uid if os.geteuid() == 0 else -1)
    return [PROGRAM, str(file)]


def pooled_url(url: str, *, address: str, port: int, worker: bool = False) -> str:
    """Return the same database through pgbouncer."""
    parts = urlsplit(url)
    login = f"{parts.username}:{quote(unquote(parts.password or ''), safe='')}"
    path = f"{parts.path}_worker" if worker else parts.path
    return urlunsplit(parts._replace(netloc=f"{login}@{address}:{port}", path=path))


@contextmanager
def running(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Run it for ``DATABASE_URL``; yield the variables that lead through it."""
    url, port = environment["DATABASE_URL"], free_port()
    sockets = Path(unquote(urlsplit(url).hostname or ""))
    uid = sockets.stat().st_uid if sockets.is_absolute() else 65534
    folder = Path(tempfile.mkdtemp(prefix="fracture-pgbouncer-"))
    command = prepared(folder, url, address="127.0.0.1", port=port, uid=uid)
    with (folder / "output").open("ab") as output:
        process = processes.spawn_tied(
            command, cwd=folder, output=output, uid=uid if os.geteuid() == 0 else None
        )
    log = folder / "pgbouncer.log"
    try:
        ready = processes.wait_until(
            lambda: process.poll() is not None or (log.exists() and "up" in log.read_text()),
            timeout_s=10,
        )
        if not ready or process.poll() is not None:
            raise SystemExit(f"pgbouncer did not start:\n{processes.tail(folder / 'output')}")
        yield {
            "DATABASE_URL": pooled_url(url, address="127.0.0.1", port=port),
            "DB_PGBOUNCER": "true",
        }
    finally:
        processes.stop(process, grace_s=5)
        shutil.rmtree(folder)


def main() -> int:
    """Run a command behind pgbouncer."""
    if not is_installed():
        sys.stderr.write(f"{HOW_TO_GET_IT}\n")
        return 1
    with running(os.environ) as found:
        return subprocess.run(sys.argv[1:], env=os.environ | found, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
