"""Taking in one uploaded file: checked in a limited process, stored, queued for analysis."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from diagnosis.ingest.images import FilmProposal, FilmTask, film_look, ingest_image
from diagnosis.ingest.messages import REFUSALS
from diagnosis.ingest.results import IngestedImage
from diagnosis.interop.dicom_identity import known_uid
from diagnosis.interop.dicom_times import acquired_at, dicom_date, dicom_time
from diagnosis.models import Study, StudyImage
from diagnosis.services.analyses import analysis_enqueue
from diagnosis.services.intake import require_room
from diagnosis.services.prior_taking_up import prior_take_up
from diagnosis.services.studies import next_position, note_other_study, study_locked
from diagnosis.services.study_results import study_refresh
from diagnosis.services.violations import violated_constraint
from diagnosis.storage import object_delete, object_put
from fracture_site.common.errors import ConflictError, TooLargeError, UnavailableError

_JPEG = "image/jpeg"
HEADER_KEPT = frozenset({"StudyID", "StudyDate", "StudyTime", "SeriesNumber", "InstanceNumber"})


@dataclass(frozen=True, slots=True)
class UploadOutcome:
    """What became of a file; ``created`` is false when the study had these bytes already."""

    image: StudyImage
    created: bool


@dataclass(frozen=True, slots=True)
class _StoredObjects:
    original: str
    served: str
    renditions: list[str]
    thumbnail: str
    photo: str


def image_upload(
    *,
    actor: User,
    study: Study,
    data: bytes,
    ingested: IngestedImage | None = None,
    analyse: bool = True,
    film: FilmTask | None = None,
    by_machine: bool = False,
) -> UploadOutcome:
    """Add an image to a study and queue its analysis; ``ingested`` is what was read of it before.

    With ``film`` the bytes are a photograph of a film: it stays as the original, and the
    straightened film is what is shown, analysed and marked as of lower trust.

    Objects are stored before the row commits, so a row never points to nothing. ``by_machine``
    is who can wait and send again: refused while too much waits here.
    A reported study takes images too; its report is then marked. Without ``analyse`` the image
    is kept to be looked at only; with it a study that was fetched for comparison is taken up.

    Raises:
        RefusedInputError: the file cannot be used; ``code`` says why.
        TooLargeError: ``too_large``.
        ConflictError: ``study_full``; ``image_in_other_study`` (``extra`` names ``image`` and
            ``study``); ``sop_instance_conflict``: other bytes under a DICOM identity in use.
        UnavailableError: ``storage``, ``ingest_busy``, ``ingest_unavailable`` or ``queue_full``;
            nothing was kept.
    """
    require(user=actor, action=Action.IMAGE_UPLOAD, clinic_id=study.clinic_id)
    if len(data) > settings.INGEST_MAX_BYTES:
        raise TooLargeError("too_large", REFUSALS["too_large"])
    sha256 = hashlib.sha256(data).hexdigest()
    known = _existing(study, sha256)
    if known:
        return known
    if by_machine and analyse:
        require_room(study)
    ingested = ingested or ingest_image(data, film=film)
    with _objects(data, ingested) as stored:
        return _image_create(actor, study, ingested, stored, analyse=analyse)


def film_corners(*, actor: User, study: Study, data: bytes) -> FilmProposal:
    """Say where the film is in a photograph, before it is uploaded; nothing is kept.

    Raises:
        RefusedInputError, TooLargeError, UnavailableError: as ``image_upload``.
    """
    require(user=actor, action=Action.IMAGE_UPLOAD, clinic_id=study.clinic_id)
    return film_look(data)


@transaction.atomic
def _image_create(
    actor: User, study: Study, ingested: IngestedImage, stored: _StoredObjects, *, analyse: bool
) -> UploadOutcome:
    locked = study_locked(study)
    if locked.images.count() >= settings.STUDY_MAX_IMAGES:
        raise ConflictError("study_full", _("This study is full. Make another study for the rest."))
    image = _new_image(actor, locked, ingested, stored)
    if ingested.dicom:
        note_other_study(image, locked, known_uid(ingested.dicom.study_instance_uid))
    try:
        with transaction.atomic():
            image.save(force_insert=True)
    except IntegrityError as error:
        if violated_constraint(error) == "image_sop_instance_once_per_clinic":
            raise _sop_instance_conflict(image) from error
        if violated_constraint(error) != "image_once_per_clinic":
            raise
        # The same file was sent twice at the same time; the other one was faster.
        known = _existing(locked, image.sha256)
        if known is None:
            raise
        _discard(stored)
        return known
    if ingested.dicom and not locked.study_instance_uid:
        # The first image decides; what is sent back then joins it in the archive it came from.
        locked.study_instance_uid = known_uid(ingested.dicom.study_instance_uid)
        locked.save(update_fields=["study_instance_uid", "updated_at"])
    if locked.study_date is None and (day := dicom_date(image.dicom_header.get("StudyDate", ""))):
        locked.study_date = day
        locked.study_time = dicom_time(image.dicom_header.get("StudyTime", ""))
        locked.save(update_fields=["study_date", "study_time", "updated_at"])
    if analyse:
        prior_take_up(actor=actor, study=locked)
        analysis_enqueue(image=image, requested_by=actor, priority=locked.priority)
    study_refresh(study_id=locked.pk)
    audit_record(
        actor=actor,
        action="image.upload",
        clinic_id=locked.clinic_id,
        target=image,
        patient_id=locked.patient_id,
        study=str(locked.pk),
    )
    return UploadOutcome(image=image, created=True)


def _existing(study: Study, sha256: str) -> UploadOutcome | None:
    """Answer bytes that the clinic has already.

    Raises:
        ConflictError: they are in another study. Answering with that study's image would
            show one patient's picture under another's name.
    """
    image = StudyImage.objects.filter(clinic_id=study.clinic_id, sha256=sha256).first()
    if image is None:
        return None
    if image.study_id == study.pk:
        return UploadOutcome(image=image, created=False)
    raise ConflictError(
        "image_in_other_study",
        _("This image is already in another study. Open that one, or move the image."),
        extra={"image": str(image.pk), "study": str(image.study_id)},
    )


def _sop_instance_conflict(image: StudyImage) -> ConflictError:
    other = StudyImage.objects.filter(
        clinic_id=image.clinic_id, sop_instance_uid=image.sop_instance_uid
    ).first()
    extra = {"image": str(other.pk), "study": str(other.study_id)} if other else {}
    return ConflictError(
        "sop_instance_conflict",
        _(
            "Another version of this DICOM object is stored already. "
            "Export the image under a new identity, or use the stored one."
        ),
        extra=extra,
    )


def _new_image(
    actor: User, study: Study, ingested: IngestedImage, stored: _StoredObjects
) -> StudyImage:
    image = StudyImage(
        clinic_id=study.clinic_id,
        study=study,
        position=next_position(study),
        sha256=ingested.original_sha256,
        size_bytes=ingested.original_size,
        format=ingested.format,
        original_key=stored.original,
        served_key=stored.served,
        served_sha256=ingested.served_sha256,
        served_content_type=ingested.served_content_type,
        rendition_keys=stored.renditions,
        thumbnail_key=stored.thumbnail,
        width=ingested.width,
        height=ingested.height,
        bits=ingested.bits,
        frame_count=ingested.frame_count,
        modality=ingested.modality,
        warnings=list(ingested.warnings),
        capture=StudyImage.Capture.FILM_PHOTO if ingested.film else StudyImage.Capture.FILE,
        capture_details=dict(ingested.film or {}),
        photo_key=stored.photo,
        uploaded_by=actor,
    )
    dicom = ingested.dicom
    if dicom:
        image.view_position = dicom.view_position[:16]
        image.laterality = dicom.laterality[:1]
        image.body_part_examined = dicom.body_part_examined[:16]
        image.sop_instance_uid = dicom.sop_instance_uid
        image.series_instance_uid = dicom.series_instance_uid
        image.sop_class_uid = dicom.sop_class_uid
        image.acquired_at = acquired_at(dicom.header, study.clinic.time_zone)
        image.dicom_header = {k: v for k, v in dicom.header.items() if k in HEADER_KEPT}
        if dicom.pixel_spacing:
            row, column = dicom.pixel_spacing
            image.pixel_spacing = {
                "row": row,
                "column": column,
                "origin": dicom.pixel_spacing_origin,
            }
    return image


@contextmanager
def _objects(data: bytes, ingested: IngestedImage) -> Iterator[_StoredObjects]:
    """Store the original, the served copy and the small pictures; take them back on any error."""
    keys: list[str] = []

    def put(content: bytes, kind: str, content_type: str) -> str:
        _keep_session()
        keys.append(object_put(data=content, kind=kind, content_type=content_type))
        return keys[-1]

    try:
        try:
            stored = _StoredObjects(
                original=put(data, "originals", "application/octet-stream"),
                served=put(ingested.served, "served", ingested.served_content_type),
                renditions=[put(r.data, "renditions", _JPEG) for r in ingested.renditions],
                thumbnail=put(ingested.thumbnail.data, "thumbnails", _JPEG),
                photo=put(ingested.photo.data, "renditions", _JPEG) if ingested.photo else "",
            )
        except OSError as error:
            raise UnavailableError(
                "storage", _("The image store does not answer. Nothing was kept; try again.")
            ) from error
        yield stored
    except BaseException:
        _delete(keys)
        raise


def _keep_session() -> None:
    """Begin the idle time of the request's transaction anew: five hundred frames take long."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _discard(stored: _StoredObjects) -> None:
    keys = [stored.original, stored.served, *stored.renditions, stored.thumbnail, stored.photo]
    _delete([key for key in keys if key])


def _delete(keys: list[str]) -> None:
    """Remove objects that no row names; what fails is left to ``manage.py collect_orphans``."""
    for key in keys:
        with suppress(OSError):
            object_delete(key)
