"""A whole site of its own: PostgreSQL, Redis, an S3 behind a fault proxy, web, workers, to break.

The servers are the embedded ones, started one by one so that each can be killed and come back on
the same data. PostgreSQL keeps its promises here (fsync): a throwaway one loses what it confirmed.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from subprocess import Popen, run
from typing import Self

import boto3
import psutil

from fracture_site import processes
from fracture_site.datafolder import exclusive
from fracture_site.embedded import connection_environment
from fracture_site.embedded.layout import find_binaries, prepare, reachable
from fracture_site.embedded.postgres import postgres_server
from fracture_site.embedded.redis import redis_server
from tests.support.fault_proxy import FaultProxy

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "clinical"


class ChaosSite:
    """The servers; web processes and workers are started by who needs them."""

    def __init__(self, data: Path, *, env: dict[str, str] | None = None) -> None:
        self._data, self._extra = data, env or {}
        self._stack = ExitStack()
        self._running: dict[str, AbstractContextManager[None]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(exclusive(self._data))
            self._layout = prepare(self._data)
            self._binaries = reachable(find_binaries(), self._layout)
            for start in (self.start_postgres, self.start_redis):
                start()
            stack.callback(self._end_servers)
            self.storage = stack.enter_context(s3_behind_a_proxy(self._layout.logs / "s3.log"))
            os.environ |= self._environment()
            os.environ.pop("DATABASE_OWNER_URL_FILE", None)
            self._prepare()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def start_postgres(self) -> None:
        self._enter(
            "postgres",
            postgres_server(self._binaries, self._layout, throwaway=False, pause=time.sleep),
        )

    def start_redis(self) -> None:
        self._enter("redis", redis_server(self._binaries, self._layout, pause=time.sleep))

    def crash_postgres(self) -> None:
        """Stop it in the ``immediate`` way, as a crash does, and start it again."""
        pid_file = self._layout.postgres / "postmaster.pid"
        server = psutil.Process(int(pid_file.read_text().splitlines()[0]))
        server.send_signal(signal.SIGQUIT)
        processes.wait_until(
            lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE,
            timeout_s=20,
        )
        self._leave("postgres")
        self.start_postgres()

    def restart_redis(self) -> None:
        """Let it forget everything and end all its connections."""
        self._leave("redis")
        self.start_redis()

    def _environment(self) -> dict[str, str]:
        return connection_environment(self._data) | {
            "DJANGO_SETTINGS_MODULE": "fracture_site.settings.test",
            "STORAGE_BACKEND": "s3",
            "S3_BUCKET": BUCKET,
            "S3_ENDPOINT_URL": f"http://127.0.0.1:{self.storage.port}",
            "S3_REGION": "us-east-1",
            "S3_ACCESS_KEY": "test",
            "S3_SECRET_KEY": "test",
            "PRIVATE_MEDIA_ROOT": str(self._data.resolve() / "media"),
            "ML_CACHE_DIR": str(self._data.resolve() / "cache"),
            # All senders of the storm are a few programs: they are to meet faults, not limits.
            "API_THROTTLE_RATE": "1000000/min",
            **self._extra,
        }

    def _prepare(self) -> None:
        for command in (["db_migrate", "--verbosity=0"], ["model_sync"]):
            run([sys.executable, "manage.py", *command], cwd=ROOT, check=True, stdout=sys.stderr)

    def _enter(self, name: str, server: AbstractContextManager[None]) -> None:
        server.__enter__()
        self._running[name] = server

    def _leave(self, name: str) -> None:
        self._running.pop(name).__exit__(None, None, None)

    def _end_servers(self) -> None:
        for name in list(self._running):
            self._leave(name)


@contextmanager
def s3_behind_a_proxy(log: Path) -> Iterator[FaultProxy]:
    """Run moto's server as a process with an empty bucket; yield the proxy in front of it."""
    from tests.support.web import free_port

    port, program = free_port(), Path(sys.executable).with_name("moto_server")
    command = [str(program), "-H", "127.0.0.1", "-p", str(port)]
    with log.open("ab") as output:
        server: Popen[bytes] = processes.spawn_tied(command, cwd=ROOT, output=output)
    try:
        client = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test",
        )  # fmt: skip

        def made() -> bool:
            with contextlib.suppress(Exception):
                client.create_bucket(Bucket=BUCKET)
                return True
            return False

        assert processes.wait_until(made, timeout_s=60, interval_s=0.3), processes.tail(log)
        client.close()
        with FaultProxy(target=("127.0.0.1", port)) as proxy:
            yield proxy
    finally:
        processes.stop(server, grace_s=5)
