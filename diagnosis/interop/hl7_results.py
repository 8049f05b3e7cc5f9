"""Results on the way out: ORU^R01, with text, the AI's answer and the signed PDF."""

import base64
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final

from diagnosis.interop.fhir_base import clean, clean_line

_SEXES: Final = {"female": "F", "male": "M", "other": "O", "unknown": "U"}
_ESCAPES: Final = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "~": "\\R\\", "&": "\\T\\",
                   "\n": "\\.br\\"}  # fmt: skip
_VERDICTS: Final = {
    "definite": "Fracture",
    "suspicion": "Suspicion of a fracture",
    "negative": "No fracture seen",
    "cannot_assess": "Cannot assess",
}
AI_NOTE: Final = "AI result; it aids and does not replace a clinician."


@dataclass(frozen=True, slots=True)
class Hl7Parties:
    """Who writes to whom (MSH-3 to MSH-6), and who gives the record numbers (PID-3.4)."""

    sending_application: str = "FRACTURE_SITE"
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    assigning_authority: str = ""


@dataclass(frozen=True, slots=True)
class Hl7Patient:
    """Whose result it is."""

    record_number: str
    family_name: str
    given_name: str = ""
    birth_date: date | None = None
    sex: str = "unknown"


@dataclass(frozen=True, slots=True)
class Hl7Ai:
    """What the AI says of the study; ``probability`` is ``None`` when it could not assess it."""

    verdict: str
    probability: float | None
    model: str


@dataclass(frozen=True, slots=True)
class Hl7Result:
    """One result: preliminary (``signed_at`` is ``None``), final, or an amendment.

    ``control_id`` has 20 characters at most and stays the same when the message is sent again.
    """

    control_id: str
    written_at: datetime
    parties: Hl7Parties
    patient: Hl7Patient
    accession_number: str
    registered_at: datetime
    placer_number: str = ""
    procedure: tuple[str, str, str] = ("18748-4", "Diagnostic imaging study", "LN")
    ai: Hl7Ai | None = None
    sections: dict[str, str] = field(default_factory=dict)
    version: int = 0
    reason: str = ""
    signer: str = ""
    signed_at: datetime | None = None
    pdf: bytes | None = None


def hl7_result(result: Hl7Result) -> bytes:
    """Return the message in UTF-8, as version 2.5.1."""
    parties, patient = result.parties, result.patient
    status = "P" if result.signed_at is None else ("F" if result.version <= 1 else "C")
    lines = [
        _line(
            "MSH", _RAW_SEPARATORS, parties.sending_application, parties.sending_facility,
            parties.receiving_application, parties.receiving_facility, _time(result.written_at),
            "", ["ORU", "R01", "ORU_R01"], result.control_id, "P", "2.5.1", "", "", "", "", "",
            "UNICODE UTF-8",
        ),
        _line(
            "PID", "1", "",
            [patient.record_number, "", "", parties.assigning_authority, "MR"], "",
            [patient.family_name, patient.given_name], "",
            patient.birth_date.strftime("%Y%m%d") if patient.birth_date else "",
            _SEXES[patient.sex],
        ),
        _line("ORC", "RE", result.placer_number, result.accession_number),
        _line(
            "OBR", "1", result.placer_number, result.accession_number, list(result.procedure),
            "", "", _time(result.registered_at), *[""] * 10, result.accession_number, *[""] * 3,
            _time(result.signed_at or result.written_at), "", "RAD", status, *[""] * 6,
            ["", result.signer],
        ),
        *_observations(result, status),
    ]  # fmt: skip
    return "".join(line + "\r" for line in lines).encode()


class _Raw(str):
    """Text that is written as it is."""

    __slots__ = ()


_RAW_SEPARATORS: Final = _Raw("^~\\&")


def _observations(result: Hl7Result, status: str) -> list[str]:
    rows: list[tuple[str, list[str], str | list[str] | _Raw, str]] = []
    for name, text in result.sections.items():
        if text.strip():
            rows.append(("TX", [name, name.capitalize(), "L"], clean(text), ""))
    if result.reason:
        rows.append(("TX", ["reason", "Reason for the amendment", "L"], clean(result.reason), ""))
    rows += _ai(result.ai)
    if result.pdf is not None:
        data = base64.b64encode(result.pdf).decode()
        document = _Raw(f"FRACTURE_SITE^Application^PDF^Base64^{data}")
        rows.append(("ED", ["PDF", "Report", "L"], document, ""))
    return [
        _line(
            "OBX", str(number), kind, code, "1", value, unit, "", "", "", "", status, "", "",
            _time(result.signed_at or result.written_at),
        )
        for number, (kind, code, value, unit) in enumerate(rows, start=1)
    ]  # fmt: skip


def _ai(ai: Hl7Ai | None) -> list[tuple[str, list[str], str | list[str] | _Raw, str]]:
    """Return the AI's answer; a study that could not be assessed has no number."""
    if ai is None:
        return []
    rows: list[tuple[str, list[str], str | list[str] | _Raw, str]] = [
        (
            "CWE",
            ["ai-verdict", "AI verdict", "L"],
            [ai.verdict, _VERDICTS.get(ai.verdict, ai.verdict), "L"],
            "",
        )
    ]
    if ai.probability is not None:
        value = f"{ai.probability:.4f}"
        rows.append(("NM", ["ai-probability", "AI probability of a fracture", "L"], value, "1"))
    rows.append(("ST", ["ai-model", "AI model", "L"], clean_line(ai.model), ""))
    rows.append(("TX", ["ai-note", "Note", "L"], AI_NOTE, ""))
    return rows


def _line(name: str, *fields: str | list[str] | _Raw) -> str:
    """Return one segment; a list is the components of a field."""
    written = [name]
    for each in fields:
        if isinstance(each, list):
            written.append("^".join(_escaped(part) for part in each).rstrip("^"))
        else:
            written.append(str(each) if isinstance(each, _Raw) else _escaped(each))
    return "|".join(written).rstrip("|")


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(char, char) for char in text if char == "\n" or char.isprintable())


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%S+0000")
