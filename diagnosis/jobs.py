"""The one job engine: claim, renew, finish, fail, cancel, requeue, find what is lost, wake workers.

The row is the job and PostgreSQL's clock is the only clock. A claim is one conditional
``UPDATE … RETURNING`` in a database function; everything else happens in the clinic's scope and
needs the claim's token, so a slow worker cannot overwrite a newer result. A message names no row
and may get lost: a sweeper sends it again. Only services call this module.
"""

import logging
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

from celery import current_app
from django.conf import settings
from django.db import connection
from django.db.models import (
    Case,
    DateTimeField,
    DurationField,
    ExpressionWrapper,
    F,
    Q,
    QuerySet,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Greatest, Least, Now
from django.db.utils import Error as DatabaseError
from kombu.exceptions import OperationalError as BrokerError

from accounts.tenancy import clinic_scope
from diagnosis.models import Analysis, Job, JobOverview

logger = logging.getLogger(__name__)

LOST = "worker_lost"


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to finish one attempt of one job."""

    job_id: UUID
    clinic_id: UUID
    token: UUID


def job_claim_next(model: type[Job]) -> Claim | None:
    """Move the most urgent due job to RUNNING for exactly one caller; ``None`` when none is due.

    Due is queued, or running with an expired lease. Order: priority, the clinic with
    the fewest running jobs, whose last job began longest ago, time of becoming due; one claim of
    five looks first for what has waited for a quarter of an hour (by the last byte of its token).
    Commits by itself outside a transaction.
    """
    token = uuid4()
    values: list[Any] = [token, settings.JOB_LEASE, settings.JOB_MAX_ATTEMPTS]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT claimed_id, claimed_clinic_id FROM {model._meta.db_table}_claim(%s, %s, %s)",  # noqa: S608 - a table of ours
            values,
        )
        row = cursor.fetchone()
    return Claim(job_id=row[0], clinic_id=row[1], token=token) if row else None


def job_held(model: type[Job], claim: Claim) -> QuerySet[Any]:
    """Return the row while the claim is current, otherwise nothing; needs the clinic's scope."""
    return model.objects.filter(pk=claim.job_id, status=Job.Status.RUNNING, token=claim.token)


def job_renew(model: type[Job], claim: Claim) -> bool:
    """Extend the lease; ``False`` when somebody else has the job by now."""
    with clinic_scope(claim.clinic_id):
        return bool(job_held(model, claim).update(lease_expires_at=Now() + settings.JOB_LEASE))


def job_succeed(model: type[Job], claim: Claim, **result: Any) -> bool:
    """Store the outcome of the claim; ``False`` when it is no longer current."""
    return bool(
        job_held(model, claim).update(
            status=Job.Status.SUCCEEDED,
            lease_expires_at=None,
            finished_at=Now(),
            error_code="",
            **result,
        )
    )


def job_fail(model: type[Job], claim: Claim, *, code: str) -> bool:
    """End the job for good with a code that people see; ``False`` when the claim is stale."""
    return bool(job_held(model, claim).update(**_failed(code)))


def job_retry(model: type[Job], claim: Claim, *, code: str) -> bool:
    """Put a job back that failed for an unknown reason, or end it after its last attempt.

    The delay doubles with each attempt. ``False`` when the claim is stale.
    """
    held = job_held(model, claim)
    if held.filter(attempts__gte=settings.JOB_MAX_ATTEMPTS).update(**_failed(code)):
        return True
    delays = [
        When(attempts=n, then=Value(settings.JOB_RETRY_DELAY * 2 ** (n - 1)))
        for n in range(1, settings.JOB_MAX_ATTEMPTS)
    ]
    delay = Case(*delays, default=Value(settings.JOB_RETRY_DELAY), output_field=DurationField())
    return bool(held.update(**_queued(code), due_at=_later(delay)))


def job_postpone(
    model: type[Job],
    claim: Claim,
    *,
    code: str,
    patience: timedelta | None = None,
    longest: timedelta = timedelta(seconds=60),
    jitter: bool = False,
) -> bool:
    """Put a job back because a part it needs is down; that costs it none of its attempts.

    It is due again after half of the time since its first claim (at least 2 s, at most
    ``longest``; with ``jitter`` up to a half longer, so that not all come at once) and ends with
    the code once the part has been down for ``patience`` (``JOB_TRANSIENT_PATIENCE``).
    """
    held = job_held(model, claim)
    since = Now() - (patience or settings.JOB_TRANSIENT_PATIENCE)
    if held.filter(started_at__lt=since).update(**_failed(code)):
        return True
    divisor = random.uniform(1.3, 2.0) if jitter else 2.0  # noqa: S311 - no secret
    waited = ExpressionWrapper((Now() - F("started_at")) / divisor, output_field=DurationField())
    delay = Least(Greatest(waited, Value(timedelta(seconds=2))), Value(longest))
    return bool(held.update(**_queued(code), due_at=_later(delay), attempts=F("attempts") - 1))


def job_release(model: type[Job], claim: Claim) -> bool:
    """Give a claim back untouched: this worker cannot do the work, another one may."""
    return bool(
        job_held(model, claim).update(**_queued(""), due_at=Now(), attempts=F("attempts") - 1)
    )


def job_cancel(model: type[Job], job_id: UUID) -> bool:
    """End an open job because somebody asked for it; ``False`` when it is final already."""
    return bool(
        model.objects.filter(pk=job_id, status__in=Job.OPEN).update(
            status=Job.Status.CANCELLED, lease_expires_at=None, finished_at=Now()
        )
    )


def job_requeue(model: type[Job], job_id: UUID) -> bool:
    """Let a failed or cancelled job run again with all its attempts.

    A running one is taken from its worker. ``False`` when it has succeeded.
    """
    return bool(
        model.objects.filter(pk=job_id)
        .exclude(status=Job.Status.SUCCEEDED)
        .update(**_queued(""), due_at=Now(), attempts=0, started_at=None, finished_at=None)
    )


def job_end_lost(model: type[Job], job_id: UUID) -> bool:
    """End one job whose workers died on every attempt; needs the clinic's scope."""
    return bool(
        model.objects.filter(
            Q(status=Job.Status.QUEUED) | Q(lease_expires_at__lt=Now()),
            pk=job_id,
            status__in=Job.OPEN,
            attempts__gte=settings.JOB_MAX_ATTEMPTS,
        ).update(**_failed(LOST))
    )


def jobs_used_up(model: type[Job]) -> QuerySet[JobOverview]:
    """Return jobs of all clinics that may not be claimed again: their workers died each time."""
    return _overview(model).filter(
        Q(status=Job.Status.QUEUED) | Q(status=Job.Status.RUNNING, lease_expires_at__lt=Now()),
        attempts__gte=settings.JOB_MAX_ATTEMPTS,
    )


def jobs_overdue(model: type[Job]) -> QuerySet[JobOverview]:
    """Return jobs of all clinics that no worker takes: due too long, or with an expired lease."""
    return _overview(model).filter(
        Q(status=Job.Status.QUEUED, due_at__lt=Now() - settings.JOB_SWEEP_INTERVAL)
        | Q(status=Job.Status.RUNNING, lease_expires_at__lt=Now()),
        attempts__lt=settings.JOB_MAX_ATTEMPTS,
    )


def wake_workers(*, model: type[Job] = Analysis, count: int = 1, fill: bool = False) -> bool:
    """Tell idle workers that something is due; ``False`` when the broker does not answer.

    Only a hint: it names no row, it expires, it gives up within a second, and after a failure
    the broker is left alone for a while, so that an upload never waits for a broker that is down.
    ``fill`` counts hints that still wait, so that a sweeper does not pile them up.
    """
    if not _broker.may_try():
        return False
    try:
        with _broker.connection() as broker:
            for _ in range(count - (_hints_waiting(broker, model.wake_task) if fill else 0)):
                current_app.send_task(
                    model.wake_task, connection=broker, retry=False, expires=60, ignore_result=True
                )
    except (BrokerError, OSError) as error:
        _broker.failed()
        logger.warning("the broker did not take a wake-up", extra={"code": type(error).__name__})
        return False
    return True


def _hints_waiting(broker: Any, task: str) -> int:
    route = settings.CELERY_TASK_ROUTES.get(task, {})
    queue = current_app.amqp.queues[route.get("queue", current_app.conf.task_default_queue)]
    return int(queue(broker.default_channel).queue_declare().message_count)


class _Kept:
    """A connection that is closed when nobody keeps it any more, at the latest with its thread."""

    def __init__(self, connection: Any, address: str) -> None:
        self.connection, self.address, self.used_at = connection, address, 0.0

    def __del__(self) -> None:
        if self.connection is not None:
            self.connection.release()


class _Broker:
    """The way to the broker: a connection that each thread keeps, and a pause after a failure.

    Connecting anew for each hint took as long as five statements. What was kept for a while may
    be dead without a sign; an old one is not trusted.
    """

    PAUSE_S = 5.0
    KEPT_S = 2.0

    def __init__(self) -> None:
        self._again_at = 0.0
        self._kept = threading.local()
        os.register_at_fork(after_in_child=self._forget)

    def may_try(self) -> bool:
        return time.monotonic() >= self._again_at

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """Yield a connection that gives up within half a second."""
        address, now = current_app.conf.broker_write_url, time.monotonic()
        kept: _Kept | None = self._kept.__dict__.pop("way", None)
        if kept is None or kept.address != address or now - kept.used_at > self.KEPT_S:
            options = settings.JOB_WAKE_TRANSPORT_OPTIONS
            fresh = current_app.connection_for_write(connect_timeout=0.5, transport_options=options)
            kept = _Kept(fresh, address)
        yield kept.connection  # after an error it is not kept
        kept.used_at = now
        self._kept.way = kept

    def failed(self) -> None:
        self._again_at = time.monotonic() + self.PAUSE_S

    def reset(self) -> None:
        self._again_at = 0.0

    def _forget(self) -> None:
        """Leave the parent's connection to the parent."""
        if (kept := self._kept.__dict__.get("way")) is not None:
            kept.connection = None
        self._kept = threading.local()


_broker = _Broker()


class LeaseKeeper:
    """Renews the lease of a claim from a thread of its own while the block runs.

    A worker that is frozen or killed stops renewing, and another one takes over.
    """

    def __init__(self, model: type[Job], claim: Claim) -> None:
        self._model, self._claim = model, claim
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    @property
    def is_running(self) -> bool:
        """Whether the lease is still being renewed; it is not after the job was lost."""
        return self._thread.is_alive()

    def wait_until_ended(self, *, timeout_s: float) -> bool:
        """Return whether renewing ended by itself within the time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        interval = settings.JOB_LEASE_RENEWAL.total_seconds()
        try:
            while not self._done.wait(interval):
                try:
                    if not job_renew(self._model, self._claim):
                        return
                except DatabaseError as error:  # the next round tries again, the lease lasts
                    logger.warning("lease not renewed", extra={"code": type(error).__name__})
                    connection.close()
        finally:
            connection.close()  # this thread's own


def _overview(model: type[Job]) -> QuerySet[JobOverview]:
    return JobOverview.objects.filter(kind=model._meta.model_name)


def _failed(code: str) -> dict[str, Any]:
    return {
        "status": Job.Status.FAILED,
        "lease_expires_at": None,
        "finished_at": Now(),
        "error_code": code,
    }


def _queued(code: str) -> dict[str, Any]:
    return {
        "status": Job.Status.QUEUED,
        "token": None,
        "lease_expires_at": None,
        "error_code": code,
    }


def _later(delay: Any) -> Combinable:
    return ExpressionWrapper(Now() + delay, output_field=DateTimeField())
