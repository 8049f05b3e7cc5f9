"""Promising deliveries, and sending failed ones again."""

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from diagnosis import jobs
from diagnosis.models import Delivery, Destination, Study
from fracture_site.common.errors import ConflictError


@transaction.atomic
def deliveries_promise(*, study: Study, event: str, subject: str) -> list[Delivery]:
    """Promise to tell each destination that asks for ``event``; call it in the event's transaction.

    The caller holds the study's lock, which orders the promises. The same event and subject is
    promised once to a destination, however often this is called.
    """
    promised = []
    for destination in Destination.objects.filter(
        clinic_id=study.clinic_id, is_enabled=True, events__contains=[event]
    ):
        earlier = Delivery.objects.filter(destination=destination, study=study)
        if Delivery.objects.filter(destination=destination, event=event, subject=subject).exists():
            continue
        last = earlier.aggregate(last=Max("number"))["last"] or 0
        delivery = Delivery.objects.create(
            clinic_id=study.clinic_id,
            destination=destination,
            study=study,
            event=event,
            subject=subject,
            number=last + 1,
            priority=study.priority,
        )
        promised.append(delivery)
    if promised:
        transaction.on_commit(_wake, robust=True)
    return promised


@transaction.atomic
def delivery_send_again(*, actor: User, delivery: Delivery) -> None:
    """Let a delivery that has failed run again with all its attempts.

    Raises:
        ConflictError: ``delivery_not_failed``; ``newer_delivered``: the destination has something
            newer of this study, which the old one must not replace.
    """
    require(user=actor, action=Action.DELIVERY_SEND, clinic_id=delivery.clinic_id)
    locked = Delivery.objects.select_for_update().get(pk=delivery.pk)
    if locked.status not in {Delivery.Status.FAILED, Delivery.Status.CANCELLED}:
        raise ConflictError("delivery_not_failed", _("This is sent, or it is still being tried."))
    newer = Delivery.objects.filter(
        study=locked.study_id,
        destination=locked.destination_id,
        number__gt=locked.number,
        status=Delivery.Status.SUCCEEDED,
    )
    if newer.exists():
        raise ConflictError(
            "newer_delivered", _("The destination has a newer version of this study already.")
        )
    jobs.job_requeue(Delivery, locked.pk)
    _audit(actor, "delivery.send_again", locked)
    transaction.on_commit(_wake, robust=True)


@transaction.atomic
def delivery_cancel(*, actor: User, delivery: Delivery) -> None:
    """Give up a delivery that waits; those behind it go on.

    Raises:
        ConflictError: ``job_is_final``.
    """
    require(user=actor, action=Action.DELIVERY_SEND, clinic_id=delivery.clinic_id)
    if not jobs.job_cancel(Delivery, delivery.pk):
        raise ConflictError("job_is_final", _("This delivery has ended already."))
    _audit(actor, "delivery.cancel", delivery)
    transaction.on_commit(_wake, robust=True)


def _wake() -> None:
    jobs.wake_workers(model=Delivery)


def _audit(actor: User, action: str, delivery: Delivery) -> None:
    audit_record(
        actor=actor,
        action=action,
        clinic_id=delivery.clinic_id,
        target=delivery,
        patient_id=delivery.study.patient_id,
        destination=str(delivery.destination_id),
        study=str(delivery.study_id),
    )
