# ruff: noqa: E402, INP001 - a script
"""Uploads through the API until their results are stored, beside the inference alone.

    python -m fracture_site.embedded run --data /dev/shm/bench-throughput --throwaway --
        .venv/bin/python bench/throughput.py

The whole site runs: web server, PostgreSQL, Redis, a worker with one process a core. Then what a
claim of the next job costs while ten to ten thousand others wait.
"""

import http.client
import multiprocessing
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fracture_site.settings.test")
os.environ["API_THROTTLE_RATE"] = "1000000/min"

import django

django.setup()

from accounts.tenancy import clinic_scope
from bench.crowd import web_server
from bench.figures import QUICK, figure, median, radiographs
from diagnosis.jobs import job_claim_next, job_release
from diagnosis.models import Analysis
from fracture_site import processes
from ml.predictor import WEIGHTS_FOLDER, load_predictor
from tests.factories import ApiTokenFactory, ClinicFactory, PatientFactory, StudyFactory
from tests.support.database import empty_all_tables, test_database
from tests.support.many_studies import many_queued
from tests.support.worker import RealWorker

CORES = len(os.sched_getaffinity(0))
SENDERS = 2


def main() -> None:
    """Measure and print."""
    count = 40 if QUICK else 150
    pictures = radiographs(count + 4)
    alone = [inference_alone(pictures)]
    with test_database("throughput"):
        site = through_the_site(pictures[:count], warm_up=pictures[count:])
        alone.append(inference_alone(pictures))
        figure(
            f"studies a minute through the API, {CORES} cores", site, "1/min", n=count,
            peer=median(alone), peer_is="inference alone on the same cores", more_is_better=True,
            aim="ratio >= 0.7",
        )  # fmt: skip
        empty_all_tables()
        queues()


def inference_alone(pictures: list[bytes]) -> float:
    """Return pictures a minute, one process a core and nothing else."""
    parts = [pictures[core::CORES] for core in range(CORES)]
    context = multiprocessing.get_context("spawn")
    with context.Pool(CORES, initializer=_warm) as pool:
        pool.map(_predict, [part[:1] for part in parts], chunksize=1)
        started = time.perf_counter()
        pool.map(_predict, parts, chunksize=1)
        return 60 * len(pictures) / (time.perf_counter() - started)


_LOADED: list[Any] = []


def _warm() -> None:
    _LOADED.append(load_predictor(WEIGHTS_FOLDER, threads=1))


def _predict(pictures: list[bytes]) -> None:
    for picture in pictures:
        _LOADED[0].predict(picture)


def through_the_site(pictures: list[bytes], *, warm_up: list[bytes]) -> float:
    """Return studies a minute, from the first byte sent to the last result stored."""
    token = ApiTokenFactory(membership__roles=["technician", "doctor"])
    clinic = token.membership.clinic
    patient = PatientFactory(clinic=clinic)
    studies = [StudyFactory(patient=patient, created_by=token.membership.user) for _ in pictures]
    worker = RealWorker(concurrency=CORES).start()
    port, server = web_server()
    try:
        warm = StudyFactory(patient=patient)
        for extra in warm_up:  # each process has imported and loaded everything
            _send(port, token.secret, warm.pk, extra)
        _wait(clinic.pk, len(warm_up))
        started = time.perf_counter()
        with ThreadPoolExecutor(SENDERS) as pool:
            work = [
                pool.submit(_send, port, token.secret, study.pk, picture)
                for study, picture in zip(studies, pictures, strict=True)
            ]
            for each in work:
                each.result()
        sent = time.perf_counter() - started
        _wait(clinic.pk, len(warm_up) + len(pictures))
        spent = time.perf_counter() - started
        figure("uploads a minute through the API alone", 60 * len(pictures) / sent, "1/min", n=1)
        return 60 * len(pictures) / spent
    finally:
        worker.stop()
        processes.stop(server, grace_s=10)


def _send(port: int, secret: str, study: UUID, picture: bytes) -> None:
    edge = uuid4().hex
    head = (
        f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="x.png"\r\n'
        "Content-Type: image/png\r\n\r\n"
    )
    body = head.encode() + picture + f"\r\n--{edge}--\r\n".encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {
        "Authorization": f"Token {secret}",
        "Content-Type": f"multipart/form-data; boundary={edge}",
    }
    connection.request("POST", f"/api/v1/studies/{study}/images/", body, headers)
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    if answer.status not in {200, 201}:
        sys.exit(f"an upload was answered {answer.status}: {said[:300]!r}")


def _wait(clinic: UUID, count: int) -> None:
    def done() -> bool:
        with clinic_scope(clinic):
            return Analysis.objects.filter(status="succeeded").count() >= count

    if not processes.wait_until(done, timeout_s=600, interval_s=0.05):
        sys.exit("the analyses did not end")


def queues() -> None:
    """Print what a claim costs at each length of the queue."""
    for waiting in (10, 100, 1000, 10_000):
        many_queued(clinic=ClinicFactory(), count=waiting)
        times = []
        for _ in range(60 if QUICK else 200):
            started = time.perf_counter()
            claim = job_claim_next(Analysis)
            times.append((time.perf_counter() - started) * 1000)
            if claim is None:
                sys.exit("nothing is queued")
            with clinic_scope(claim.clinic_id):
                job_release(Analysis, claim)
        figure(f"claim of the next job, {waiting} queued", median(times), "ms", n=len(times))
        empty_all_tables()


if __name__ == "__main__":
    main()
