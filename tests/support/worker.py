"""A real Celery worker process on the test database and the test Redis."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import psutil

from fracture_site import processes
from tests.support.database import ROOT, database_url

READY = "ready."


class RealWorker:
    """Starts in its own session; ``kill`` is the hard way, ``stop`` the clean one."""

    def __init__(
        self,
        *,
        concurrency: int = 1,
        env: dict[str, str] | None = None,
        app: str = "fracture_site",
    ) -> None:
        self.log = Path(tempfile.mkstemp(prefix="fracture-worker-", suffix=".log")[1])
        self._concurrency = concurrency
        self._env = env or {}
        self._app = app
        self._process: subprocess.Popen[bytes] | None = None
        self._begin = 0

    @property
    def pid(self) -> int:
        """The main process; its children run the tasks."""
        assert self._process is not None
        return self._process.pid

    @property
    def child_pids(self) -> list[int]:
        """The processes that run tasks."""
        return sorted(child.pid for child in processes.descendants(self.pid))

    def start(self, *, timeout_s: float = 60) -> Self:
        """Start and wait until it takes messages."""
        self.launch()
        if (
            not processes.wait_until(
                lambda: self.is_ready or not self.is_alive, timeout_s=timeout_s, interval_s=0.1
            )
            or not self.is_alive
        ):
            self.stop()
            printed = self._printed(self._begin)
            raise AssertionError(f"The worker did not start:\n{printed[-3000:]}")
        return self

    @property
    def is_ready(self) -> bool:
        """Whether it takes messages."""
        return READY in self._printed(self._begin)

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start without waiting; from the main thread: it ends with the thread that did it."""
        env = os.environ | {
            "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "fracture_site.settings.test",
            **self._env,
        }
        env.pop("DATABASE_OWNER_URL", None)
        command = [
            sys.executable, "-m", "celery", "-A", self._app, "worker", "--pool=prefork",
            f"--concurrency={self._concurrency}", "--loglevel=INFO", "--without-gossip",
            "--without-mingle",
        ]  # fmt: skip
        self._begin = self.log.stat().st_size
        with self.log.open("ab") as output:
            self._process = processes.spawn_tied(command, cwd=ROOT, output=output, env=env)

    def kill(self) -> None:
        """End all its processes by SIGKILL, as the kernel does when out of memory."""
        assert self._process is not None
        family = processes.descendants(self.pid)
        self._process.kill()
        self._process.wait()
        processes.end_processes(family, grace_s=0, signum=signal.SIGKILL)

    def freeze(self) -> None:
        """Stop all its processes in the middle of what they do, as a paused machine does."""
        for process in [*processes.descendants(self.pid), psutil.Process(self.pid)]:
            process.suspend()

    def thaw(self) -> None:
        """Let them go on."""
        for process in [psutil.Process(self.pid), *processes.descendants(self.pid)]:
            process.resume()

    def change(self, env: dict[str, str]) -> None:
        """Start with other variables the next time."""
        self._env = self._env | env

    def stop(self, *, grace_s: float = 20) -> None:
        """End it and all its children, after the task that they work on."""
        if self._process is not None:
            processes.stop(self._process, grace_s=grace_s)

    def _printed(self, begin: int) -> str:
        return self.log.read_bytes()[begin:].decode(errors="replace")


def wait_for(condition, *, timeout_s: float = 30, interval_s: float = 0.05):
    """Return the first true answer of ``condition``; fail when there is none in time.

    For what other processes do; code in the same process needs no waiting.
    """
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"nothing happened within {timeout_s} s"
        time.sleep(interval_s)
    return answer
