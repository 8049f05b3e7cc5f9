"""Saving and removing what a reader draws on an image."""

import math
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from diagnosis.models import Annotation, StudyImage
from fracture_site.common.errors import ConflictError, PreconditionError, RefusedInputError

MAX_PER_IMAGE: Final = 200
MILLIMETRES: Final = (1.0, 1000.0)  # a calibration object
Points = Sequence[Sequence[float]]
Kind = Annotation.Kind


@transaction.atomic
def annotation_save(
    *,
    actor: User,
    image: StudyImage,
    pk: UUID,
    revision: int,
    kind: str,
    points: Points,
    frame: int = 0,
    text: str = "",
    millimetres: float | None = None,
) -> Annotation:
    """Create the annotation (``revision`` 0) or save over the one that the caller has read.

    The client chooses ``pk``, so that a repeated request has no second effect. A new
    calibration replaces the actor's former one of the image.

    Raises:
        RefusedInputError: ``annotation_invalid``.
        PreconditionError: ``annotation_changed`` since ``revision``; ``extra`` has the newest.
        ConflictError: ``annotations_full``, or ``annotation_taken``: the id is in use elsewhere.
    """
    require(user=actor, action=Action.IMAGE_ANNOTATE, clinic_id=image.clinic_id)
    values = {
        "kind": kind,
        "frame": frame,
        "points": _checked_points(image, kind, points, frame),
        "text": _checked_text(kind, text),
        "millimetres": _checked_millimetres(kind, millimetres),
    }
    # One reader's saves of one image wait for each other: two tabs cannot both be first.
    StudyImage.objects.select_for_update(no_key=True).only("pk").get(pk=image.pk)
    row = Annotation.objects.filter(pk=pk).first()
    if row is None:
        if revision:
            raise PreconditionError("annotation_changed", _changed(), extra={"revision": 0})
        return _create(actor, image, pk, values)
    if row.author_id != actor.pk or row.image_id != image.pk or row.kind != kind:
        raise ConflictError("annotation_taken", _("This mark cannot be changed to another one."))
    if all(getattr(row, name) == value for name, value in values.items()):
        return row  # sent twice
    if row.revision != revision:
        raise PreconditionError("annotation_changed", _changed(), extra={"revision": row.revision})
    for name, value in values.items():
        setattr(row, name, value)
    row.revision += 1
    row.save(update_fields=[*values, "revision", "updated_at"])
    _audit(actor, "annotation.change", row, image)
    return row


@transaction.atomic
def annotation_delete(*, actor: User, annotation: Annotation, revision: int) -> None:
    """Remove one's own annotation.

    Raises:
        PreconditionError: ``annotation_changed`` since ``revision``.
    """
    require(user=actor, action=Action.IMAGE_ANNOTATE, clinic_id=annotation.clinic_id)
    row = Annotation.objects.select_for_update().get(pk=annotation.pk, author=actor)
    if row.revision != revision:
        raise PreconditionError("annotation_changed", _changed(), extra={"revision": row.revision})
    _audit(actor, "annotation.delete", row, row.image)
    row.delete()


def _create(actor: User, image: StudyImage, pk: UUID, values: dict[str, object]) -> Annotation:
    own = Annotation.objects.filter(image=image, author=actor)
    if values["kind"] == Kind.CALIBRATION:
        own.filter(kind=Kind.CALIBRATION).delete()
    if own.count() >= MAX_PER_IMAGE:
        raise ConflictError(
            "annotations_full", _("There are too many marks on this image. Remove some first.")
        )
    row = Annotation(id=pk, clinic_id=image.clinic_id, image=image, author=actor, **values)
    row.save(force_insert=True)
    _audit(actor, "annotation.create", row, image)
    return row


def _checked_points(image: StudyImage, kind: str, points: Points, frame: int) -> list[list[float]]:
    """Return the points with two decimals; a line may begin a little outside of the image."""
    if kind not in Annotation.POINTS or not 0 <= frame < image.frame_count:
        raise _invalid()
    if len(points) != Annotation.POINTS[kind] or any(len(point) != 2 for point in points):
        raise _invalid()
    for x, y in points:
        inside = -image.width <= x <= 2 * image.width and -image.height <= y <= 2 * image.height
        if not (math.isfinite(x) and math.isfinite(y) and inside):
            raise _invalid()
    return [[round(float(x), 2), round(float(y), 2)] for x, y in points]


def _checked_text(kind: str, text: str) -> str:
    words = " ".join(text.split())
    if len(words) > 500 or (kind == Kind.TEXT and not words):
        raise _invalid()
    return words if kind in {Kind.TEXT, Kind.ARROW} else ""


def _checked_millimetres(kind: str, millimetres: float | None) -> float | None:
    if kind != Kind.CALIBRATION:
        return None
    low, high = MILLIMETRES
    if millimetres is None or not low <= millimetres <= high:
        raise RefusedInputError(
            "annotation_invalid",
            _("Give the true length of the object, between 1 and 1000 mm."),
            fields={"millimetres": _("Between 1 and 1000 mm.")},
        )
    return float(millimetres)


def _invalid() -> RefusedInputError:
    return RefusedInputError("annotation_invalid", _("This mark cannot be kept. Draw it again."))


def _changed() -> str:
    return _("This mark was changed in another window. Load the page again.")


def _audit(actor: User, action: str, row: Annotation, image: StudyImage) -> None:
    audit_record(
        actor=actor,
        action=action,
        clinic_id=row.clinic_id,
        target=row,
        patient_id=image.study.patient_id,
        image=str(row.image_id),
        kind=row.kind,
    )
