"""Which DICOM identifiers the clinic's rows have, and whose they are."""

import re
from typing import Final
from uuid import uuid5
from zoneinfo import ZoneInfo

from diagnosis.interop.contracts import PatientForDicom, StudyForDicom
from diagnosis.interop.dicom_header import uid_of
from diagnosis.models import Patient, Study, StudyImage

OTHER_STUDY: Final = "StudyInstanceUID"  # in ``StudyImage.dicom_header``
_UID: Final = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_MODALITY: Final = re.compile(r"[A-Z]{2,16}")
_SEXES: Final = {Patient.Sex.FEMALE: "F", Patient.Sex.MALE: "M", Patient.Sex.OTHER: "O"}


def known_uid(uid: str) -> str:
    """Return an identifier that came in when it is one, else ``""``."""
    return uid if len(uid) <= 64 and _UID.fullmatch(uid) else ""


def study_uid(study: Study) -> str:
    """Return the Study Instance UID: the one that came in, else one made of the study's id."""
    return known_uid(study.study_instance_uid) or str(uid_of(study.pk))


def other_study_uid(image: StudyImage) -> str:
    """Return the DICOM study that an image came with when it is filed under another one."""
    return known_uid(str(image.dicom_header.get(OTHER_STUDY, "")))


def image_uid(image: StudyImage) -> str:
    """Return the SOP Instance UID: the one that came in, else one made of the image's id."""
    return known_uid(image.sop_instance_uid) or str(uid_of(image.pk))


def modality(image: StudyImage) -> str:
    """Return the modality; what did not come as DICOM has none of its own."""
    return image.modality if _MODALITY.fullmatch(image.modality) else "OT"


def series_uid(study: Study, image: StudyImage) -> str:
    """Return the Series Instance UID; images without one share one for each modality."""
    made = uid_of(uuid5(study.pk, f"series {modality(image)}"))
    return known_uid(image.series_instance_uid) or str(made)


def patient_for_dicom(patient: Patient) -> PatientForDicom:
    """Return who it is, as registered here: corrections reach every object that is sent."""
    names = (patient.family_name, patient.given_name)
    return PatientForDicom(
        patient_id=patient.record_number,
        name="^".join(name.replace("^", " ") for name in names),
        birth_date=patient.birth_date,
        sex=_SEXES.get(Patient.Sex(patient.sex), ""),
    )


def study_for_dicom(study: Study, images: list[StudyImage]) -> StudyForDicom:
    """Return the study, dated as its images say; without a date of theirs by its registration."""
    numbers = [image.dicom_header.get("StudyID", "") for image in images]
    registered = study.created_at.astimezone(ZoneInfo(study.clinic.time_zone))
    day = study.study_date
    return StudyForDicom(
        instance_uid=study_uid(study),
        study_id=next(filter(None, numbers), ""),
        accession_number=study.accession_number,
        study_date=day or registered.date(),
        study_time=study.study_time if day else registered.time().replace(microsecond=0),
    )
