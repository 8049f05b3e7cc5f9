"""What all FHIR resources share: identifiers, references, codings, clean text, exact times.

Resources are put together as plain values and checked by ``fhir.resources`` (R4B). Only elements
that mean the same in R4 (4.0.1) are used, so that a client of either version can read them.
There is no narrative (``text``): whatever people wrote stays in plain string elements.
"""

import math
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from diagnosis.models import ClinicOwnedModel

FHIR_PATH = "/fhir/R4"
UCUM = "http://unitsofmeasure.org"
SNOMED = "http://snomed.info/sct"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
URI_SYSTEM = "urn:ietf:rfc:3986"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FhirContext:
    """For whom resources are made.

    Attributes:
        base_url: address of the site, as in the setting ``BASE_URL``.
        clinic_id: the only clinic whose rows may be converted.
        snomed: whether SNOMED CT codes are written next to our own ones (they need a licence
            in some countries).
    """

    base_url: str
    clinic_id: UUID
    snomed: bool = True

    @property
    def fhir_url(self) -> str:
        """The service's base, without a slash at its end."""
        return self.base_url.rstrip("/") + FHIR_PATH

    def identifier_system(self, kind: str) -> str:
        """Return the namespace of one kind of numbers of this clinic."""
        return f"{self.base_url.rstrip('/')}/clinics/{self.clinic_id}/{kind}"

    def site_system(self, kind: str) -> str:
        """Return the namespace of one kind of numbers that all clinics share."""
        return f"{self.base_url.rstrip('/')}/identifiers/{kind}"

    def code_system(self, name: str) -> str:
        """Return the namespace of our own codes."""
        return f"{self.base_url.rstrip('/')}/fhir/CodeSystem/{name}"


def require_clinic(context: FhirContext, *rows: ClinicOwnedModel) -> None:
    """Refuse rows of another clinic: a mistake of the caller that must not reach a client.

    Raises:
        ValueError: a row is not of the context's clinic.
    """
    if any(row.clinic_id != context.clinic_id for row in rows):
        raise ValueError("a row belongs to another clinic")


def require_link(*, child: UUID | None, parent: UUID) -> None:
    """Refuse rows that do not belong together.

    Raises:
        ValueError: the child names another parent.
    """
    if child != parent:
        raise ValueError("the rows do not belong together")


def compact(value: Any) -> Any:
    """Return the value without empty elements, which FHIR does not allow."""
    if isinstance(value, dict):
        pairs = ((key, compact(item)) for key, item in value.items())
        return {key: item for key, item in pairs if item not in (None, "", [], {})}
    if isinstance(value, (list, tuple)):
        return [item for item in map(compact, value) if item not in (None, "", [], {})]
    return value


def clean(text: str) -> str:
    """Return text that any FHIR client can parse: no control characters, ordinary blanks."""
    return "".join(_clean_character(char) for char in text.replace("\r\n", "\n")).strip()


def clean_line(text: str) -> str:
    """Return the text on one line: for names, numbers and labels."""
    return " ".join(clean(text).split())


def _clean_character(char: str) -> str:
    if char in "\n\t":
        return char
    if char in "\r\v\f\x85\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}":
        return "\n"
    category = unicodedata.category(char)
    if category == "Zs":
        return " "
    # Control characters, lone surrogates and non-characters cannot be written as XML.
    return "" if category in {"Cc", "Cs"} or ord(char) & 0xFFFE == 0xFFFE else char


def instant(value: datetime) -> str:
    """Return an exact time in UTC.

    Raises:
        ValueError: the time has no zone, so nobody knows when it was.
    """
    if value.tzinfo is None:
        raise ValueError("a time without a zone")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def decimal(value: float) -> Decimal:
    """Return the number with exactly the digits that are stored.

    Raises:
        ValueError: it is not finite.
    """
    if not math.isfinite(value):
        raise ValueError("not a number")
    return Decimal(repr(float(value)))


def quantity(value: float, unit: str, code: str) -> Json:
    """Return a UCUM quantity."""
    return {"value": decimal(value), "unit": unit, "system": UCUM, "code": code}


def dicom_uid(value: UUID) -> str:
    """Return a UUID as the DICOM UID that all carriers use for it (PS3.5 B.2)."""
    return f"2.25.{value.int}"


def dicom_uid_identifier(uid: str) -> Json:
    """Return a DICOM UID as identifier."""
    return {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}


def coding(system: str, code: str, display: str = "") -> Json:
    """Return a coding."""
    return {"system": system, "code": code, "display": display}


def concept(*codings: Json, text: str = "") -> Json:
    """Return a codeable concept."""
    return {"coding": list(codings), "text": text}


def reference(kind: str, key: UUID) -> Json:
    """Return a reference to a resource that we serve."""
    return {"reference": f"{kind}/{key}"}


def person_reference(context: FhirContext, user_id: UUID, name: str = "") -> Json:
    """Return a person as a logical reference: members are not served as resources."""
    return {
        "type": "Practitioner",
        "identifier": {"system": context.identifier_system("member"), "value": str(user_id)},
        "display": clean_line(name),
    }


def clinic_reference(context: FhirContext) -> Json:
    """Return the clinic as a logical reference."""
    return {
        "type": "Organization",
        "identifier": {"system": URI_SYSTEM, "value": f"urn:uuid:{context.clinic_id}"},
    }


def model_recalled(context: FhirContext) -> Json:
    """Return the tag of what rests on a model version that was recalled afterwards."""
    return coding(context.code_system("transparency"), "model-recalled", "AI model recalled")


def ai_asserted() -> Json:
    """Return the security label that tells that a machine made the content."""
    return coding(TERMINOLOGY + "v3-ObservationValue", "AIAST", "Artificial Intelligence asserted")
