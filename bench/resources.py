# ruff: noqa: E402, INP001 - a script
"""Memory of web and worker, and how long everything takes to start.

    python -m fracture_site.embedded run --data /dev/shm/bench-resources --throwaway --
        .venv/bin/python bench/resources.py

Memory is the proportional share (PSS): what several processes share is divided among them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fracture_site.settings.test")

import django

django.setup()

import psutil

from accounts.tenancy import clinic_scope
from bench.crowd import web_server
from bench.figures import QUICK, ROOT, figure, interleaved, median, radiographs
from bench.predict import TRAIN_PYTHON, Peer
from diagnosis.models import Analysis
from diagnosis.services.uploads import image_upload
from fracture_site import processes
from tests.factories import MembershipFactory, PatientFactory, StudyFactory
from tests.support.database import test_database
from tests.support.orthanc import free_port
from tests.support.worker import RealWorker


def main() -> None:
    """Measure and print."""
    cold_start()
    with test_database("resources"):
        memory()
    demo_start()


def cold_start() -> None:
    """Print the seconds from nothing to one answer, ours and the peer's."""
    picture = radiographs(1)[0]

    def ours(_n: int) -> None:
        command = [sys.executable, str(ROOT / "bench" / "predict.py"), "cold"]
        subprocess.run(command, input=picture, check=True, stdout=subprocess.DEVNULL)  # noqa: S603

    def peer(_n: int) -> None:
        Peer().stop()

    ways = {"ours": ours} | ({"peer": peer} if TRAIN_PYTHON.exists() else {})
    rounds = 2 if QUICK else 5
    taken = {name: median(times) / 1000 for name, times in interleaved(ways, rounds).items()}
    figure(
        "cold start to the first prediction", taken["ours"], "s", n=rounds,
        peer=taken.get("peer"), peer_is="Keras ResNet50 with Grad-CAM", aim="<= 5 s",
    )  # fmt: skip


def memory() -> None:
    """Print what web server and worker occupy after some work."""
    member = MembershipFactory(roles=["technician", "doctor"])
    worker = RealWorker(concurrency=1).start()
    _port, server = web_server()
    try:
        patient = PatientFactory(clinic=member.clinic)
        pictures = radiographs(6)
        for picture in pictures:
            with clinic_scope(member.clinic_id):
                study = StudyFactory(patient=patient)
                image_upload(actor=member.user, study=study, data=picture)

        def done() -> bool:
            with clinic_scope(member.clinic_id):
                return Analysis.objects.filter(status="succeeded").count() == len(pictures)

        if not processes.wait_until(done, timeout_s=120, interval_s=0.1):
            sys.exit("the analyses did not end")
        for child in worker.child_pids[:1]:
            figure("memory of a worker process (PSS)", _pss(child), "MiB", n=1, aim="<= 400 MiB")
        figure("memory of the worker's parent (PSS)", _pss(worker.pid), "MiB", n=1)
        web = [server.pid, *(each.pid for each in psutil.Process(server.pid).children())]
        figure(f"memory of the web server, {len(web)} processes (PSS)", sum(map(_pss, web)), "MiB",
               n=len(web))  # fmt: skip
    finally:
        worker.stop()
        processes.stop(server, grace_s=10)


def _pss(pid: int) -> float:
    return float(psutil.Process(pid).memory_full_info().pss) / 2**20


def demo_start() -> None:
    """Print the seconds from the command to a page, of the first start and of the next."""
    with tempfile.TemporaryDirectory(prefix="fracture-bench-demo-") as name:
        for which in ("first", "next"):
            port, started = free_port(), time.monotonic()
            env = {k: v for k, v in os.environ.items() if not k.startswith(("DJANGO", "DATABASE"))}
            env.pop("REDIS_URL", None)
            command = [
                sys.executable, "-m", "fracture_site.demo", "--data", f"{name}/demo",
                "--port", str(port),
            ]  # fmt: skip
            with Path(os.devnull).open("ab") as output:
                demo = processes.spawn_tied(command, cwd=ROOT, output=output, env=env)
            ready = processes.wait_until(
                lambda port=port: _answers(port), timeout_s=240, interval_s=0.1
            )
            seconds = time.monotonic() - started
            processes.stop(demo, grace_s=30)
            if not ready:
                sys.exit("the demo does not answer")
            figure(f"`make demo`, {which} start to an answer", seconds, "s", n=1)
        shutil.rmtree(f"{name}/demo", ignore_errors=True)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    main()
