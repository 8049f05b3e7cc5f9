"""Real processes die, the broker forgets everything: each upload gets exactly one result.

``CHAOS_UPLOADS`` and ``CHAOS_KILLS`` make the run longer; ``make test`` runs the short one.
"""

import os
import random
from threading import Thread

import pytest
from django.db import connection

from accounts.models import AuditEvent
from accounts.tenancy import clinic_scope
from diagnosis.models import Finding
from tests.chaos.hospital import Hospital, images, results, states, studies
from tests.support.worker import RealWorker, wait_for

UPLOADS = int(os.environ.get("CHAOS_UPLOADS", "40"))
KILLS = int(os.environ.get("CHAOS_KILLS", "1"))

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(120 + UPLOADS + KILLS * 40),
]


def all_done() -> bool:
    return states()["succeeded"] == UPLOADS


def assert_each_image_has_exactly_one_result(hospital: Hospital, answered: list) -> None:
    found = results(hospital.clinics)
    assert len(set(answered)) == len(answered) == UPLOADS
    assert images(hospital.clinics) == set(answered)
    assert sorted(row.image_id for row in found) == sorted(answered)  # 0 lost, 0 duplicated
    assert states() == {"succeeded": UPLOADS}
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


def test_kill_9_of_the_worker_and_flushall_while_uploads_are_in_flight(start_worker, redis):
    hospital = Hospital(UPLOADS)
    worker: RealWorker = start_worker(concurrency=2)
    answered: list = []
    sender = Thread(target=lambda: answered.extend(hospital.upload_all()))
    sender.start()
    chance = random.Random(20260101)  # noqa: S311 - where to strike, not a secret
    for kill in range(KILLS):
        target = min(UPLOADS * (kill + 1) // (KILLS + 2), UPLOADS - 2)
        wait_for(
            lambda target=target: states()["succeeded"] >= target and states()["running"] > 0,
            timeout_s=120,
            interval_s=chance.uniform(0.005, 0.02),
        )
        worker.kill()
        redis.flushall()
        wait_for(lambda: states()["queued"] > 0 or not sender.is_alive(), timeout_s=60)
        worker.start()
    sender.join()
    redis.flushall()  # and every wake-up that is still on its way

    wait_for(all_done, timeout_s=90, interval_s=0.2)

    connection.close()
    assert_each_image_has_exactly_one_result(hospital, answered)


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
