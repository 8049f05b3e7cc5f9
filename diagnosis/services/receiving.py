"""Taking in an image that a machine sends: whose it is, which study, and then as any upload."""

import hashlib
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import User
from accounts.tenancy import clinic_scope
from diagnosis.ingest.images import ingest_image
from diagnosis.ingest.results import DicomAttributes
from diagnosis.interop.dicom_identity import known_uid
from diagnosis.interop.dicom_times import dicom_date
from diagnosis.models import Device, Patient, Study, StudyImage
from diagnosis.services.patients import patient_create, patient_kept
from diagnosis.services.prior_images import prior_fetch_for, prior_image_receive
from diagnosis.services.prior_taking_up import prior_take_up
from diagnosis.services.studies import study_create, study_locked
from diagnosis.services.study_results import study_refresh
from diagnosis.services.uploads import UploadOutcome, image_upload
from fracture_site.common.errors import ConflictError, RefusedInputError

_SEXES: Final = {"F": "female", "M": "male", "O": "other"}
_SIDES: Final = {"L": "left", "R": "right", "B": "both"}


def image_receive(
    *, actor: User, clinic_id: UUID, data: bytes, study_uid: str = "", originator: str = ""
) -> UploadOutcome:
    """Store an image under the patient and study that it names; they are made when unknown.

    With ``study_uid`` an image of another study is refused (``study_differs``). ``originator`` is
    the AE title that asked for the image, when an archive sends it on request: an answer to a
    fetch of ours is filed as such.

    Returns after bytes and row are durable. The same bytes again are answered with what is there.
    Opens the clinic's scope by itself; nothing is decoded outside of the limited process.

    Raises:
        RefusedInputError: as ``image_upload``, or ``not_dicom``, ``patient_id_missing``.
        ConflictError: ``patient_differs``: another birth date under the same number;
            ``study_of_other_patient``; or as ``image_upload``.
        UnavailableError: as ``image_upload``.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    with clinic_scope(clinic_id):
        images = StudyImage.objects.filter(clinic_id=clinic_id, sha256=sha256)
        known = images.select_related("study").first()
        if known is not None and not originator:
            _taken_up(actor, known.study)
    if known is not None:
        return UploadOutcome(image=known, created=False)
    ingested = ingest_image(data)
    dicom = ingested.dicom
    if dicom is None:
        raise RefusedInputError("not_dicom", _("This is no DICOM object."))
    if study_uid and dicom.study_instance_uid != study_uid:
        raise RefusedInputError("study_differs", _("The image is of another study."))
    if originator:
        with clinic_scope(clinic_id):
            fetch = prior_fetch_for(
                clinic_id=clinic_id, study_uid=dicom.study_instance_uid, originator=originator
            )
        if fetch is not None:
            return prior_image_receive(
                clinic_id=clinic_id, fetch_id=fetch.pk, data=data, ingested=ingested
            )
    with clinic_scope(clinic_id):
        _one_at_a_time(clinic_id, dicom.header.get("PatientID", ""))
        patient = _patient(actor, clinic_id, dicom)
        study = _study(actor, clinic_id, patient, dicom)
        if study.fetched_from_id is not None:
            # The same object in other bytes: archives convert what they give away.
            known = study.images.filter(sop_instance_uid=dicom.sop_instance_uid).first()
            if known is not None and dicom.sop_instance_uid:
                _taken_up(actor, study)
                return UploadOutcome(image=known, created=False)
        return image_upload(actor=actor, study=study, data=data, ingested=ingested, by_machine=True)


def query_note(*, actor: User, device: Device, count: int) -> None:
    """Record that a machine was told about patients; in the clinic's scope."""
    audit_record(
        actor=actor,
        action="device.query",
        clinic_id=device.clinic_id,
        target=device,
        count=count,
    )


def _taken_up(actor: User, study: Study) -> None:
    """What a machine sends is to be read, also when it was fetched for comparison before."""
    if study.fetched_from_id is not None:
        prior_take_up(actor=actor, study=study_locked(study))
        study_refresh(study_id=study.pk)


def _one_at_a_time(clinic_id: UUID, record_number: str) -> None:
    """Let the images of one person come one after the other: the first makes person and study."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))",
            [f"{clinic_id} {record_number.strip()}"],
        )


def _patient(actor: User, clinic_id: UUID, dicom: DicomAttributes) -> Patient:
    header = dicom.header
    number = header.get("PatientID", "").strip()
    if not number or len(number) > 64:
        raise RefusedInputError("patient_id_missing", _("The image names no patient."))
    birth_date = dicom_date(header.get("PatientBirthDate", ""))
    found = Patient.objects.filter(clinic_id=clinic_id, record_number=number).first()
    if found is not None:
        if birth_date and found.birth_date and birth_date != found.birth_date:
            raise ConflictError(
                "patient_differs", _("The record number is another person's: see the birth date.")
            )
        return patient_kept(found)
    family, _caret, given = header.get("PatientName", "").partition("=")[0].partition("^")
    return patient_create(
        actor=actor,
        clinic_id=clinic_id,
        record_number=number,
        family_name=family.strip()[:100] or number,
        given_name=given.replace("^", " ").strip()[:100],
        birth_date=birth_date,
        sex=_SEXES.get(header.get("PatientSex", ""), Patient.Sex.UNKNOWN),
    )


def _study(actor: User, clinic_id: UUID, patient: Patient, dicom: DicomAttributes) -> Study:
    """Return the study that the image belongs to, by its UID, else by its order's number."""
    uid = known_uid(dicom.study_instance_uid)
    accession = dicom.header.get("AccessionNumber", "").strip()[:64]
    studies = Study.objects.filter(clinic_id=clinic_id, erased_at__isnull=True)
    studies = studies.select_related("patient")
    wanted: list[dict[str, Any]] = []
    if uid:
        wanted.append({"study_instance_uid": uid})
        wanted += [{"pk": pk} for pk in _made_of(uid)]
    if accession:
        wanted.append({"accession_number": accession})
    for condition in wanted:
        found = studies.filter(**condition).order_by("created_at").first()
        if found is None:
            continue
        if found.patient_id != patient.pk:
            raise ConflictError(
                "study_of_other_patient", _("This study belongs to another patient.")
            )
        return found
    study = study_create(
        actor=actor,
        clinic_id=clinic_id,
        patient=patient,
        accession_number=accession,
        side=_SIDES.get(dicom.laterality, ""),
    )
    locked = study_locked(study)
    locked.study_instance_uid = uid
    locked.save(update_fields=["study_instance_uid", "updated_at"])
    return locked


def _made_of(uid: str) -> list[UUID]:
    """Return the id of a study whose UID was made of it: the modality got it by the worklist."""
    digits = uid.removeprefix("2.25.")
    return [UUID(int=int(digits))] if digits != uid and int(digits) < 2**128 else []
