"""Reads of second-opinion links: by members, and by whoever holds a link."""

from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models import Prefetch, QuerySet
from django.db.models.functions import Now

from accounts.models import User
from accounts.selectors import secret_hash
from diagnosis.models import Study, StudyImage, StudyShare
from diagnosis.selectors.lookup import get_or_404


@dataclass(frozen=True, slots=True)
class ShareKey:
    """Which row a secret opens; nothing else is known before the clinic's scope is entered."""

    share_id: UUID
    clinic_id: UUID


def share_list(*, user: User, study: Study) -> QuerySet[StudyShare]:
    """Return the links of a study with their comments, newest first."""
    shares = StudyShare.objects.for_user(user).filter(study=study)
    return shares.select_related("created_by").prefetch_related("comments").order_by("-created_at")


def share_get(*, user: User, pk: UUID | str) -> StudyShare:
    """Return one link of the clinic."""
    return get_or_404(StudyShare.objects.for_user(user).select_related("study"), pk)


def share_find(*, secret: str) -> ShareKey | None:
    """Return what a link opens; revoked, expired, locked and unknown ones open nothing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT found_id, found_clinic_id FROM diagnosis_share_find(%s)", [secret_hash(secret)]
        )
        row = cursor.fetchone()
    return ShareKey(*row) if row else None


def share_usable(*, key: ShareKey) -> StudyShare | None:
    """Return the link while it works; call it in the scope of its clinic."""
    images = StudyImage.objects.filter(clinic_id=key.clinic_id).order_by(
        "position", "created_at", "id"
    )
    return (
        StudyShare.objects.filter(
            pk=key.share_id,
            clinic_id=key.clinic_id,
            clinic__is_active=True,
            revoked_at__isnull=True,
            expires_at__gt=Now(),
            wrong_passcodes__lt=StudyShare.MAX_WRONG_PASSCODES,
        )
        .select_related("study__patient", "clinic", "created_by")
        .prefetch_related(Prefetch("study__images", images), "comments")
        .defer("study__search", "study__patient__search")
        .first()
    )


def share_images(share: StudyShare) -> list[StudyImage]:
    """Return the images that the sender had before them; later and moved ones are left out."""
    return [image for image in share.study.images.all() if image.pk in share.image_ids]
