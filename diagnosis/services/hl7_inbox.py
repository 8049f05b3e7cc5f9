"""What an HL7 message does: whose it is, what it asks for, what is remembered, what is answered.

One message is one transaction of one clinic. Its content is never stored and never logged; a row
keeps control id, type and outcome, and lets a repetition be answered without a second effect.
"""

import logging
from datetime import tzinfo
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import connection, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.audit import audit_record
from accounts.models import AuditEvent, User
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis.interop.hl7_answers import (
    ACCEPTED,
    Hl7Outcome,
    hl7_acknowledgement,
    hl7_refused,
)
from diagnosis.interop.hl7_orders import (
    Control,
    Hl7Reading,
    hl7_merged,
    hl7_orders,
    hl7_person,
)
from diagnosis.interop.hl7_reading import (
    Hl7Header,
    Segment,
    hl7_header,
    hl7_segments,
    hl7_time,
)
from diagnosis.interop.mllp import Peer
from diagnosis.models import Hl7Message, Hl7Sender
from diagnosis.models.hl7 import CHARACTER_SETS
from diagnosis.selectors.hl7 import hl7_senders_matching
from diagnosis.services.orders import Effect, order_cancel, order_place
from diagnosis.services.patient_matching import (
    patient_merge_told,
    patient_of_order,
    patient_told,
)
from fracture_site.common.errors import DomainError, RefusedInputError

logger = logging.getLogger(__name__)

_ORDERS: Final = frozenset({"ORM^O01", "OMI^O23"})
_REGISTRATIONS: Final = frozenset({"ADT^A01", "ADT^A04", "ADT^A28"})
_CORRECTIONS: Final = frozenset({"ADT^A08", "ADT^A31"})
_MERGES: Final = frozenset({"ADT^A34", "ADT^A40"})


def hl7_receive(*, data: bytes, peer: Peer) -> bytes:
    """Carry a message out, commit, and return its acknowledgement.

    Raises:
        django.db.Error: the database does not work; nothing was done, and the caller says so.
    """
    header: Hl7Header | None = None
    try:
        header = hl7_header(data)
        sender_id, clinic_id = _sender(header, peer)
    except RefusedInputError as error:
        outcome = hl7_refused(error.code)
    else:
        with clinic_scope(clinic_id):
            outcome = _received(sender_id, header, data)
    logger.info("hl7 message", extra={"code": outcome.code or outcome.effect})
    return hl7_acknowledgement(header, outcome, at=timezone.now())


def hl7_refusal(code: str, data: bytes = b"") -> bytes:
    """Return the answer to a message that was not read whole, or could not be carried out."""
    try:
        header = hl7_header(data)
    except RefusedInputError:
        header = None
    return hl7_acknowledgement(header, hl7_refused(code), at=timezone.now())


def _sender(header: Hl7Header, peer: Peer) -> tuple[UUID, UUID]:
    found = hl7_senders_matching(
        application=header.application,
        facility=header.facility,
        address=peer.address,
        certificate_sha256=peer.certificate_sha256,
    )
    if len(found) != 1:
        code = "sender_ambiguous" if found else "sender_unknown"
        raise RefusedInputError(code)
    return found[0]


def _received(sender_id: UUID, header: Hl7Header, data: bytes) -> Hl7Outcome:
    sender = Hl7Sender.objects.select_related("membership__user", "clinic").get(pk=sender_id)
    identity: dict[str, Any] = {
        "sender": sender,
        "control_id": header.control_id,
        "content_hmac": salted_hmac("diagnosis.hl7_inbox", data, algorithm="sha256").hexdigest(),
    }
    _one_at_a_time(sender, header)
    if Hl7Message.objects.filter(outcome=ACCEPTED, **identity).exists():
        return Hl7Outcome(ACCEPTED, effect="repeated")
    outcome = _tried(sender, header, data)
    Hl7Message.objects.update_or_create(
        **identity,
        defaults={
            "clinic_id": sender.clinic_id,
            "message_type": header.message_type[:20],
            "outcome": outcome.acknowledgement,
            "code": outcome.code,
        },
    )
    return outcome


def _tried(sender: Hl7Sender, header: Hl7Header, data: bytes) -> Hl7Outcome:
    """Carry the message out whole or not at all."""
    actor = sender.membership.user
    try:
        with transaction.atomic():
            return Hl7Outcome(ACCEPTED, effect=_applied(actor, sender, header, data))
    except ActionDeniedError as error:
        audit_record(
            actor=actor,
            action=error.action,
            clinic_id=sender.clinic_id,
            target=sender,
            outcome=AuditEvent.Outcome.DENIED,
        )
        return hl7_refused("not_allowed")
    except DomainError as error:
        return hl7_refused(error.code)


def _applied(actor: User, sender: Hl7Sender, header: Hl7Header, data: bytes) -> str:
    kind = header.message_type
    if kind not in _ORDERS | _REGISTRATIONS | _CORRECTIONS | _MERGES:
        raise RefusedInputError("message_type_unsupported")
    if header.processing_id != "P":  # exercises and tests have no place among real patients
        raise RefusedInputError("processing_id_unsupported")
    encoding = CHARACTER_SETS.get(header.character_set or sender.character_set)
    if encoding is None:
        raise RefusedInputError("character_set_unknown")
    segments = hl7_segments(data, encoding=encoding)
    reading = Hl7Reading(
        source=sender.source,
        authority=sender.assigning_authority,
        procedures=sender.procedures,
        zone=_zone(sender),
        received_at=timezone.now(),
    )
    person = hl7_person(segments, reading)
    if kind in _ORDERS:
        return _ordered(actor, sender, header, segments, reading)
    written = hl7_time(header.written, reading.zone)
    if kind in _MERGES:
        _patient, changed = patient_merge_told(
            actor=actor,
            clinic_id=sender.clinic_id,
            person=person,
            merged_number=hl7_merged(segments, reading),
            written=written,
        )
    else:
        _patient, changed = patient_told(
            actor=actor,
            clinic_id=sender.clinic_id,
            person=person,
            register=kind in _REGISTRATIONS,
            written=written,
        )
    return Effect.UPDATED if changed else Effect.UNCHANGED


def _ordered(
    actor: User, sender: Hl7Sender, header: Hl7Header, segments: list[Segment], reading: Hl7Reading
) -> str:
    clinic_id = sender.clinic_id
    person = hl7_person(segments, reading)
    orders = hl7_orders(segments, reading, written=header.written)
    effects = []
    for control, told in orders:
        if control is Control.PLACE:
            patient = patient_of_order(actor=actor, clinic_id=clinic_id, person=person)
            _order, effect = order_place(
                actor=actor, clinic_id=clinic_id, patient=patient, told=told
            )
        elif control is Control.CANCEL:
            _order, effect = order_cancel(actor=actor, clinic_id=clinic_id, told=told)
        else:
            effect = Effect.UNCHANGED
        effects.append(effect)
    return ",".join(dict.fromkeys(effects))


def _zone(sender: Hl7Sender) -> tzinfo:
    try:
        return ZoneInfo(sender.clinic.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        return timezone.get_default_timezone()


def _one_at_a_time(sender: Hl7Sender, header: Hl7Header) -> None:
    """Hold back a repetition until the first one is done, so that it is seen to be one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"hl7/{sender.pk}/{header.control_id}"],
        )
