"""Files in parts: begin, append, make the image, drop, expire. The API speaks tus over it."""

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Clinic, User
from accounts.policy import Action, require
from accounts.tenancy import clinic_scope
from diagnosis.ingest.film import film_task
from diagnosis.ingest.messages import REFUSALS
from diagnosis.models import ResumableUpload, Study
from diagnosis.services.uploads import UploadOutcome, image_upload
from diagnosis.storage import object_delete, object_put, object_read
from fracture_site.common.errors import (
    ConflictError,
    RefusedInputError,
    TooLargeError,
    UnavailableError,
)

KEPT_FOR: Final = timedelta(days=1)
MAX_OPEN: Final = 100
_NO_STORE: Final = _("The image store does not answer. Try again in a minute.")


@transaction.atomic
def upload_begin(
    *, actor: User, study: Study, length: int, capture: str = "", corners: str = ""
) -> ResumableUpload:
    """Promise room for one file of ``length`` bytes; ``capture`` and ``corners`` as for a film.

    Raises:
        TooLargeError: ``too_large``.
        RefusedInputError: ``empty_file``, ``capture_unknown`` or ``corners_invalid``.
        ConflictError: ``too_many_uploads``: this person has begun too many others.
    """
    require(user=actor, action=Action.IMAGE_UPLOAD, clinic_id=study.clinic_id)
    if length > settings.INGEST_MAX_BYTES:
        raise TooLargeError("too_large", REFUSALS["too_large"])
    if length < 1:
        raise RefusedInputError("empty_file", REFUSALS["empty_file"])
    film_task(capture=capture, corners=corners)
    begun = ResumableUpload.objects.filter(
        owner=actor, image__isnull=True, expires_at__gt=timezone.now()
    )
    if begun.count() >= MAX_OPEN:
        raise ConflictError(
            "too_many_uploads", _("Too many files are on their way. Wait until some have arrived.")
        )
    return ResumableUpload.objects.create(
        clinic_id=study.clinic_id,
        owner=actor,
        study=study,
        length=length,
        capture=capture,
        corners=corners,
        expires_at=timezone.now() + KEPT_FOR,
    )


def upload_append(
    *, actor: User, upload: ResumableUpload, offset: int, data: bytes
) -> ResumableUpload:
    """Add the bytes that follow ``offset``; they are durable when this returns.

    Raises:
        ConflictError: ``offset_differs``: something else has arrived so far.
        RefusedInputError: ``too_many_bytes``: more than was promised.
        UnavailableError: ``storage``; nothing of the part was kept.
    """
    require(user=actor, action=Action.IMAGE_UPLOAD, clinic_id=upload.clinic_id)
    key = ""
    try:
        with transaction.atomic():
            locked = ResumableUpload.objects.select_for_update().get(pk=upload.pk)
            if offset != locked.received:
                raise ConflictError("offset_differs", _("Other parts of the file came before."))
            if offset + len(data) > locked.length:
                raise RefusedInputError("too_many_bytes", _("The file is longer than it said."))
            if data:
                key = object_put(data=data, kind="parts", content_type="application/octet-stream")
                locked.part_keys.append(key)
                locked.received += len(data)
                locked.save(update_fields=["part_keys", "received"])
    except OSError as error:
        raise UnavailableError("storage", _NO_STORE) from error
    return locked


@transaction.atomic
def upload_finish(*, actor: User, upload: ResumableUpload) -> UploadOutcome:
    """Make the image of a file that has arrived whole; the same image whenever it is asked again.

    Raises:
        ConflictError: ``upload_incomplete``, ``upload_busy``, or as ``image_upload``.
        RefusedInputError, TooLargeError, UnavailableError: as ``image_upload``.
    """
    require(user=actor, action=Action.IMAGE_UPLOAD, clinic_id=upload.clinic_id)
    rows = ResumableUpload.objects.select_related("image", "study")
    locked = rows.select_for_update(skip_locked=True, of=("self",)).filter(pk=upload.pk).first()
    if locked is None:
        raise ConflictError("upload_busy", _("This file is being checked already. Ask again."))
    if locked.image is not None:
        return UploadOutcome(image=locked.image, created=False)
    if locked.received != locked.length:
        raise ConflictError("upload_incomplete", _("The file has not arrived whole yet."))
    try:
        data = b"".join(object_read(key) for key in locked.part_keys)
    except OSError as error:
        raise UnavailableError("storage", _NO_STORE) from error
    film = film_task(capture=locked.capture, corners=locked.corners)
    outcome = image_upload(actor=actor, study=locked.study, data=data, film=film)
    locked.image = outcome.image
    _forget_parts(locked)
    return outcome


@transaction.atomic
def upload_drop(*, actor: User, upload: ResumableUpload) -> None:
    """Remove what has arrived; an image that was made of it stays."""
    require(user=actor, action=Action.IMAGE_UPLOAD, clinic_id=upload.clinic_id)
    locked = ResumableUpload.objects.select_for_update().get(pk=upload.pk)
    _forget_parts(locked)
    locked.delete()


def uploads_expire() -> int:
    """Remove the files of all clinics that were not finished in time, and return how many."""
    count = 0
    for clinic_id in Clinic.objects.values_list("pk", flat=True):
        with clinic_scope(clinic_id):
            expired = ResumableUpload.objects.filter(expires_at__lte=timezone.now())
            for upload in expired.select_for_update(skip_locked=True):
                _forget_parts(upload)
                upload.delete()
                count += 1
    return count


def _forget_parts(upload: ResumableUpload) -> None:
    """Take the parts off the row, and remove them once that is certain."""
    keys = list(upload.part_keys)
    upload.part_keys = []
    upload.save(update_fields=["part_keys", "image"])

    def remove() -> None:
        for key in keys:
            object_delete(key)

    # What stays behind is collected by night: no row names it any more.
    transaction.on_commit(remove, robust=True)
