"""The real listener process on the test database."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

import psutil

from fracture_site import processes
from tests.support.database import ROOT, database_url
from tests.support.orthanc import free_port
from tests.support.worker import wait_for


class Listener:
    """Started as the operator does."""

    def __init__(self, **env: str) -> None:
        self.port = free_port()
        self.log = Path(tempfile.mkstemp(prefix="fracture-dimse-", suffix=".log")[1])
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start and wait until it serves."""
        env = os.environ | {
            "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "fracture_site.settings.test",
            "DIMSE_PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
            **self._env,
        }
        env.pop("DATABASE_OWNER_URL", None)
        with self.log.open("ab") as output:
            self._process = processes.spawn_tied(
                [sys.executable, "manage.py", "dicom_listener"], cwd=ROOT, output=output, env=env
            )
        wait_for(self._ready, timeout_s=90, interval_s=0.1)
        return self

    def stop(self) -> None:
        """Stop it politely."""
        if self._process is not None:
            processes.stop(self._process, grace_s=10)
        self.log.unlink(missing_ok=True)

    @property
    def pid(self) -> int:
        """The listener's process."""
        assert self._process is not None
        return self._process.pid

    @property
    def memory_bytes(self) -> int:
        """What it occupies, without its limited children."""
        assert self._process is not None
        return int(psutil.Process(self._process.pid).memory_info().rss)

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(self.log.read_text()[-3000:])
        return "listener ready" in self.log.read_text()
