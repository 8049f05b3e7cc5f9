"""Finishing, failing, putting back: only the holder of the newest claim moves a job."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from accounts.tenancy import clinic_scope
from diagnosis import jobs
from diagnosis.jobs import Claim, LeaseKeeper
from diagnosis.models import Analysis
from tests.factories import AnalysisFactory, ClinicFactory

pytestmark = pytest.mark.django_db


def fresh(claim: Claim) -> Analysis:
    with clinic_scope(claim.clinic_id):
        return Analysis.objects.get(pk=claim.job_id)


def change(claim: Claim, **values) -> None:
    with clinic_scope(claim.clinic_id):
        Analysis.objects.filter(pk=claim.job_id).update(**values)


def claimed(**values) -> Claim:
    AnalysisFactory(**values)
    return jobs.job_claim_next(Analysis)


def taken_over() -> tuple[Claim, Claim]:
    slow = claimed()
    change(slow, lease_expires_at=Now() - timedelta(seconds=1))
    return slow, jobs.job_claim_next(Analysis)


@dataclass
class Span:
    """When something ran; on a busy machine it may have taken long."""

    begin: datetime
    end: datetime

    def contains(self, moment: datetime, *, after: float, tolerance: float = 0) -> bool:
        """Whether the moment is ``after`` seconds later than some time of the span."""
        wait = timedelta(seconds=after)
        return self.begin + wait <= moment <= self.end + wait + timedelta(seconds=tolerance)


@contextmanager
def timed() -> Iterator[Span]:
    span = Span(timezone.now(), timezone.now())
    yield span
    span.end = timezone.now()


MOVES = [
    pytest.param(lambda c: jobs.job_fail(Analysis, c, code="internal"), id="fail"),
    pytest.param(lambda c: jobs.job_retry(Analysis, c, code="internal"), id="retry"),
    pytest.param(lambda c: jobs.job_postpone(Analysis, c, code="storage"), id="postpone"),
    pytest.param(lambda c: jobs.job_release(Analysis, c), id="release"),
    pytest.param(lambda c: jobs.job_renew(Analysis, c), id="renew"),
]


@pytest.mark.parametrize("move", MOVES)
def test_a_slow_worker_cannot_move_what_a_faster_one_holds(move):
    slow, fast = taken_over()

    with clinic_scope(slow.clinic_id):
        assert move(slow) is False

    row = fresh(fast)
    assert (row.status, row.token, row.attempts) == ("running", fast.token, 2)


@pytest.mark.parametrize("move", MOVES)
def test_a_claim_is_worth_nothing_in_another_clinic(move):
    claim = claimed()
    foreign = Claim(job_id=claim.job_id, clinic_id=ClinicFactory().pk, token=claim.token)

    with clinic_scope(foreign.clinic_id):
        assert move(foreign) is False

    assert fresh(claim).status == "running"


@pytest.mark.parametrize("move", MOVES)
def test_a_made_up_token_moves_nothing(move):
    claim = claimed()
    forged = Claim(job_id=claim.job_id, clinic_id=claim.clinic_id, token=uuid4())

    with clinic_scope(forged.clinic_id):
        assert move(forged) is False

    assert fresh(claim).status == "running"


def test_a_lease_can_be_renewed_as_long_as_it_is_held():
    claim = claimed()
    change(claim, lease_expires_at=Now() + timedelta(seconds=1))

    with timed() as span:
        assert jobs.job_renew(Analysis, claim) is True

    assert span.contains(fresh(claim).lease_expires_at, after=20)


def test_unknown_errors_are_tried_again_later_each_time_and_then_end():
    claim = claimed()
    waits = []
    while True:
        with timed() as span, clinic_scope(claim.clinic_id):
            assert jobs.job_retry(Analysis, claim, code="internal") is True
        row = fresh(claim)
        if row.status == "failed":
            break
        waits.append(next(s for s in (5, 10, 20) if span.contains(row.due_at, after=s)))
        assert jobs.job_claim_next(Analysis) is None
        change(claim, due_at=Now())
        claim = jobs.job_claim_next(Analysis)

    assert waits == [5, 10]
    assert (row.attempts, row.error_code) == (3, "internal")
    assert row.finished_at is not None


def test_a_part_that_is_down_costs_no_attempt_and_delays_grow_with_the_time_waited():
    claim = claimed()
    change(claim, started_at=Now())
    with timed() as span, clinic_scope(claim.clinic_id):
        jobs.job_postpone(Analysis, claim, code="storage")
    row = fresh(claim)
    assert (row.status, row.attempts) == ("queued", 0)
    assert span.contains(row.due_at, after=2, tolerance=10)

    change(claim, due_at=Now(), started_at=Now() - timedelta(seconds=40))
    again = jobs.job_claim_next(Analysis)
    with timed() as span, clinic_scope(claim.clinic_id):
        jobs.job_postpone(Analysis, again, code="storage")
    assert span.contains(fresh(claim).due_at, after=20, tolerance=10)


def test_a_part_that_stays_down_ends_the_job_with_its_code():
    claim = claimed()
    change(claim, started_at=Now() - timedelta(minutes=16))

    with clinic_scope(claim.clinic_id):
        jobs.job_postpone(Analysis, claim, code="storage")

    assert (fresh(claim).status, fresh(claim).error_code) == ("failed", "storage")


def test_a_released_job_is_due_at_once_with_its_attempt_back():
    claim = claimed()

    with clinic_scope(claim.clinic_id):
        assert jobs.job_release(Analysis, claim) is True

    assert jobs.job_claim_next(Analysis).job_id == claim.job_id
    assert fresh(claim).attempts == 1


def test_a_cancelled_job_cannot_be_finished_by_its_worker():
    claim = claimed()
    with clinic_scope(claim.clinic_id):
        assert jobs.job_cancel(Analysis, claim.job_id) is True
        assert jobs.job_fail(Analysis, claim, code="internal") is False
        assert jobs.job_cancel(Analysis, claim.job_id) is False

    assert fresh(claim).status == "cancelled"


def test_a_failed_job_can_be_queued_again_with_all_attempts_but_a_result_stays():
    failed, done = AnalysisFactory(failed=True), AnalysisFactory(succeeded=True)

    with clinic_scope(failed.clinic_id):
        assert jobs.job_requeue(Analysis, failed.pk) is True
    with clinic_scope(done.clinic_id):
        assert jobs.job_requeue(Analysis, done.pk) is False

    claim = jobs.job_claim_next(Analysis)
    assert (claim.job_id, fresh(claim).attempts, fresh(claim).error_code) == (failed.pk, 1, "")


@pytest.mark.django_db(transaction=True)
def test_the_keeper_renews_a_long_job_so_that_nobody_takes_it_over(settings):
    settings.JOB_LEASE_RENEWAL = timedelta(seconds=0.02)
    claim = claimed()
    change(claim, lease_expires_at=Now() + timedelta(milliseconds=1))  # runs out at once

    with LeaseKeeper(Analysis, claim) as keeper:
        leases: set = set()
        while len(leases) < 5:
            assert keeper.is_running
            leases.add(fresh(claim).lease_expires_at)
        assert jobs.job_claim_next(Analysis) is None

    assert not keeper.is_running
    assert fresh(claim).token == claim.token
    assert max(leases) > timezone.now() + timedelta(seconds=10)


@pytest.mark.django_db(transaction=True)
def test_the_keeper_stops_when_the_job_was_taken_over(settings):
    settings.JOB_LEASE_RENEWAL = timedelta(seconds=0.01)
    slow, fast = taken_over()

    with LeaseKeeper(Analysis, slow) as keeper:
        assert keeper.wait_until_ended(timeout_s=5)

    assert fresh(fast).token == fast.token
