"""The sweeper finds what nobody takes, whatever happened to broker and workers."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from accounts.tenancy import clinic_scope
from diagnosis import jobs, tasks, worker
from diagnosis.models import Analysis
from diagnosis.services.analysis_runs import SweepReport, analyses_sweep
from tests.factories import AnalysisFactory

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(minutes=1)


@pytest.fixture
def woken(monkeypatch) -> list[int]:
    calls: list[int] = []
    monkeypatch.setattr(jobs, "wake_workers", lambda *, count, fill: calls.append(count))
    return calls


def expire(analysis: Analysis, **values) -> None:
    with clinic_scope(analysis.clinic_id):
        Analysis.objects.filter(pk=analysis.pk).update(
            lease_expires_at=Now() - timedelta(seconds=1), **values
        )


def test_what_is_in_order_is_left_alone(woken):
    AnalysisFactory()  # was queued just now
    AnalysisFactory(running=True, lease_expires_at=timezone.now() + timedelta(seconds=10))
    AnalysisFactory(due_at=timezone.now() + timedelta(minutes=1))
    AnalysisFactory(succeeded=True)

    assert analyses_sweep() == SweepReport(ended=0, woken=0)
    assert woken == []


def test_a_job_that_waits_too_long_wakes_a_worker(woken):
    AnalysisFactory(due_at=timezone.now() - LONG_AGO)

    analyses_sweep()

    assert woken == [1]


def test_an_expired_lease_wakes_a_worker_and_stays_claimable(woken):
    analysis = AnalysisFactory(running=True)
    expire(analysis)

    analyses_sweep()

    assert woken == [1]
    assert jobs.job_claim_next(Analysis).job_id == analysis.pk


def test_many_waiting_jobs_wake_several_workers_but_not_a_flood(woken):
    for _ in range(12):
        AnalysisFactory(due_at=timezone.now() - LONG_AGO)

    analyses_sweep()

    assert woken == [8]


def test_a_job_whose_workers_all_died_ends_with_a_code_people_see(woken):
    analysis = AnalysisFactory(running=True)
    expire(analysis, attempts=3)

    assert analyses_sweep() == SweepReport(ended=1, woken=0)

    with clinic_scope(analysis.clinic_id):
        row = Analysis.objects.select_related("image__study").get()
    assert (row.status, row.error_code) == ("failed", "worker_lost")
    assert row.image.study.status == "failed"


def test_sweeping_twice_ends_a_job_once(woken):
    expire(AnalysisFactory(running=True), attempts=3)

    assert [analyses_sweep().ended for _ in range(2)] == [1, 0]


def test_a_worker_that_still_renews_keeps_its_last_attempt(woken):
    analysis = AnalysisFactory(
        running=True, attempts=3, lease_expires_at=timezone.now() + timedelta(seconds=10)
    )

    assert analyses_sweep().ended == 0
    with clinic_scope(analysis.clinic_id):
        assert Analysis.objects.get().status == "running"


def test_hints_that_still_wait_are_not_piled_up(redis):
    for _ in range(4):
        assert jobs.wake_workers(count=3, fill=True) is True

    assert redis.llen("celery") == 3


def test_beats_task_is_the_same_sweep(monkeypatch):
    swept = []
    monkeypatch.setattr(tasks, "analyses_sweep", lambda: swept.append(True))

    tasks.sweep_jobs()

    assert swept == [True]


@pytest.mark.django_db(transaction=True)
def test_a_worker_process_sweeps_by_itself_and_outlives_a_failed_sweep(monkeypatch, settings):
    settings.JOB_SWEEP_INTERVAL = timedelta(seconds=0.01)
    swept: list[bool] = []

    def sweep() -> None:
        swept.append(True)
        if len(swept) == 1:
            raise ZeroDivisionError
        worker.stop_process()

    monkeypatch.setattr(worker, "analyses_sweep", sweep)
    worker._stopping.clear()

    worker._sweep_for_ever()

    assert len(swept) == 2
