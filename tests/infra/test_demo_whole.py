"""The whole demo, started and stopped the way people and crashes do it."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import requests

from tests.infra.conftest import clean_environment
from tests.support.database import ROOT
from tests.support.worker import wait_for

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        not (Path(os.environ.get("ML_MODEL_DIR", ROOT / "ml/weights")) / "manifest.json").exists(),
        reason="needs the shipped model",
    ),
]


class RunningDemo:
    def __init__(self, data: Path, port: int) -> None:
        self._data = data
        self._log = data.with_suffix(".out")
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fracture_site.demo", "--data", data, "--port", str(port)],
                cwd=ROOT, env=clean_environment(), stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        wait_for(lambda: self.process.poll() is not None or "is ready" in self.printed(),
                 timeout_s=300)  # fmt: skip
        assert self.process.poll() is None, self.printed()

    def printed(self) -> str:
        return self._log.read_text()

    def family(self) -> list[psutil.Process]:
        """Return every living process that works for this demo, whoever its parent is."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                media = process.environ().get("PRIVATE_MEDIA_ROOT")
                if media == str(self._data / "media") or Path(process.cwd()).is_relative_to(
                    self._data
                ):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_it_starts_survives_a_crash_with_its_data_and_stops_without_orphans(tmp_path):
    data, port = tmp_path / "demo", free_port()
    demo = RunningDemo(data, port)
    first = json.loads((tmp_path / "demo.json").read_text())
    roles = sorted((account["clinic"] or "", account["role"]) for account in first["accounts"])
    assert len({clinic for clinic, _ in roles if clinic}) == 2
    assert [role for clinic, role in roles if not clinic] == ["site_admin"]
    assert requests.get(f"{first['base_url']}/readyz", timeout=20).status_code == 200
    programs = {Path(p.cmdline()[1]).name for p in demo.family() if len(p.cmdline()) > 1}
    assert {"gunicorn", "celery"} <= programs

    os.killpg(demo.process.pid, signal.SIGKILL)  # as when a terminal or a CI job is torn down
    demo.process.wait()
    wait_for(lambda: not demo.family(), timeout_s=60)

    demo = RunningDemo(data, port)
    again = json.loads((tmp_path / "demo.json").read_text())
    token = next(a["api_token"] for a in first["accounts"] if a["role"] == "doctor")
    headers = {"Authorization": f"Token {token}"}
    answer = requests.get(f"{again['base_url']}/api/v1/studies/", headers=headers, timeout=20)
    assert again == first
    assert answer.json()["results"]

    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(60) == 0
    assert demo.family() == []
    assert "The data stays" in demo.printed()
