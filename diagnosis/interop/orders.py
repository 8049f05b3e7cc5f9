"""What an order says, whichever standard it came by; ``None`` is "not told", never "empty"."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

# Words of procedure names, in any language that was seen; the longest match wins.
_PARTS: Final = {
    "hand": "hand", "finger": "hand", "thumb": "hand", "metacarp": "hand", "daumen": "hand",
    "mittelhand": "hand",
    "wrist": "wrist", "scaphoid": "wrist", "handgelenk": "wrist", "poignet": "wrist",
    "forearm": "forearm", "radius": "forearm", "ulna": "forearm", "unterarm": "forearm",
    "elbow": "elbow", "ellenbogen": "elbow", "coude": "elbow",
    "humerus": "humerus", "upper arm": "humerus", "oberarm": "humerus",
    "shoulder": "shoulder", "clavicle": "shoulder", "scapula": "shoulder", "schulter": "shoulder",
    "hip": "hip", "pelvis": "hip", "becken": "hip", "hüfte": "hip", "hanche": "hip",
    "femur": "femur", "thigh": "femur", "oberschenkel": "femur",
    "knee": "knee", "patella": "knee", "knie": "knee", "genou": "knee",
    "lower leg": "lower_leg", "tibia": "lower_leg", "fibula": "lower_leg",
    "unterschenkel": "lower_leg",
    "ankle": "ankle", "sprunggelenk": "ankle", "cheville": "ankle",
    "foot": "foot", "toe": "foot", "heel": "foot", "calcaneus": "foot", "fuß": "foot",
    "fuss": "foot", "vorfuß": "foot", "pied": "foot",
}  # fmt: skip
_SIDES: Final = {
    "left": "left", "l": "left", "lt": "left", "links": "left", "li": "left", "gauche": "left",
    "right": "right", "r": "right", "rt": "right", "rechts": "right", "re": "right",
    "droit": "right", "droite": "right",
    "both": "both", "bilateral": "both", "b": "both", "beidseits": "both", "bds": "both",
    "7771000": "left", "24028007": "right", "51440002": "both",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PersonTold:
    """A patient as an outside system knows them.

    ``record_number`` is the clinic's; ``birth_date`` is a date, ``""`` for "has none known",
    ``None`` for "not told".
    """

    record_number: str
    family_name: str | None = None
    given_name: str | None = None
    birth_date: date | str | None = None
    sex: str | None = None


@dataclass(frozen=True, slots=True)
class OrderTold:
    """One order; ``told_at`` is when its sender wrote the message."""

    source: str
    placer_number: str
    told_at: datetime
    accession_number: str | None = None
    study_instance_uid: str | None = None
    clinical_question: str | None = None
    body_part: str | None = None
    side: str | None = None
    priority: int | None = None
    procedure_code: str | None = None
    procedure_system: str | None = None
    procedure_text: str | None = None
    modality: str | None = None
    station_ae_title: str | None = None
    scheduled_at: datetime | None = None
    requester_name: str | None = None


def body_part_of(text: str) -> str | None:
    """Return the body part that the name of a procedure means, ``None`` when it names none.

    >>> body_part_of("XR Handgelenk links 2 Eb."), body_part_of("Chest PA")
    ('wrist', None)
    """
    words = text.casefold().replace("_", " ")
    found = [word for word in _PARTS if _begins_a_word(words, word)]
    return _PARTS[max(found, key=len)] if found else None


def side_of(text: str) -> str | None:
    """Return the side that a text names, ``None`` when it names none or both by turns.

    >>> side_of("Wrist LT"), side_of("Wrist 2 views"), side_of("Both hands")
    ('left', None, 'both')
    """
    words = "".join(char if char.isalnum() else " " for char in text.casefold()).split()
    found = {_SIDES[word] for word in words if word in _SIDES}
    if found == {"left", "right"}:
        return "both"
    return found.pop() if len(found) == 1 else None


def _begins_a_word(text: str, word: str) -> bool:
    place = text.find(word)
    while place > 0 and text[place - 1].isalpha():
        place = text.find(word, place + 1)
    return place >= 0
