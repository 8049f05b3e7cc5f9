"""The acknowledgement of an HL7 message, in original mode: taken, or refused with a code."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from diagnosis.interop.hl7_reading import Hl7Header

ACCEPTED, ERROR, REJECTED = "AA", "AE", "AR"
_NO_HEADER: Final = Hl7Header("|^~\\&", "", "", "", "", "", "", "P", "2.5.1", "")
APPLICATION: Final = "FRACTURE_SITE"

# Our codes: how the refusal is acknowledged, and its nearest condition of HL7 table 0357. A
# message that can never be taken is rejected; one whose content contradicts what is known is an
# error. Codes that are not listed are errors with 207.
_CONDITIONS: Final = {
    "malformed": (REJECTED, "100", "Segment sequence error"),
    "too_large": (REJECTED, "207", "Application internal error"),
    "sender_unknown": (REJECTED, "207", "Application internal error"),
    "sender_ambiguous": (REJECTED, "207", "Application internal error"),
    "not_allowed": (REJECTED, "207", "Application internal error"),
    "message_type_unsupported": (REJECTED, "200", "Unsupported message type"),
    "processing_id_unsupported": (REJECTED, "202", "Unsupported processing id"),
    "character_set_unknown": (REJECTED, "103", "Table value not found"),
    "order_control_unsupported": (REJECTED, "103", "Table value not found"),
    "characters_undecodable": (ERROR, "102", "Data type error"),
    "segment_missing": (ERROR, "100", "Segment sequence error"),
    "segment_repeated": (ERROR, "100", "Segment sequence error"),
    "time_malformed": (ERROR, "102", "Data type error"),
    "birth_date_malformed": (ERROR, "102", "Data type error"),
    "too_long": (ERROR, "102", "Data type error"),
    "study_uid_malformed": (ERROR, "102", "Data type error"),
    "order_number_missing": (ERROR, "101", "Required field missing"),
    "family_name_missing": (ERROR, "101", "Required field missing"),
    "patient_unidentified": (ERROR, "101", "Required field missing"),
    "patient_unknown": (ERROR, "204", "Unknown key identifier"),
    "patient_other_authority": (ERROR, "204", "Unknown key identifier"),
    "order_unknown": (ERROR, "204", "Unknown key identifier"),
    "patient_ambiguous": (ERROR, "205", "Duplicate key identifier"),
    "patient_mismatch": (ERROR, "205", "Duplicate key identifier"),
    "order_of_other_patient": (ERROR, "205", "Duplicate key identifier"),
    "accession_of_other_patient": (ERROR, "205", "Duplicate key identifier"),
    "accession_number_taken": (ERROR, "205", "Duplicate key identifier"),
    "study_uid_of_other_patient": (ERROR, "205", "Duplicate key identifier"),
}
_INTERNAL: Final = (ERROR, "207", "Application internal error")


@dataclass(frozen=True, slots=True)
class Hl7Outcome:
    """What became of a message: MSA-1, our code (``""`` when all is told), and what it did."""

    acknowledgement: str
    code: str = ""
    effect: str = ""


def hl7_refused(code: str) -> Hl7Outcome:
    """Return the refusal with this code."""
    return Hl7Outcome(_CONDITIONS.get(code, _INTERNAL)[0], code)


def hl7_acknowledgement(header: Hl7Header | None, outcome: Hl7Outcome, *, at: datetime) -> bytes:
    """Return the answer to a message, ``header`` being ``None`` when it had none.

    It repeats nothing of the patient: control id, the parties, and codes, in the message's own
    separators.
    """
    stamp = at.astimezone(UTC).strftime("%Y%m%d%H%M%S+0000")
    number = f"{at.timestamp():.6f}".replace(".", "")
    told = header or _NO_HEADER
    field, component = told.separators[0], told.separators[1]
    kind = component.join(["ACK", told.event, "ACK"] if told.event else ["ACK"])
    lines = [
        ["MSH", told.separators[1:], APPLICATION, "", told.application, told.facility, stamp, "",
         kind, number, told.processing_id or "P", told.version or "2.5.1"],
        ["MSA", outcome.acknowledgement, told.control_id, outcome.code or outcome.effect],
    ]  # fmt: skip
    if outcome.code:
        _class, condition, text = _CONDITIONS.get(outcome.code, _INTERNAL)
        condition = component.join([condition, text, "HL70357"])
        lines.append(["ERR", "", "", condition, "E", outcome.code])
    return "".join(field.join(line) + "\r" for line in lines).encode("latin-1", errors="replace")
