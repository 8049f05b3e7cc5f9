"""Reads of what readers drew and of the pictures they kept."""

from uuid import UUID

from django.db.models import QuerySet

from accounts.models import User
from diagnosis.models import Annotation, Study, StudyImage, StudyKeyImage
from diagnosis.selectors.lookup import get_or_404


def annotations_for(*, user: User, study: Study) -> QuerySet[Annotation]:
    """Return what ``user`` drew on the study's images; nobody else's."""
    own = Annotation.objects.for_user(user).filter(author=user)
    return own.filter(image__study=study).order_by("created_at", "id")


def annotation_get(*, user: User, image: StudyImage, pk: UUID) -> Annotation:
    """Return one annotation of ``user`` on the image.

    Raises:
        Http404: there is none, or it is another person's.
    """
    return get_or_404(Annotation.objects.for_user(user).filter(author=user, image=image), pk)


def annotation_own(*, user: User, pk: UUID) -> Annotation:
    """Return one annotation of ``user`` with its image.

    Raises:
        Http404: there is none, or it is another person's.
    """
    own = Annotation.objects.for_user(user).filter(author=user).select_related("image__study")
    return get_or_404(own.defer("image__study__search"), pk)


def key_images_for(*, user: User, study: Study) -> QuerySet[StudyKeyImage]:
    """Return the pictures that were kept of the study's images, oldest first, with their image."""
    kept = StudyKeyImage.objects.for_user(user).filter(image__study=study)
    return kept.select_related("image", "author").order_by("created_at", "id")


def key_image_get(*, user: User, pk: UUID) -> StudyKeyImage:
    """Return one kept picture with its image and study."""
    kept = StudyKeyImage.objects.for_user(user).select_related("image__study", "author")
    return get_or_404(kept.defer("image__study__search"), pk)
