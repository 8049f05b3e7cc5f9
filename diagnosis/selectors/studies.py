"""Reads of studies, their images and the analyses of these."""

from typing import Any
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet
from django.db.models.functions import Coalesce, TruncDate

from accounts.models import User
from diagnosis.models import Analysis, Finding, Study, StudyImage
from diagnosis.models.search import search_matches
from diagnosis.selectors.findings import reviews_of_images
from diagnosis.selectors.first_reads import ai_is_hidden, hide_ai
from diagnosis.selectors.lookup import get_or_404


def study_list(*, user: User, q: str = "") -> QuerySet[Study]:
    """Return the clinic's studies with their patient, newest first."""
    studies = Study.objects.for_user(user).select_related("patient")
    studies = studies.defer("search", "patient__search").order_by("-created_at", "id")
    return studies.filter(pk__in=search_matches(Study, q)) if q.strip() else studies


def study_get(*, user: User, pk: UUID | str) -> Study:
    """Return one study with its patient, who asked for it, and its report if there is one."""
    studies = Study.objects.for_user(user).select_related(
        "patient", "created_by", "report", "fetched_from"
    )
    study = get_or_404(studies.defer("search", "patient__search"), pk)
    return hide_ai(user=user, studies=[study])[0]


def image_get(*, user: User, pk: UUID | str) -> StudyImage:
    """Return one image with its study and patient."""
    images = StudyImage.objects.for_user(user).select_related("study__patient")
    return get_or_404(images.defer("study__search", "study__patient__search"), pk)


def analysis_get(*, user: User, pk: UUID | str) -> Analysis:
    """Return one analysis with its image, model version and findings."""
    analyses = Analysis.objects.for_user(user).select_related("image__study", "model_version")
    return get_or_404(analyses.prefetch_related(_findings(user)).defer("image__study__search"), pk)


def study_images(*, user: User, study: Study) -> QuerySet[StudyImage]:
    """Return the study's images in order, with analyses, findings and their reviews fetched.

    Four queries whatever the number of images; read ``image.newest_analysis``
    (may still run) and ``image.newest_result`` (has succeeded).
    """
    analyses = (
        Analysis.objects.for_user(user)
        .select_related("model_version")
        .prefetch_related(_findings(user))
        .order_by("-created_at", "id")
    )
    if ai_is_hidden(user=user, study=study):
        analyses = analyses.exclude(status=Analysis.Status.SUCCEEDED)
    images = StudyImage.objects.for_user(user).filter(study=study)
    return images.prefetch_related(
        Prefetch("analyses", analyses), reviews_of_images(user)
    ).order_by("position", "created_at", "id")


def earlier_studies(*, user: User, study: Study) -> QuerySet[Study]:
    """Return what the patient had before this study, newest first, with the images.

    What was fetched from an archive is earlier by its own date, whenever it was fetched.
    """
    earlier = Q(created_at__lt=study.created_at) | Q(fetched_from__isnull=False)
    if study.fetched_from_id is not None:
        earlier = Q(examined__lt=study.examined_on)
    return (
        Study.objects.for_user(user)
        .annotate(examined=Coalesce("study_date", TruncDate("created_at")))
        .filter(earlier, patient_id=study.patient_id)
        .exclude(pk=study.pk)
        .select_related("report", "fetched_from")
        .prefetch_related(images_of_rows(user))
        .defer("search")
        .order_by("-examined", "-created_at", "id")
    )


def images_of_rows(user: User) -> "Prefetch[Any]":
    """Return the prefetch with which a list of studies shows thumbnails."""
    images = StudyImage.objects.for_user(user).order_by("position", "created_at", "id")
    return Prefetch("images", images)


def _findings(user: User) -> "Prefetch[Any]":
    return Prefetch("findings", Finding.objects.for_user(user).order_by("-probability", "id"))
