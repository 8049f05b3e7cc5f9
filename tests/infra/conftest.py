"""Embedded services in folders of their own, apart from those that the suite itself runs on."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from coverage import Coverage

from tests.support.database import ROOT

GIVEN = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "MAKELEVEL", "DJANGO_SETTINGS_MODULE")


def clean_environment(**changes: str) -> dict[str, str]:
    """Return the environment of somebody who has set nothing."""
    return {k: v for k, v in os.environ.items() if k not in GIVEN} | changes


def measured_environment(**changes: str) -> dict[str, str]:
    """Return the same, with coverage of the process itself when this one is measured.

    For short command lines only: web servers and workers become several times slower.
    """
    if Coverage.current() is not None:
        changes["COVERAGE_PROCESS_START"] = str(ROOT / "pyproject.toml")
    return clean_environment(**changes)


def embedded_command(data: Path, *command: str) -> list[str]:
    return [
        sys.executable, "-m", "fracture_site.embedded", "run", "--data", str(data), "--throwaway",
        "--", *command,
    ]  # fmt: skip


def run_embedded(data: Path, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command between start and stop of the services in ``data``."""
    return subprocess.run(
        embedded_command(data, *command),
        cwd=ROOT, env=measured_environment(**env), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def servers_of(data: Path) -> list[psutil.Process]:
    """Return the living processes that stand in a data folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(data.resolve()):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Return a data folder with a cluster in it, shared by the tests of one module."""
    folder = tmp_path_factory.mktemp("embedded") / "data"
    done = run_embedded(folder, "true")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def launcher(data) -> Iterator:
    """Return a function that starts the services with a command that waits."""
    started: list[subprocess.Popen[str]] = []

    def start(folder: Path = data, script: str = "") -> subprocess.Popen[str]:
        code = f"import signal, sys\n{script}\nprint('up', flush=True)\nsignal.pause()"
        process = subprocess.Popen(
            embedded_command(folder, sys.executable, "-c", code),
            cwd=ROOT, env=measured_environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            # A test run under nohup ignores hang-ups, and its children would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n", process.communicate()[1]
        return process

    yield start
    for process in started:
        process.terminate()
        process.communicate(timeout=30)
