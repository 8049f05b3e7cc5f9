"""Reads that only pages and files need."""

from django.db.models import QuerySet

from accounts.models import User
from diagnosis.models import Analysis, Patient, Study, StudyImage
from diagnosis.selectors.studies import images_of_rows


def patient_studies(*, user: User, patient: Patient) -> QuerySet[Study]:
    """Return all studies of a patient with images and report, newest first."""
    return (
        Study.objects.for_user(user)
        .filter(patient=patient)
        .select_related("report")
        .prefetch_related(images_of_rows(user))
        .defer("search")
        .order_by("-created_at", "id")
    )


def image_heatmap_key(*, user: User, image: StudyImage) -> str:
    """Return the storage key of the newest result's heatmap, ``""`` when it has none."""
    newest = (
        Analysis.objects.for_user(user)
        .filter(image=image, status=Analysis.Status.SUCCEEDED)
        .order_by("-created_at", "id")
        .values_list("heatmap_key", flat=True)
        .first()
    )
    return newest or ""


def queue_position(*, user: User, study: Study) -> int:
    """Return how many of the clinic's jobs are due before this study's first one, 0 when none."""
    waiting = Analysis.objects.for_user(user).filter(status=Analysis.Status.QUEUED)
    first = waiting.filter(image__study=study).order_by("priority", "due_at").first()
    if first is None:
        return 0
    sooner = waiting.filter(priority__lt=first.priority) | waiting.filter(
        priority=first.priority, due_at__lt=first.due_at
    )
    return sooner.count()
