"""What HL7 messages tell of patients and orders (ADT, ORM^O01, OMI^O23)."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from enum import StrEnum
from typing import Any, Final

from diagnosis.interop.hl7_reading import Segment, groups, hl7_time
from diagnosis.interop.orders import OrderTold, PersonTold, body_part_of, side_of
from diagnosis.models import Priority, Study
from fracture_site.common.errors import RefusedInputError

_SEXES: Final = {"F": "female", "M": "male", "O": "other", "A": "other", "U": "unknown",
                 "N": "unknown", "": "unknown"}  # fmt: skip
_PRIORITIES: Final = {
    "S": Priority.STAT, "STAT": Priority.STAT,
    "A": Priority.URGENT, "ASAP": Priority.URGENT, "U": Priority.URGENT, "URGENT": Priority.URGENT,
    "T": Priority.URGENT, "P": Priority.ROUTINE, "R": Priority.ROUTINE, "ROUTINE": Priority.ROUTINE,
}  # fmt: skip
_MODALITIES: Final = {"RAD": "DX", "RX": "DX", "XR": "DX", "XRAY": "DX", "DR": "DX", "DX": "DX",
                      "CR": "CR", "CT": "CT", "MR": "MR", "MG": "MG", "US": "US"}  # fmt: skip
_RECORD_NUMBER_TYPES: Final = ("MR", "PI", "PT", "")
_QUESTION_LENGTH: Final = 2000


class Control(StrEnum):
    """What to do with an order (ORC-1)."""

    PLACE = "place"
    CANCEL = "cancel"
    NOTE = "note"  # a change of state that means nothing here


_CONTROLS: Final = {"NW": Control.PLACE, "XO": Control.PLACE, "CA": Control.CANCEL,
                    "DC": Control.CANCEL, "SC": Control.NOTE}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hl7Reading:
    """How one sender's messages are read.

    Attributes:
        source: Namespace of its order numbers.
        authority: Who gives the clinic's record numbers (PID-3.4); ``""`` when only one does.
        procedures: Its procedure codes, to ``body_part``, ``side`` and ``modality``.
        zone: The clinic's clock, for times without offset.
        received_at: When the message came, for one that does not say when it was written.
    """

    source: str
    authority: str
    procedures: Mapping[str, Mapping[str, Any]]
    zone: tzinfo
    received_at: datetime


def hl7_person(segments: list[Segment], reading: Hl7Reading) -> PersonTold:
    """Return the patient of a message.

    Raises:
        RefusedInputError: ``patient_unidentified``, ``patient_ambiguous``,
            ``patient_other_authority``, ``birth_date_malformed``, ``segment_missing``.
    """
    pid = _the(segments, "PID")
    return PersonTold(
        record_number=_record_number(pid, 3, reading.authority),
        family_name=pid.line(5),
        given_name=_joined(pid.line(5, 2), pid.line(5, 3)),
        birth_date=_birth_date(pid.text(7)),
        sex=_SEXES.get((pid.text(8) or "").upper()) if pid.text(8) is not None else None,
    )


def hl7_merged(segments: list[Segment], reading: Hl7Reading) -> str:
    """Return the record number that is given up by a merge (MRG-1).

    Raises:
        RefusedInputError: as ``hl7_person``.
    """
    return _record_number(_the(segments, "MRG"), 1, reading.authority)


def hl7_orders(
    segments: list[Segment], reading: Hl7Reading, *, written: str
) -> list[tuple[Control, OrderTold]]:
    """Return every order of a message, in order.

    Raises:
        RefusedInputError: ``segment_missing``, ``order_control_unsupported``,
            ``time_malformed``.
    """
    told_at = hl7_time(written, reading.zone) or reading.received_at
    found = [_order(group, reading, told_at) for group in groups(segments, "ORC")]
    if not found:
        raise RefusedInputError("segment_missing", "The message has no order (ORC).")
    return found


def _order(
    group: list[Segment], reading: Hl7Reading, told_at: datetime
) -> tuple[Control, OrderTold]:
    orc = group[0]
    control = _CONTROLS.get((orc.text(1) or "").upper())
    if control is None:
        raise RefusedInputError(
            "order_control_unsupported", "ORC-1 is none of NW, XO, CA, DC and SC."
        )
    if control is Control.NOTE and (orc.text(5) or "").upper() in {"CA", "DC"}:
        control = Control.CANCEL
    obr = next((segment for segment in group if segment.name == "OBR"), None)
    if obr is None and control is Control.PLACE:
        raise RefusedInputError("segment_missing", "The order has no request (OBR).")
    number = orc.text(2) or (obr.text(2) if obr else None) or ""
    if obr is None:
        return control, OrderTold(source=reading.source, placer_number=number, told_at=told_at)
    others = {segment.name: segment for segment in reversed(group)}
    return control, OrderTold(
        source=reading.source,
        placer_number=number,
        told_at=told_at,
        clinical_question=_question(group, obr),
        **_numbers(orc, obr, others),
        **_schedule(orc, obr, others, reading),
        **_procedure(obr, others, reading),
    )


def _numbers(orc: Segment, obr: Segment, others: dict[str, Segment]) -> dict[str, Any]:
    """Return what modalities and archives will call the study."""
    ipc, zds = others.get("IPC"), others.get("ZDS")
    return {
        "accession_number": (ipc and ipc.text(1)) or obr.text(18) or orc.text(3) or obr.text(3),
        "study_instance_uid": (ipc and ipc.text(3)) or (zds and zds.text(1)) or None,
    }


def _schedule(
    orc: Segment, obr: Segment, others: dict[str, Segment], reading: Hl7Reading
) -> dict[str, Any]:
    tq1, ipc = others.get("TQ1"), others.get("IPC")
    urgency = (tq1 and tq1.text(9)) or orc.text(7, 6) or obr.text(27, 6) or obr.text(5)
    begin = (tq1 and tq1.text(7)) or orc.text(7, 4) or obr.text(36) or obr.text(27, 4)
    requester = orc if orc.text(12, 2) else obr
    field = 12 if requester is orc else 16
    return {
        "priority": _PRIORITIES.get((urgency or "").upper()),
        "scheduled_at": hl7_time(begin, reading.zone),
        "station_ae_title": ipc.line(9) if ipc else None,
        "requester_name": _joined(
            requester.line(field, 2), requester.line(field, 3), separator=", "
        ),
    }


def _procedure(obr: Segment, others: dict[str, Segment], reading: Hl7Reading) -> dict[str, Any]:
    """Return the procedure; the sender's own table knows more than words do."""
    code, text, ipc = obr.line(4), obr.line(4, 2), others.get("IPC")
    known = reading.procedures.get(code or "", {})
    words = " ".join(filter(None, (text, obr.line(15, 4))))
    modality = known.get("modality") or (ipc and ipc.text(5)) or obr.text(24) or ""
    return {
        "procedure_code": code,
        "procedure_system": obr.line(4, 3),
        "procedure_text": text,
        "body_part": _one_of(Study.BodyPart.values, known.get("body_part")) or body_part_of(words),
        "side": _one_of(Study.Side.values, known.get("side"))
        or side_of(obr.line(15, 5) or "")
        or side_of(words),
        "modality": _MODALITIES.get(str(modality).upper()),
    }


def _question(group: list[Segment], obr: Segment) -> str | None:
    """Return why the examination is asked for; a text too long for us ends visibly in dots."""
    notes = [segment.text(3) for segment in group if segment.name == "NTE"]
    parts = [obr.text(31, 2) or obr.text(31), obr.text(13), *notes]
    text = "\n".join(dict.fromkeys(part for part in parts if part))
    if len(text) > _QUESTION_LENGTH:
        text = text[: _QUESTION_LENGTH - 2] + " …"
    return text or None


def _record_number(segment: Segment, field: int, authority: str) -> str:
    """Return the clinic's one record number among a patient's numbers."""
    found: dict[str, set[str]] = {}
    foreign = False
    for repetition in segment.repetitions(field):
        number = segment.line(field, repetition=repetition)
        if not number:
            continue
        giver = segment.text(field, 4, repetition=repetition)
        if authority and giver and giver != authority:
            foreign = True
            continue
        kind = (segment.text(field, 5, repetition=repetition) or "").upper()
        found.setdefault(kind, set()).add(number)
    numbers = next((found[kind] for kind in _RECORD_NUMBER_TYPES if kind in found), set())
    if len(numbers) > 1:
        raise RefusedInputError(
            "patient_ambiguous", "The patient has several record numbers; name the authority."
        )
    if not numbers:
        raise RefusedInputError(
            "patient_other_authority" if foreign else "patient_unidentified",
            "The patient has no record number of this clinic.",
        )
    return numbers.pop()


def _birth_date(text: str | None) -> date | str | None:
    if not text:
        return text
    if len(text) < 8:  # a year alone is no birth date
        return None
    with contextlib.suppress(RefusedInputError):
        moment = hl7_time(text[:8], UTC)
        if moment is not None:
            return moment.date()
    raise RefusedInputError("birth_date_malformed", "The birth date is not written as in HL7.")


def _the(segments: list[Segment], name: str) -> Segment:
    found = [segment for segment in segments if segment.name == name]
    if not found:
        raise RefusedInputError("segment_missing", f"The message has no segment {name}.")
    if len(found) > 1:
        raise RefusedInputError("segment_repeated", f"The message has several segments {name}.")
    return found[0]


def _joined(*parts: str | None, separator: str = " ") -> str | None:
    told = [part for part in parts if part is not None]
    return separator.join(filter(None, told)) if told else None


def _one_of(values: list[str], value: Any) -> str | None:
    return value if value in values else None
