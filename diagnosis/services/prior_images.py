"""Storing one image that an archive gave: checked against the person, and only to compare with."""

import hashlib
from datetime import timedelta
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis.ingest.images import ingest_image
from diagnosis.ingest.results import DicomAttributes, IngestedImage
from diagnosis.models import PriorFetch, Study, StudyImage
from diagnosis.services.dicom_sending import node_of
from diagnosis.services.prior_matching import PersonSaid, differences, is_accepted
from diagnosis.services.prior_sources import RADIOGRAPHS, person_known, sends_to_listener
from diagnosis.services.studies import study_create, study_locked
from diagnosis.services.uploads import UploadOutcome, image_upload
from fracture_site.common.errors import ConflictError, DomainError, RefusedInputError

_LATE = timedelta(days=1)
_SIDES = {"L": "left", "R": "right", "B": "both"}


def prior_image_receive(
    *, clinic_id: UUID, fetch_id: UUID, data: bytes, ingested: IngestedImage | None = None
) -> UploadOutcome:
    """Store an image of a study that is being fetched; nothing is analysed.

    Returns after bytes and row are durable. Opens the clinic's scope by itself. What is refused
    is also counted with the fetch, by its code.

    Raises:
        ConflictError: ``wrong_patient``: the image names somebody else, or differs from the
            record in what nobody has confirmed; ``study_is_here``; or as ``image_upload``.
        RefusedInputError: ``not_dicom``, ``study_differs``, ``not_a_radiograph``,
            ``requester_gone``, or as ``image_upload``.
        UnavailableError: as ``image_upload``; not counted, because it may be tried again.
    """
    try:
        return _receive(clinic_id, fetch_id, data, ingested or ingest_image(data))
    except DomainError as error:
        if error.http_status < 500:
            prior_image_skipped(clinic_id=clinic_id, fetch_id=fetch_id, code=error.code)
        raise


def prior_image_skipped(*, clinic_id: UUID, fetch_id: UUID, code: str) -> None:
    """Count an image that was left out."""
    with clinic_scope(clinic_id):
        fetch = PriorFetch.objects.select_for_update().get(pk=fetch_id)
        fetch.skipped = {**fetch.skipped, code: int(fetch.skipped.get(code, 0)) + 1}
        fetch.save(update_fields=["skipped"])


def prior_fetch_for(*, clinic_id: UUID, study_uid: str, originator: str) -> PriorFetch | None:
    """Return the fetch that an image belongs to which an archive sends to the listener.

    ``originator`` is who asked the archive, by the archive's own word. Also a fetch that has
    ended meanwhile: what comes late was fetched for comparison all the same.
    """
    fetch = (
        PriorFetch.objects.filter(
            clinic_id=clinic_id, study_instance_uid=study_uid, created_at__gt=Now() - _LATE
        )
        .select_related("source")
        .order_by("-created_at")
        .first()
    )
    if fetch is None or not sends_to_listener(fetch.source):
        return None
    return fetch if originator == node_of(fetch.source).calling_ae_title else None


def _receive(
    clinic_id: UUID, fetch_id: UUID, data: bytes, ingested: IngestedImage
) -> UploadOutcome:
    dicom = ingested.dicom
    if dicom is None:
        raise RefusedInputError("not_dicom", _("This is no DICOM object."))
    if ingested.modality not in RADIOGRAPHS:
        raise RefusedInputError("not_a_radiograph", _("This is no radiograph."))
    with clinic_scope(clinic_id):
        fetch = PriorFetch.objects.select_related("study__patient", "source", "requested_by").get(
            pk=fetch_id
        )
        if dicom.study_instance_uid != fetch.study_instance_uid:
            raise RefusedInputError("study_differs", _("The image is of another study."))
        _check_person(fetch, dicom)
        _one_at_a_time(fetch)
        try:
            study = _prior(fetch, dicom)
            known = _stored(study, dicom.sop_instance_uid, data)
            if known is not None:
                return UploadOutcome(image=known, created=False)
            return image_upload(
                actor=fetch.requested_by, study=study, data=data, ingested=ingested, analyse=False
            )
        except ActionDeniedError as error:
            raise RefusedInputError(
                "requester_gone", _("Who asked for this may not do so any more.")
            ) from error


def _check_person(fetch: PriorFetch, dicom: DicomAttributes) -> None:
    header = dicom.header
    said = PersonSaid(
        patient_id=header.get("PatientID", "").strip(),
        name=header.get("PatientName", ""),
        birth_date=header.get("PatientBirthDate", ""),
        sex=header.get("PatientSex", ""),
        issuer=header.get("IssuerOfPatientID", ""),
    )
    found = differences(person_known(fetch.study.patient, fetch.source), said)
    if not is_accepted(found, fetch.confirmed):
        raise ConflictError("wrong_patient", _("The image names another person."))


def _one_at_a_time(fetch: PriorFetch) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))",
            [f"{fetch.clinic_id} {fetch.study_instance_uid}"],
        )


def _prior(fetch: PriorFetch, dicom: DicomAttributes) -> Study:
    """Return the study that the images are filed under, made when this is the first one."""
    of_uid = {"clinic_id": fetch.clinic_id, "study_instance_uid": fetch.study_instance_uid}
    here = Study.objects.filter(**of_uid).select_related("patient").defer("search").first()
    if here is not None:
        if here.fetched_from_id is None:
            raise ConflictError("study_is_here", _("This study is here already."))
        if here.patient_id != fetch.study.patient_id:
            raise ConflictError("wrong_patient", _("The study is filed under another person."))
        return here
    made = study_create(
        actor=fetch.requested_by,
        clinic_id=fetch.clinic_id,
        patient=fetch.study.patient,
        side=_SIDES.get(dicom.laterality, ""),
    )
    study = study_locked(made)
    study.study_instance_uid = fetch.study_instance_uid
    study.fetched_from = fetch.source
    study.save(update_fields=["study_instance_uid", "fetched_from", "updated_at"])
    return study


def _stored(study: Study, sop_instance_uid: str, data: bytes) -> StudyImage | None:
    """Return the image when the prior has it, also in other bytes: archives convert."""
    images = StudyImage.objects.filter(study=study)
    same = images.filter(sop_instance_uid=sop_instance_uid) if sop_instance_uid else images.none()
    sha256 = hashlib.sha256(data).hexdigest()
    return same.first() or images.filter(sha256=sha256).first()
