"""Patients and their studies as FHIR Patient and ImagingStudy."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from fhir.resources.R4B.imagingstudy import ImagingStudy as FhirImagingStudy
from fhir.resources.R4B.patient import Patient as FhirPatient

from diagnosis.interop.dicom_identity import (
    image_uid,
    known_uid,
    modality,
    series_uid,
    study_uid,
)
from diagnosis.interop.fhir_base import (
    DCM,
    SNOMED,
    TERMINOLOGY,
    URI_SYSTEM,
    FhirContext,
    Json,
    clean,
    clean_line,
    clinic_reference,
    coding,
    compact,
    concept,
    dicom_uid_identifier,
    instant,
    reference,
    require_clinic,
    require_link,
)
from diagnosis.models import Patient, Study, StudyImage

# The class that each modality's own images have; everything else is a secondary capture.
_SOP_CLASSES = {
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_SIDES = {
    "left": ("7771000", "Left"),
    "right": ("24028007", "Right"),
    "both": ("51440002", "Right and left"),
}
_IMAGE_SIDES = {"L": "left", "R": "right", "B": "both"}


def fhir_patient(context: FhirContext, patient: Patient) -> FhirPatient:
    """Return a patient; one that was merged says which record replaces it.

    Raises:
        ValueError: the patient is of another clinic.
    """
    require_clinic(context, patient)
    link = None
    if patient.merged_into_id is not None:
        link = [{"other": reference("Patient", patient.merged_into_id), "type": "replaced-by"}]
    return FhirPatient.model_validate(
        compact(
            {
                "id": str(patient.pk),
                "meta": _meta(patient.updated_at),
                "active": link is None,
                "identifier": [
                    {
                        "use": "usual",
                        "type": concept(
                            coding(TERMINOLOGY + "v2-0203", "MR", "Medical record number")
                        ),
                        "system": context.identifier_system("record-number"),
                        "value": clean_line(patient.record_number),
                    }
                ],
                "name": [
                    {
                        "family": clean_line(patient.family_name),
                        "given": [clean_line(patient.given_name)],
                    }
                ],
                "gender": patient.sex,
                "birthDate": patient.birth_date.isoformat() if patient.birth_date else None,
                "managingOrganization": clinic_reference(context),
                "link": link,
            }
        )
    )


def fhir_imaging_study(
    context: FhirContext,
    study: Study,
    images: Sequence[StudyImage],
    *,
    started: datetime | None = None,
    based_on: Sequence[UUID] = (),
) -> FhirImagingStudy:
    """Return a study with its images, in series.

    An image that came without DICOM UIDs gets ones made of its own id, so they never change.

    Args:
        context: For whom.
        study: The study.
        images: Its images in their order.
        started: When the images were taken, if that is known; the time of registration is not.
        based_on: Ids of the orders that asked for it.

    Raises:
        ValueError: a row is of another clinic, or an image of another study.
    """
    require_clinic(context, study, *images)
    for image in images:
        require_link(child=image.study_id, parent=study.pk)
    series = [_series(context, study, uid, group) for uid, group in _by_series(study, images)]
    question = clean(study.clinical_question)
    return FhirImagingStudy.model_validate(
        compact(
            {
                "id": str(study.pk),
                "meta": _meta(study.updated_at),
                "identifier": _study_identifiers(context, study),
                "status": "available" if images else "registered",
                "modality": [
                    coding(DCM, code)
                    for code in dict.fromkeys(entry["modality"]["code"] for entry in series)
                ],
                "subject": reference("Patient", study.patient_id),
                "started": instant(started) if started else None,
                "basedOn": [reference("ServiceRequest", key) for key in based_on],
                "numberOfSeries": len(series),
                "numberOfInstances": len(images),
                "reasonCode": [concept(text=question)] if question else None,
                "description": body_site_text(study.get_body_part_display(), study.side),
                "series": series,
            }
        )
    )


def body_site_text(part: str, side: str) -> str:
    """Return the words for a place of the body, with its side when it has one."""
    part = clean_line(part)
    return f"{part}, {side}" if part and side in _SIDES else part


def image_side(image: StudyImage, study: Study) -> str:
    """Return the side that the image shows, else the ordered one; ``""`` when neither says one.

    An order for both sides does not tell which of them one image shows.
    """
    ordered = study.side if study.side in ("left", "right") else ""
    return _IMAGE_SIDES.get(image.laterality, ordered)


def _meta(updated_at: datetime | None) -> Json:
    return {"lastUpdated": instant(updated_at) if updated_at else None}


def _study_identifiers(context: FhirContext, study: Study) -> list[Json]:
    identifiers = [dicom_uid_identifier(study_uid(study))]
    accession = clean_line(study.accession_number)
    if accession:
        identifiers.append(
            {
                "type": concept(coding(TERMINOLOGY + "v2-0203", "ACSN", "Accession ID")),
                "system": context.identifier_system("accession-number"),
                "value": accession,
            }
        )
    return identifiers


def _by_series(
    study: Study, images: Iterable[StudyImage]
) -> Iterable[tuple[str, list[StudyImage]]]:
    """Group images by series; those without a series share one for each modality."""
    groups: dict[str, list[StudyImage]] = {}
    for image in images:
        groups.setdefault(series_uid(study, image), []).append(image)
    return groups.items()


def _series(
    context: FhirContext, study: Study, uid: str, images: Sequence[StudyImage]
) -> dict[str, Any]:
    sides = {image_side(image, study) for image in images}
    part = clean_line(study.get_body_part_display())
    return {
        "uid": uid,
        "modality": coding(DCM, modality(images[0])),
        "numberOfInstances": len(images),
        "bodySite": {"display": part} if part else None,
        "laterality": _laterality(context, sides.pop()) if len(sides) == 1 else None,
        "instance": [_instance(image) for image in images],
    }


def _laterality(context: FhirContext, side: str) -> Json | None:
    if not side:
        return None
    code, display = _SIDES[side]
    return coding(SNOMED, code, display) if context.snomed else {"display": display}


def _instance(image: StudyImage) -> Json:
    sop_class = known_uid(image.sop_class_uid) or _SOP_CLASSES.get(
        image.modality, _SECONDARY_CAPTURE
    )
    return {
        "uid": image_uid(image),
        "sopClass": coding(URI_SYSTEM, f"urn:oid:{sop_class}"),
        "number": image.position + 1,
        "title": clean_line(image.view_position),
    }
