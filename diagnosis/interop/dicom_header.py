"""What all DICOM objects that we write share: identifiers, patient, study and dates."""

import datetime
import io
import logging
import unicodedata
from typing import Any, Final
from uuid import UUID, uuid5

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import DA, DT, TM

from diagnosis.interop.contracts import (
    AlgorithmForDicom,
    PatientForDicom,
    ResultForDicom,
    SourceImageForDicom,
    StudyForDicom,
)

# At INFO it logs the identifiers of the images, which lead to a patient.
logging.getLogger("highdicom").setLevel(logging.WARNING)

UTF8: Final = "ISO_IR 192"
TRANSFER_SYNTAX: Final = ExplicitVRLittleEndian

_NAMESPACE: Final = UUID("5c0f2b86-6a52-5d0a-9d43-6a9ad1a6a2c7")
_PERSON_NAME_LENGTH: Final = 64
_LONG_STRING: Final = 64
_UNPRINTABLE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_SHORT_STRING: Final = 16


def uid_of(value: UUID) -> UID:
    """Return a UUID as a DICOM unique identifier (PS3.5 B.2)."""
    return UID(f"2.25.{value.int}")


def derived_uid(root: UUID, *parts: str) -> UID:
    """Return the identifier that the same result and parts always get."""
    return uid_of(uuid5(_NAMESPACE, "/".join((str(root), *parts))))


def device_uid(algorithm: AlgorithmForDicom) -> UID:
    """Return the identifier of this installation's model, the same in all results."""
    return derived_uid(_NAMESPACE, "device", algorithm.name, algorithm.serial_number)


def person_name(value: str) -> str:
    """Return a name that a DICOM person name can hold.

    Backslashes would split it into several names and control characters are not
    allowed. What is longer than 64 characters is cut. A name of one component
    gets a caret, which says that it is a family name.
    """
    groups = _printable(value).replace("\\", " ").split("=")[:3]
    groups = ["^".join(g.split("^")[:5])[:_PERSON_NAME_LENGTH].strip() for g in groups]
    name = "=".join(groups)
    if not name.strip("=^ "):
        return ""
    if "^" not in name:
        groups[0] = f"{groups[0][: _PERSON_NAME_LENGTH - 1]}^"
    return "=".join(groups)


def text(value: str, length: int = _LONG_STRING) -> str:
    """Return words that fit: printable, without backslashes, cut at the length."""
    return _printable(value).replace("\\", " ").strip()[:length].strip()


def identifier(value: str, length: int = _LONG_STRING) -> str:
    """Return a number of a patient or an order, or nothing when DICOM cannot hold it.

    It is never cut: half a number may be another patient's.
    """
    clean = value.strip()
    return clean if len(clean) <= length and text(clean, length) == clean else ""


def reference(result: ResultForDicom, image: SourceImageForDicom) -> Dataset:
    """Return the source image's attributes as highdicom reads them, without pixels."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = UTF8
    dataset.SOPClassUID = image.sop_class_uid
    dataset.SOPInstanceUID = image.sop_instance_uid
    dataset.SeriesInstanceUID = image.series_instance_uid
    identity(dataset, result.patient, result.study)
    if image.study_uid:
        dataset.StudyInstanceUID = image.study_uid
    dataset.Modality = image.modality
    dataset.Rows = image.rows
    dataset.Columns = image.columns
    dataset.SamplesPerPixel = image.samples_per_pixel
    dataset.PhotometricInterpretation = image.photometric_interpretation
    if image.is_multi_frame:
        dataset.NumberOfFrames = image.frame_count
        dataset.SharedFunctionalGroupsSequence = [Dataset()]
        dataset.PerFrameFunctionalGroupsSequence = [Dataset() for _ in range(image.frame_count)]
    return dataset


def identity(dataset: Dataset, patient: PatientForDicom, study: StudyForDicom) -> None:
    """Write whose object it is and of which study."""
    dataset.StudyInstanceUID = study.instance_uid
    dataset.PatientID = identifier(patient.patient_id)
    dataset.PatientName = person_name(patient.name)
    dataset.PatientBirthDate = _date(patient.birth_date)
    dataset.PatientSex = patient.sex
    dataset.StudyID = identifier(study.study_id, _SHORT_STRING)
    dataset.AccessionNumber = identifier(study.accession_number, _SHORT_STRING)
    dataset.StudyDate = _date(study.study_date)
    dataset.StudyTime = _time(study.study_time)
    dataset.ReferringPhysicianName = person_name(study.referring_physician)


def laterality(image: SourceImageForDicom) -> str:
    """Return the side of a series: of a limb it must be written, empty when unknown (type 2C)."""
    return image.laterality if image.laterality in {"L", "R"} else ""


def image_series_uid(result: ResultForDicom, kind: str, image: SourceImageForDicom) -> UID:
    """Return the series for objects of a kind; the side belongs to it, so each has its own."""
    return derived_uid(result.result_id, kind, "series", laterality(image))


def equipment(algorithm: AlgorithmForDicom) -> dict[str, Any]:
    """Return the maker of an object in highdicom's words."""
    return {
        "manufacturer": text(algorithm.manufacturer),
        "manufacturer_model_name": text(algorithm.name),
        "software_versions": text(algorithm.version),
        "device_serial_number": text(algorithm.serial_number),
    }


def stamp(dataset: Dataset, created_at: datetime.datetime) -> None:
    """Date an object by the result, not by the clock: the same input gives the same bytes."""
    dataset.InstanceCreationDate = dataset.ContentDate = _date(created_at.date())
    dataset.InstanceCreationTime = dataset.ContentTime = _time(created_at.time())
    dataset.SeriesDate, dataset.SeriesTime = dataset.ContentDate, dataset.ContentTime
    for helper in dataset.get("ContributingEquipmentSequence", []):
        helper.ContributionDateTime = moment(created_at)


def moment(value: datetime.datetime) -> DT:
    """Return a date and time with its offset from UTC."""
    return DT(value.strftime("%Y%m%d%H%M%S%z"))


def to_bytes(dataset: Dataset) -> bytes:
    """Return an object as a DICOM file."""
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _printable(value: str) -> str:
    # Format characters stay: some scripts need joiners inside of a name.
    return "".join(" " if unicodedata.category(c) in _UNPRINTABLE else c for c in value)


def _date(value: datetime.date | None) -> DA | str:
    return DA(value.strftime("%Y%m%d")) if value else ""


def _time(value: datetime.time | None) -> TM | str:
    return TM(value.strftime("%H%M%S")) if value else ""
