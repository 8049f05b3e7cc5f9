"""Real gunicorn processes on the test database, and the waiting until they answer."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

import psutil

from fracture_site import processes
from tests.support.database import ROOT, database_url


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RealWeb:
    """The web command of the Procfile on a port of its own."""

    def __init__(
        self, *, workers: int = 2, threads: int = 8, env: dict[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self.log = Path(tempfile.mkstemp(prefix="fracture-web-", suffix=".log")[1])
        self._workers, self._threads, self._env = workers, threads, env or {}
        self._config = Path(tempfile.mkstemp(prefix="fracture-web-", suffix=".conf.py")[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The master process."""
        assert self._process is not None
        return self._process.pid

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, timeout_s: float = 90) -> Self:
        """Start and wait until it answers."""
        env = os.environ | {
            "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "fracture_site.settings.test",
            **self._env,
        }
        self._write_config()
        env.pop("DATABASE_OWNER_URL", None)
        command = [
            sys.executable, "-m", "gunicorn", "fracture_site.wsgi:application",
            "--config", str(self._config),
            "--bind", f"127.0.0.1:{self.port}", "--worker-class", "gthread",
            "--workers", str(self._workers), "--threads", str(self._threads), "--timeout", "120",
            "--graceful-timeout", "45", "--no-control-socket", "--log-level", "warning",
        ]  # fmt: skip
        with self.log.open("ab") as output:
            self._process = processes.spawn_tied(command, cwd=ROOT, output=output, env=env)
        process = self._process
        started = processes.wait_until(
            lambda: process.poll() is not None or self.answers(), timeout_s=timeout_s,
            interval_s=0.1,
        )  # fmt: skip
        if not started or process.poll() is not None:
            self.stop()
            raise AssertionError(f"The web did not start:\n{processes.tail(self.log)}")
        return self

    def answers(self) -> bool:
        """Return whether a process takes requests."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            line.request("GET", "/healthz")
            return line.getresponse().status == 200
        except OSError:
            return False
        finally:
            line.close()

    def reload(self, *, timeout_s: float = 120, **env: str) -> None:
        """Replace all its processes by new ones, as a deployment does; with other variables."""
        assert self._process is not None
        self._env |= env
        self._write_config()
        before = self._children()
        self._process.send_signal(signal.SIGHUP)

        def replaced() -> bool:
            return not before & self._children() and len(self._children()) >= self._workers

        assert processes.wait_until(replaced, timeout_s=timeout_s, interval_s=0.1), self.log

    def _children(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.pid).children()}

    def _write_config(self) -> None:
        """Name the variables in a file that the master reads again when it is told to reload."""
        self._config.write_text(f"raw_env = {[f'{k}={v}' for k, v in self._env.items()]!r}\n")

    def resident_mib(self) -> float:
        """Return the memory that its processes hold, without what they share."""
        family = [psutil.Process(self.pid), *processes.descendants(self.pid)]
        return sum(member.memory_full_info().uss for member in family) / 2**20

    def stop(self) -> None:
        """End it, after the requests that it has taken."""
        if self._process is not None:
            processes.stop(self._process, grace_s=40)
