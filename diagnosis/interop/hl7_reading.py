"""HL7 version 2 on the way in: bytes to text to fields, in whatever characters they came.

The library parses; taking escapes apart is done here, because its own function logs the values it
cannot read, and those may be a patient's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

import hl7
from hl7.exceptions import HL7Exception

from diagnosis.interop.fhir_base import clean
from fracture_site.common.errors import RefusedInputError

_HEADER = re.compile(rb"MSH([!-/:-@\[-`{-~])([!-/:-@\[-`{-~]{4})[!-/:-@\[-`{-~]?\1")
_HEX = re.compile(r"X((?:[0-9A-Fa-f]{2}){1,512})")
_NULL = '""'
_BREAKS = frozenset({".br", ".sp", ".ce"})


@dataclass(frozen=True, slots=True)
class Hl7Header:
    """What MSH says, as it is written there; a missing part is ``""``.

    ``separators`` are MSH-1 and MSH-2: field, component, repetition, escape, subcomponent.
    """

    separators: str
    application: str
    facility: str
    written: str
    kind: str
    event: str
    control_id: str
    processing_id: str
    version: str
    character_set: str

    @property
    def message_type(self) -> str:
        """Kind and event, as in ``ORM^O01``."""
        return f"{self.kind}^{self.event}" if self.event else self.kind


def hl7_header(data: bytes) -> Hl7Header:
    """Return the header of a message, whose own characters are ASCII.

    Raises:
        RefusedInputError: ``malformed``: no header segment, or without a control id.
    """
    start = _HEADER.match(data)
    if start is None:
        raise RefusedInputError("malformed", "The message does not begin with a header (MSH).")
    line = re.split(rb"[\r\n]", data, maxsplit=1)[0].decode("latin-1")
    fields = line.split(line[3])
    component, repetition = line[4], line[5]

    def part(number: int, place: int = 0) -> str:
        text = fields[number - 1] if number <= len(fields) else ""
        parts = text.split(repetition)[0].split(component)
        return parts[place].strip() if place < len(parts) else ""

    header = Hl7Header(
        separators=line[3:8],
        application=part(3),
        facility=part(4),
        written=part(7),
        kind=part(9),
        event=part(9, 1),
        control_id=part(10),
        processing_id=part(11),
        version=part(12),
        character_set=part(18).upper(),
    )
    if not 0 < len(header.control_id) <= 199 or not header.control_id.isprintable():
        raise RefusedInputError("malformed", "The message has no usable control id (MSH-10).")
    return header


class Segment:
    """One segment whose fields are asked for by their numbers, as the standard counts them."""

    def __init__(self, segment: Any, escape: str, separators: str, encoding: str) -> None:
        self._segment, self._escape = segment, escape
        self._separators, self._encoding = separators, encoding
        self.name = str(segment[0])

    def text(
        self, field: int, component: int = 1, *, sub: int = 1, repetition: int = 1
    ) -> str | None:
        """Return the value, ``None`` when it is not told, ``""`` when it is told to be empty."""
        node: Any = self._segment
        for place in (field, repetition - 1, component - 1, sub - 1):
            if isinstance(node, str):
                if place:
                    return None
                continue
            if place >= len(node):
                return None
            node = node[place]
        raw = str(node)
        if raw == _NULL:
            return ""
        return clean(self._unescaped(raw)) or None

    def line(self, field: int, component: int = 1, *, repetition: int = 1) -> str | None:
        """Return the value on one line."""
        text = self.text(field, component, repetition=repetition)
        return text and " ".join(text.split())

    def repetitions(self, field: int) -> range:
        """Return the numbers of the field's repetitions."""
        return range(1, len(self._segment[field]) + 1 if field < len(self._segment) else 1)

    def _unescaped(self, raw: str) -> str:
        if self._escape not in raw:
            return raw
        parts = raw.split(self._escape)
        if len(parts) % 2 == 0:  # the last one was never closed
            parts[-2:] = [parts[-2] + self._escape + parts[-1]]
        return "".join(
            self._sequence(part) if number % 2 else part for number, part in enumerate(parts)
        )

    def _sequence(self, name: str) -> str:
        """Return the text of one escape sequence; highlighting and layout are dropped."""
        separators = dict(zip("FRST", self._separators[1:5], strict=True)) | {"E": self._escape}
        if name in separators:
            return separators[name]
        if name[:3] in _BREAKS:
            return "\n"
        if found := _HEX.fullmatch(name):
            return bytes.fromhex(found[1]).decode(self._encoding, errors="replace")
        return ""


def hl7_segments(data: bytes, *, encoding: str) -> list[Segment]:
    """Return all segments of a message in order.

    Raises:
        RefusedInputError: ``characters_undecodable`` or ``malformed``.
    """
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise RefusedInputError(
            "characters_undecodable", "The text is not in the characters that MSH-18 names."
        ) from error
    text = "\r".join(filter(None, re.split(r"[\r\n]+", text)))
    try:
        message = hl7.parse(text)
    except (HL7Exception, LookupError, ValueError, AssertionError) as error:
        raise RefusedInputError("malformed", "The message cannot be parsed.") from error
    escape, separators = str(message.esc), str(message.separators)
    return [Segment(segment, escape, separators, encoding) for segment in message]


def groups(segments: list[Segment], first: str) -> Iterator[list[Segment]]:
    """Yield the runs of segments that begin with one named ``first``."""
    group: list[Segment] = []
    for segment in segments:
        if segment.name == first:
            if group:
                yield group
            group = [segment]
        elif group:
            group.append(segment)
    if group:
        yield group


def hl7_time(text: str | None, zone: tzinfo) -> datetime | None:
    """Return a point in time; one without offset is the clinic's, one without a day none.

    Raises:
        RefusedInputError: ``time_malformed``.
    """
    if not text:
        return None
    try:
        moment: datetime | None = hl7.parse_datetime(text)
        if moment is None or len(re.split(r"[-+.]", text)[0]) < 8:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        moment.astimezone(zone)  # a year that no other clock can show
    except (ValueError, OverflowError) as error:
        raise RefusedInputError("time_malformed", "A time is not written as in HL7.") from error
    return moment
