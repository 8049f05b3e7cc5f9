"""What archives are asked and what they answer, by whichever protocol.

Both protocols' answers are read from the DICOM JSON model (PS3.18 F), and nothing in them is
believed: an answer without usable identifiers is dropped, texts are cut and have no control
characters, numbers are plain.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

MAX_STUDIES: Final = 100
MAX_INSTANCES: Final = 1000
_UID: Final = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_TAGS: Final = {
    "uid": "0020000D",
    "patient_id": "00100020",
    "issuer": "00100021",
    "patient_name": "00100010",
    "birth_date": "00100030",
    "sex": "00100040",
    "date": "00080020",
    "time": "00080030",
    "description": "00081030",
}
STUDY_TAGS: Final = (*_TAGS.values(), "00080061", "00201208")
INSTANCE_TAGS: Final = ("0020000D", "0020000E", "00080018", "00080016", "00080060")
_MODALITIES, _COUNT = "00080061", "00201208"


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A study as an archive describes it: DICOM's own texts, ``""`` for what it does not say."""

    uid: str
    patient_id: str = field(repr=False, default="")
    issuer: str = ""
    patient_name: str = field(repr=False, default="")
    birth_date: str = field(repr=False, default="")
    sex: str = ""
    date: str = ""
    time: str = ""
    description: str = field(repr=False, default="")
    modalities: tuple[str, ...] = ()
    instances: int | None = None


@dataclass(frozen=True, slots=True)
class FoundInstance:
    """One instance that an archive has."""

    study_uid: str
    series_uid: str
    uid: str
    sop_class: str = ""
    modality: str = ""


class Archive(Protocol):
    """One open connection to an archive; every call may raise ``TransportError``."""

    def studies(self, *, patient_id: str = "", study_uid: str = "") -> list[FoundStudy]:
        """Return studies by patient or by UID, ``MAX_STUDIES`` at most."""

    def instances(self, study_uid: str) -> list[FoundInstance]:
        """Return what belongs to a study, ``MAX_INSTANCES`` at most."""

    def retrieve(self, instance: FoundInstance) -> bytes | None:
        """Return the file of an instance; ``None`` when the archive sends it to our listener.

        Raises:
            PeerRefusedError: ``instance_missing``: the archive does not give it away.
        """


def study_read(answer: Mapping[str, Any]) -> FoundStudy | None:
    """Return a study out of one answer; ``None`` when it cannot be one."""
    texts = {name: _text(answer, tag) for name, tag in _TAGS.items()}
    if not is_uid(texts["uid"]):
        return None
    count = _text(answer, _COUNT)
    modalities = tuple(text for value in _values(answer, _MODALITIES) if (text := _plain(value)))
    return FoundStudy(
        **texts,
        modalities=modalities[:20],
        instances=int(count) if count.isascii() and count.isdecimal() and len(count) < 7 else None,
    )


def instance_read(answer: Mapping[str, Any], study_uid: str) -> FoundInstance | None:
    """Return an instance of the study out of one answer; ``None`` when it cannot be one."""
    series, uid = _text(answer, "0020000E"), _text(answer, "00080018")
    if not (is_uid(series) and is_uid(uid)) or _text(answer, "0020000D") not in {"", study_uid}:
        return None
    return FoundInstance(
        study_uid, series, uid, _text(answer, "00080016"), _text(answer, "00080060")
    )


def is_uid(text: str) -> bool:
    """Return whether a text is a DICOM UID: nothing else may get into an address."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def _values(answer: Mapping[str, Any], tag: str) -> list[Any]:
    element = answer.get(tag)
    found = element.get("Value") if isinstance(element, Mapping) else None
    return found if isinstance(found, list) else []


def _text(answer: Mapping[str, Any], tag: str) -> str:
    return next((_plain(value) for value in _values(answer, tag)), "")


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):  # a person's name in its three spellings
        value = value.get("Alphabetic") or value.get("Ideographic") or ""
    text = str(value) if isinstance(value, str | int) else ""
    return "".join(letter for letter in text if letter.isprintable()).strip()[:200]
