"""What a courier does with a claimed delivery: read, send, store the end, sweep.

Each function opens the clinic's scope by itself; no transaction is open while a peer is spoken to.
"""

from uuid import UUID

from django.conf import settings

from accounts.audit import audit_record
from accounts.tenancy import clinic_scope
from diagnosis import jobs
from diagnosis.jobs import Claim
from diagnosis.models import Delivery
from diagnosis.services.delivery_senders import sender_prepare

WAKE_AT_MOST = 4


def delivery_claim_next() -> Claim | None:
    """Take the next due delivery of any clinic; ``None`` when there is none."""
    return jobs.job_claim_next(Delivery)


def delivery_run(*, claim: Claim) -> None:
    """Send what was claimed; nothing happens when the claim is stale by now.

    Raises:
        TransportError: the peer did not take it.
        OSError: storage did not answer.
    """
    with clinic_scope(claim.clinic_id):
        delivery = (
            jobs.job_held(Delivery, claim)
            .select_related("destination", "study__patient", "study__clinic")
            .first()
        )
        if delivery is None:
            return
        send = sender_prepare(delivery)
    with jobs.LeaseKeeper(Delivery, claim):
        sent = send()
    with clinic_scope(claim.clinic_id):
        if jobs.job_succeed(Delivery, claim, sent=sent):
            _audit(claim.job_id)


def delivery_fail(*, claim: Claim, code: str) -> None:
    """End the delivery with a code that people see: trying again cannot help."""
    with clinic_scope(claim.clinic_id):
        if jobs.job_fail(Delivery, claim, code=code):
            _audit(claim.job_id)


def delivery_retry(*, claim: Claim, code: str) -> None:
    """Put the delivery back with a growing delay, or end it after its last attempt."""
    with clinic_scope(claim.clinic_id):
        if jobs.job_retry(Delivery, claim, code=code):
            _audit(claim.job_id)


def delivery_postpone(*, claim: Claim, code: str) -> None:
    """Put the delivery back until the peer answers again, or end it when that takes too long.

    What else waits for the same destination waits too: one call is enough to know that nobody
    answers.
    """
    with clinic_scope(claim.clinic_id):
        moved = jobs.job_postpone(
            Delivery,
            claim,
            code=code,
            patience=settings.DELIVERY_PATIENCE,
            longest=settings.DELIVERY_LONGEST_PAUSE,
            jitter=True,
        )
        delivery = Delivery.objects.get(pk=claim.job_id)
        if moved and delivery.status == Delivery.Status.QUEUED:
            Delivery.objects.filter(
                destination=delivery.destination_id,
                status=Delivery.Status.QUEUED,
                due_at__lt=delivery.due_at,
            ).update(due_at=delivery.due_at)
        if moved:
            _audit(claim.job_id)


def deliveries_sweep() -> None:
    """End what used up its attempts, and wake couriers for what nobody takes."""
    for delivery_id, clinic_id in jobs.jobs_used_up(Delivery).values_list("pk", "clinic_id")[:100]:
        _end_lost(delivery_id, clinic_id)
    overdue = jobs.jobs_overdue(Delivery).values_list("pk")[:WAKE_AT_MOST].count()
    if overdue:
        jobs.wake_workers(model=Delivery, count=overdue, fill=True)


def _end_lost(delivery_id: UUID, clinic_id: UUID) -> None:
    with clinic_scope(clinic_id):
        if jobs.job_end_lost(Delivery, delivery_id):
            _audit(delivery_id)


def _audit(delivery_id: UUID) -> None:
    """Record what the system itself has ended; a delivery that is still open is not news."""
    delivery = Delivery.objects.select_related("study").get(pk=delivery_id)
    if delivery.is_open:
        return
    audit_record(
        actor=None,
        action=f"delivery.{delivery.status}",
        clinic_id=delivery.clinic_id,
        target=delivery,
        patient_id=delivery.study.patient_id,
        destination=str(delivery.destination_id),
        study=str(delivery.study_id),
        code=delivery.error_code,
    )
