"""Whether what an archive calls a patient is the person of our record."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from diagnosis.interop.dicom_times import dicom_date
from diagnosis.models import Patient
from diagnosis.models.search import search_words

PATIENT_ID: Final = "patient_id"
BIRTH_DATE: Final = "birth_date"
ISSUER: Final = "issuer"
NAME: Final = "name"
SEX: Final = "sex"
UNPROVEN: Final = "unproven"
# Another person, whatever somebody confirms.
FORBIDDEN: Final = frozenset({PATIENT_ID, BIRTH_DATE, ISSUER})
CONFIRMABLE: Final = frozenset({NAME, SEX, UNPROVEN})
_SEXES: Final = {"F": Patient.Sex.FEMALE, "M": Patient.Sex.MALE, "O": Patient.Sex.OTHER}


@dataclass(frozen=True, slots=True)
class PersonSaid:
    """A person as DICOM attributes name them; ``""`` for what is not said."""

    patient_id: str
    name: str
    birth_date: str
    sex: str
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class PersonKnown:
    """Whom we look for: the record, all its numbers, and who gave them out (if we know)."""

    patient: Patient
    numbers: frozenset[str]
    issuer: str


def differences(known: PersonKnown, said: PersonSaid) -> frozenset[str]:
    """Return codes of what differs; empty when it is surely the same person.

    ``unproven`` means that neither a birth date nor an issuer ties number and person together.
    """
    patient, born = known.patient, dicom_date(said.birth_date)
    found = set()
    if said.patient_id not in known.numbers:
        found.add(PATIENT_ID)
    if born and patient.birth_date and born != patient.birth_date:
        found.add(BIRTH_DATE)
    if said.issuer and known.issuer and said.issuer.casefold() != known.issuer.casefold():
        found.add(ISSUER)
    if not _same_name(patient, said.name):
        found.add(NAME)
    sex = _SEXES.get(said.sex.strip().upper())
    if sex and patient.sex != Patient.Sex.UNKNOWN and sex != patient.sex:
        found.add(SEX)
    if not (born and patient.birth_date) and not (said.issuer and known.issuer):
        found.add(UNPROVEN)
    return frozenset(found)


def is_accepted(found: Iterable[str], confirmed: Iterable[str]) -> bool:
    """Return whether nothing differs but what somebody has seen and may confirm."""
    return set(found) <= CONFIRMABLE & set(confirmed)


def name_words(name: str) -> tuple[str, str]:
    """Return family and given name of a DICOM name's first spelling."""
    family, _caret, given = name.partition("=")[0].partition("^")
    return family.strip(), given.replace("^", " ").strip()


def _same_name(patient: Patient, name: str) -> bool:
    """Return whether family name and first given name agree, whatever case and accents."""
    family, given = name_words(name)
    if _folded(family) != _folded(patient.family_name):
        return False
    ours, theirs = (text.split(" ")[0] for text in (patient.given_name.strip(), given))
    return not ours or not theirs or _folded(ours) == _folded(theirs)


def _folded(text: str) -> frozenset[str]:
    return frozenset(search_words(text))
