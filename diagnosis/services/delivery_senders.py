"""Who sends a delivery: one sender for each kind of destination.

A sender has two steps. ``prepare`` runs within the clinic's scope, reads from the database what
is to be sent *now*, and returns a function; that one is called without a transaction, talks to
the peer and returns the random identifiers of what it has sent. Both raise ``TransportError``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from diagnosis.models import Delivery, Destination
from diagnosis.services.dicom_sending import cstore_prepare, cstore_test, stow_prepare, stow_test
from diagnosis.services.hl7_sending import mllp_check, mllp_prepare
from diagnosis.services.webhook_sending import webhook_check, webhook_prepare
from diagnosis.transport.errors import PeerRefusedError

Send = Callable[[], list[Any]]


@dataclass(frozen=True, slots=True)
class Sender:
    """How one kind of destination is served; ``test`` asks the peer whether it answers."""

    prepare: Callable[[Delivery], Send]
    test: Callable[[Destination], None]


SENDERS: Final[Mapping[str, Sender]] = {
    Destination.Kind.HL7_MLLP: Sender(prepare=mllp_prepare, test=mllp_check),
    Destination.Kind.WEBHOOK: Sender(prepare=webhook_prepare, test=webhook_check),
    Destination.Kind.DICOM_CSTORE: Sender(prepare=cstore_prepare, test=cstore_test),
    Destination.Kind.DICOM_STOW: Sender(prepare=stow_prepare, test=stow_test),
}


def sender_prepare(delivery: Delivery) -> Send:
    """Read what is to be sent and return the function that sends it.

    Raises:
        PeerRefusedError: ``destination_off``, ``kind_unknown``, or the sender's reason.
    """
    destination = delivery.destination
    if not destination.is_enabled:
        raise PeerRefusedError("destination_off")
    return _sender(destination).prepare(delivery)


def sender_test(destination: Destination) -> None:
    """Ask the peer whether it answers.

    Raises:
        TransportError: it does not.
    """
    _sender(destination).test(destination)


def _sender(destination: Destination) -> Sender:
    sender = SENDERS.get(destination.kind)
    if sender is None:
        raise PeerRefusedError("kind_unknown")
    return sender
