"""Pictures of the viewer that are kept for the report."""

import hashlib
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from diagnosis.ingest.snapshots import snapshot_rewritten
from diagnosis.models import StudyImage, StudyKeyImage
from diagnosis.storage import object_delete, object_put
from fracture_site.common.errors import ConflictError, UnavailableError

MAX_PER_IMAGE: Final = 20


def key_image_keep(
    *, actor: User, image: StudyImage, data: bytes, caption: str = ""
) -> StudyKeyImage:
    """Store a PNG of the viewer as a picture of the image's study.

    Raises:
        RefusedInputError: ``not_an_image``.
        TooLargeError: ``too_large``.
        ConflictError: ``key_images_full``.
        UnavailableError: ``storage``; nothing was kept.
    """
    require(user=actor, action=Action.REPORT_WRITE, clinic_id=image.clinic_id)
    picture, width, height = snapshot_rewritten(data)
    try:
        key = object_put(data=picture, kind="keyimages", content_type="image/png")
    except OSError as error:
        raise UnavailableError(
            "storage", _("The image store does not answer. Nothing was kept; try again.")
        ) from error
    try:
        return _create(actor, image, key, picture, (width, height), caption)
    except BaseException:
        object_delete(key)
        raise


@transaction.atomic
def _create(
    actor: User,
    image: StudyImage,
    key: str,
    picture: bytes,
    size: tuple[int, int],
    caption: str,
) -> StudyKeyImage:
    StudyImage.objects.select_for_update(no_key=True).only("pk").get(pk=image.pk)
    if StudyKeyImage.objects.filter(image=image).count() >= MAX_PER_IMAGE:
        raise ConflictError(
            "key_images_full", _("There are enough pictures of this image. Remove some first.")
        )
    kept = StudyKeyImage.objects.create(
        clinic_id=image.clinic_id,
        image=image,
        author=actor,
        caption=" ".join(caption.split())[:200],
        object_key=key,
        sha256=hashlib.sha256(picture).hexdigest(),
        width=size[0],
        height=size[1],
    )
    _audit(actor, "key_image.keep", kept)
    return kept


@transaction.atomic
def key_image_delete(*, actor: User, key_image: StudyKeyImage) -> None:
    """Forget a kept picture; its bytes go when no row names them any more."""
    require(user=actor, action=Action.REPORT_WRITE, clinic_id=key_image.clinic_id)
    _audit(actor, "key_image.delete", key_image)
    key_image.delete()


@transaction.atomic
def key_image_open(*, actor: User, key_image: StudyKeyImage) -> None:
    """Record that a person looked at a kept picture; call it before the bytes are served."""
    require(user=actor, action=Action.STUDY_VIEW, clinic_id=key_image.clinic_id)
    _audit(actor, "key_image.open", key_image)


def _audit(actor: User, action: str, kept: StudyKeyImage) -> None:
    audit_record(
        actor=actor,
        action=action,
        clinic_id=kept.clinic_id,
        target=kept,
        patient_id=kept.image.study.patient_id,
        image=str(kept.image_id),
    )
