"""Real processes die, the broker forgets everything: each upload gets exactly one result.

The short runs; ``make chaos`` breaks a whole site for minutes (tests/chaos/storm.py).
"""

import os
import random
from threading import Thread

import pytest
from celery import current_app
from django.db import connection
from kombu import Connection

from accounts.models import AuditEvent
from accounts.tenancy import clinic_scope
from diagnosis.models import Finding
from tests.chaos.hospital import Hospital, images, results, states, studies
from tests.support.worker import RealWorker, wait_for

UPLOADS = 40
KILLS = 1

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(120 + UPLOADS + KILLS * 40),
]


def assert_each_image_has_exactly_one_result(hospital: Hospital, answered: list) -> None:
    found = results(hospital.clinics)
    assert len(set(answered)) == len(answered) == len(hospital.files)
    assert images(hospital.clinics) == set(answered)
    assert sorted(row.image_id for row in found) == sorted(answered)  # 0 lost, 0 duplicated
    assert states() == {"succeeded": len(answered)}
    finished = set()
    for clinic in hospital.clinics:
        with clinic_scope(clinic.pk):
            # A second set of findings, or one without a result, would be a duplicate.
            assert Finding.objects.exclude(analysis__status="succeeded").count() == 0
            boxes = list(Finding.objects.values_list("analysis_id", "x", "y", "width", "height"))
            assert len(set(boxes)) == len(boxes)
            events = AuditEvent.objects.filter(action="analysis.succeeded")
            finished |= set(events.values_list("target_id", flat=True))
            assert events.count() == sum(row.clinic_id == clinic.pk for row in found)
    assert finished == {row.pk for row in found}
    for study in studies(hospital.clinics):
        assert (study.status, study.result["incomplete"]) == ("ready", False)


def strike(hospital: Hospital, worker: RealWorker, *, kills: int, forget) -> None:
    """Upload everything; meanwhile kill the worker and let the broker forget all messages."""
    uploads = len(hospital.files)
    answered: list = []
    sender = Thread(target=lambda: answered.extend(hospital.upload_all()))
    sender.start()
    chance = random.Random(20260101)  # noqa: S311 - where to strike, not a secret
    for kill in range(kills):
        target = min(uploads * (kill + 1) // (kills + 2), uploads - 2)
        wait_for(
            lambda target=target: states()["succeeded"] >= target and states()["running"] > 0,
            timeout_s=120,
            interval_s=chance.uniform(0.005, 0.02),
        )
        worker.kill()
        forget()
        wait_for(lambda: states()["queued"] > 0 or not sender.is_alive(), timeout_s=60)
        worker.start()
    sender.join()
    forget()  # and every wake-up that is still on its way

    wait_for(lambda: states()["succeeded"] == uploads, timeout_s=90, interval_s=0.2)

    connection.close()
    assert_each_image_has_exactly_one_result(hospital, answered)


def test_kill_9_of_the_worker_and_flushall_while_uploads_are_in_flight(start_worker, redis):
    hospital = Hospital(UPLOADS)

    strike(hospital, start_worker(concurrency=2), kills=KILLS, forget=redis.flushall)


@pytest.mark.skipif(not os.environ.get("CI"), reason="RabbitMQ takes a minute: with CI=true")
def test_the_same_on_rabbitmq(start_worker, rabbitmq, settings, monkeypatch):
    monkeypatch.setattr(current_app.conf, "broker_write_url", rabbitmq)
    settings.JOB_WAKE_TRANSPORT_OPTIONS = {"read_timeout": 0.5, "write_timeout": 0.5}

    def purge() -> None:
        with Connection(rabbitmq) as broker:
            broker.default_channel.queue_purge("celery")

    hospital = Hospital(10)
    worker = start_worker(concurrency=2, env={"CELERY_BROKER_URL": rabbitmq})

    strike(hospital, worker, kills=1, forget=purge)


def test_a_wake_up_that_the_broker_lost_is_sent_again_by_the_workers_themselves(
    start_worker, redis, monkeypatch
):
    monkeypatch.setattr("diagnosis.jobs.wake_workers", lambda **_: True)  # lost on its way
    hospital = Hospital(5)
    start_worker(concurrency=1, env={"JOB_SWEEP_INTERVAL_S": "1"})  # no beat runs here

    hospital.upload_all(at_once=2)

    wait_for(lambda: states()["succeeded"] == 5, timeout_s=30)


def test_a_frozen_worker_loses_its_job_and_cannot_overwrite_the_result(start_worker, redis):
    """A paused machine: the lease runs out, another worker finishes, the first one wakes up."""
    hospital = Hospital(5)
    short = {"JOB_LEASE_S": "2", "JOB_SWEEP_INTERVAL_S": "1"}
    frozen: RealWorker = start_worker(concurrency=1, env=short)
    sender = Thread(target=hospital.upload_all)
    sender.start()

    def frozen_with_a_job() -> bool:
        if states()["running"]:
            frozen.freeze()
            if states()["running"]:
                return True
            frozen.thaw()
        return False

    wait_for(frozen_with_a_job, timeout_s=60, interval_s=0.002)
    try:
        start_worker(concurrency=1, env=short)
        wait_for(lambda: states()["succeeded"] == 5, timeout_s=60)
        sender.join()
        before = {(row.pk, row.token, row.finished_at) for row in results(hospital.clinics)}
    finally:
        frozen.thaw()
    frozen.stop()  # the clean way: it comes to an end with what it believes to hold

    assert {(row.pk, row.token, row.finished_at) for row in results(hospital.clinics)} == before
    assert states() == {"succeeded": 5}
