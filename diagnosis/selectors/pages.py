"""Reads that only pages and files need."""

from uuid import UUID

from django.db.models import Prefetch, QuerySet

from accounts.models import User
from diagnosis.models import Analysis, Patient, Report, ReportVersion, Study, StudyImage
from diagnosis.selectors.studies import images_of_rows


def patient_studies(*, user: User, patient: Patient) -> QuerySet[Study]:
    """Return all studies of a patient with images and report, newest first."""
    versions = ReportVersion.objects.for_user(user).select_related("author", "signed_by")
    return (
        Study.objects.for_user(user)
        .filter(patient=patient)
        .select_related("patient", "report", "assigned_to", "created_by")
        .prefetch_related(images_of_rows(user), Prefetch("report__versions", versions))
        .defer("search", "patient__search")
        .order_by("-created_at", "id")
    )


def merged_patients(*, user: User, patient: Patient) -> QuerySet[Patient]:
    """Return the records that were merged into this one."""
    merged = Patient.objects.for_user(user).filter(merged_into=patient)
    return merged.defer("search").order_by("record_number")


def image_heatmap_key(*, user: User, image: StudyImage, run: UUID | None = None) -> str:
    """Return the storage key of a run's heatmap (the newest result's), ``""`` without one."""
    runs = Analysis.objects.for_user(user).filter(
        image=image, status=Analysis.Status.SUCCEEDED, **({"pk": run} if run else {})
    )
    return runs.order_by("-created_at", "id").values_list("heatmap_key", flat=True).first() or ""


def report_versions(*, user: User, report: Report) -> QuerySet[ReportVersion]:
    """Return all versions of a report with their people, newest first."""
    versions = ReportVersion.objects.for_user(user).filter(report=report)
    return versions.select_related("author", "signed_by", "withdrawal__author").order_by("-number")


def study_by_accession(*, user: User, accession_number: str) -> Study | None:
    """Return the clinic's study with this accession number."""
    return Study.objects.for_user(user).filter(accession_number=accession_number).first()


def study_is_busy(*, user: User, study: Study) -> bool:
    """Return whether an image of the study waits or is being analysed."""
    runs = Analysis.objects.for_user(user).filter(image__study=study)
    return runs.filter(status__in=Analysis.OPEN).exists()


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
