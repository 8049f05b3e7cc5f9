"""A study's images without identity, for research and teaching (PS3.15 Annex E).

The start is the sanitised copy, which keeps an allow-list of attributes that show and measure, far
fewer than the Basic Profile keeps, and neither overlays nor private attributes. Added are
pseudonyms that stay the same for the same person, study and image of a clinic, and dates that are
shifted by the same number of days for all of a person's studies. Nobody can compute them back
without the site's key. Pixels are not cleaned: text that is burned in stays, and is warned about.
"""

import datetime
import hashlib
import hmac
import io
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import pydicom
from pydicom.dataset import Dataset

from diagnosis.interop.contracts import PatientForDicom, StudyForDicom
from diagnosis.interop.dicom_header import uid_of
from diagnosis.interop.dicom_instances import instance
from diagnosis.models import Study, StudyImage

# PS3.16 CID 7050. Text in pixels is not cleaned, so "Clean Pixel Data" is not claimed.
METHODS: Final = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113103", "Clean Graphics Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
)
METHOD_TEXT: Final = "Allow-list of display attributes; pseudonyms; shifted dates; pixels unchanged"
_LONGEST_SHIFT_DAYS: Final = 3650


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Makes the false names of one clinic; ``key`` is secret and stays with the site."""

    key: bytes
    clinic_id: UUID

    def patient(self, patient_id: UUID) -> str:
        """Return a patient's pseudonym."""
        return f"ANON-{self._digest('patient', str(patient_id)).hex()[:12].upper()}"

    def uid(self, kind: str, value: str) -> str:
        """Return the false UID for a real one."""
        return str(uid_of(UUID(bytes=self._digest(kind, value)[:16], version=4)))

    def days(self, patient_id: UUID) -> int:
        """Return by how many days a patient's dates are earlier, 1 to about ten years."""
        number = int.from_bytes(self._digest("days", str(patient_id))[:4], "big")
        return 1 + number % _LONGEST_SHIFT_DAYS

    def _digest(self, kind: str, value: str) -> bytes:
        message = f"{self.clinic_id}/{kind}/{value}".encode()
        return hmac.new(self.key, message, hashlib.sha256).digest()


def deidentified(
    *, served: bytes, image: StudyImage, study: Study, pseudonyms: Pseudonyms
) -> Dataset:
    """Return one image without identity; ``served`` is its sanitised copy."""
    patient = study.patient
    shift = datetime.timedelta(days=pseudonyms.days(patient.pk))
    day = (study.study_date or study.created_at.date()) - shift
    name = pseudonyms.patient(patient.pk)
    dataset = instance(
        served=served,
        image=image,
        study=study,
        patient=PatientForDicom(patient_id=name, name=f"{name}^"),
        study_facts=StudyForDicom(pseudonyms.uid("study", str(study.pk)), study_date=day),
    )
    for keyword in ("AcquisitionDate", "AcquisitionTime", "StudyTime"):
        if keyword in dataset:
            del dataset[keyword]
    dataset.StudyTime = ""
    dataset.SeriesInstanceUID = pseudonyms.uid("series", str(dataset.SeriesInstanceUID))
    dataset.SOPInstanceUID = pseudonyms.uid("image", str(image.pk))
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = METHOD_TEXT
    dataset.DeidentificationMethodCodeSequence = [_code(*method) for method in METHODS]
    dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    return dataset


def may_have_text(served: bytes, content_type: str) -> bool:
    """Return whether text may be burned into the pixels: unless the object says that none is."""
    if content_type != "application/dicom":
        return True
    dataset = pydicom.dcmread(io.BytesIO(served), stop_before_pixels=True)
    return str(dataset.get("BurnedInAnnotation") or "") != "NO"


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning[:64]
    return item
