"""What erasing does to the rows of one patient: what names the person goes, what counts stays.

Deleted are rows that say something in a person's own words or lead to the person, and that no
figure needs. All other rows stay, emptied: days, verdicts, regions, decisions and the age as a
band, so that dashboards and validations show tomorrow what they show today.
"""

import secrets
from collections.abc import Iterable, Iterator
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast, Now

from accounts.models import ApiToken, Clinic
from diagnosis import jobs
from diagnosis.models import (
    Alert,
    AlertRecipient,
    Analysis,
    Annotation,
    Delivery,
    Discrepancy,
    DraftCopy,
    FindingReview,
    IdempotencyRecord,
    Order,
    Patient,
    PatientExport,
    PreliminaryRead,
    PriorFetch,
    ReportVersion,
    ReportWithdrawal,
    ResumableUpload,
    RetentionHold,
    SecondReading,
    ShadowRun,
    ShareComment,
    Study,
    StudyClaim,
    StudyImage,
    StudyKeyImage,
    StudyShare,
)
from diagnosis.selectors.validation_cases import age_band
from diagnosis.services.search_index import merged_descendants

# Where a row must not be empty.
ERASED: Final = "-"
_TEXTS: Final = ("technique", "comparison", "findings", "impression", "recommendation", "reason")


def rows_empty(patient: Patient) -> tuple[list[str], int]:
    """Empty and delete all that the clinic's rows say of a patient; call it in a transaction.

    Returns the keys of the objects that no row names any more, and the number of studies.
    Records that were merged into the patient are the same person and go as well.
    """
    people = [patient.pk, *(row.pk for row in merged_descendants(patient))]
    list(Patient.objects.select_for_update().filter(pk__in=people).order_by("pk").values_list("pk"))
    studies = list(
        Study.objects.select_for_update()
        .filter(patient__in=people)
        .order_by("pk")
        .defer("search", "result")
    )
    ids = [study.pk for study in studies]
    images = StudyImage.objects.filter(study__in=ids)
    keys = list(_keys(ids, people))
    _end_jobs(ids)
    _delete(ids, people)
    _empty_texts(ids)
    for image in images.order_by("pk"):
        # Unique in the clinic, and the same picture may come again for another reason.
        StudyImage.objects.filter(pk=image.pk).update(sha256=secrets.token_hex(32), **_NO_IMAGE)
    Analysis.objects.filter(image__study__in=ids).update(heatmap_key="")
    _empty_studies(studies)
    ApiToken.objects.filter(patient_id__in=people, revoked_at__isnull=True).update(revoked_at=Now())
    for pk in people:
        Patient.objects.filter(pk=pk).update(record_number=f"erased-{pk.hex}", **_NOBODY)
    return keys, len(studies)


_NOBODY: Final[dict[str, Any]] = {
    "given_name": "",
    "family_name": "",
    "birth_date": None,
    "sex": Patient.Sex.UNKNOWN,
    "told_at": None,
    "search": None,
    "erased_at": Now(),
}
_NO_IMAGE: Final[dict[str, Any]] = {
    "original_key": "",
    "photo_key": "",
    "capture_details": {},
    "served_key": "",
    "served_sha256": "",
    "rendition_keys": [],
    "thumbnail_key": "",
    "sop_instance_uid": "",
    "series_instance_uid": "",
    "acquired_at": None,
    "dicom_header": {},
    "erased_at": Now(),
}


def _keys(studies: list[UUID], people: list[UUID]) -> Iterator[str]:
    """Yield every object that is named now."""
    of_images = StudyImage.objects.filter(study__in=studies)
    columns = ("original_key", "photo_key", "served_key", "thumbnail_key", "rendition_keys")
    for *single, renditions in of_images.values_list(*columns):
        yield from (*single, *renditions)
    parts = ResumableUpload.objects.filter(study__in=studies)
    for of_upload in parts.values_list("part_keys", flat=True):
        yield from of_upload
    named: Iterable[tuple[QuerySet[Any], str]] = (
        (Analysis.objects.filter(image__study__in=studies), "heatmap_key"),
        (StudyKeyImage.objects.filter(image__study__in=studies), "object_key"),
        (ReportVersion.objects.filter(report__study__in=studies), "pdf_key"),
        (PatientExport.objects.filter(patient__in=people), "object_key"),
    )
    for rows, column in named:
        yield from rows.exclude(**{column: ""}).values_list(column, flat=True)


def _end_jobs(studies: list[UUID]) -> None:
    """Take everything that still waits or runs from its worker."""
    for model, path in (
        (Analysis, "image__study__in"),
        (ShadowRun, "image__study__in"),
        (Delivery, "study__in"),
    ):
        waiting = model.objects.filter(status__in=model.OPEN, **{path: studies})
        for pk in waiting.values_list("pk", flat=True):
            jobs.job_cancel(model, pk)


def _delete(studies: list[UUID], people: list[UUID]) -> None:
    ShareComment.objects.filter(share__study__in=studies).delete()
    StudyShare.objects.filter(study__in=studies).delete()
    ResumableUpload.objects.filter(study__in=studies).delete()
    PriorFetch.objects.filter(Q(study__in=studies) | Q(prior__in=studies)).delete()
    Order.objects.filter(study__in=studies).delete()
    StudyClaim.objects.filter(study__in=studies).delete()
    Annotation.objects.filter(image__study__in=studies).delete()
    StudyKeyImage.objects.filter(image__study__in=studies).delete()
    DraftCopy.objects.filter(version__report__study__in=studies).delete()
    PatientExport.objects.filter(patient__in=people).delete()
    RetentionHold.objects.filter(patient__in=people).update(reason=ERASED)
    # Answers that are kept for a day repeat what a client sent; each names an id.
    named = Q()
    for pk in (*people, *studies):
        named |= Q(said__contains=str(pk))
    IdempotencyRecord.objects.annotate(said=Cast("body", TextField())).filter(named).delete()


def _empty_texts(studies: list[UUID]) -> None:
    versions = ReportVersion.objects.filter(report__study__in=studies)
    ReportWithdrawal.objects.filter(version__in=versions).update(reason="")
    SecondReading.objects.filter(version__in=versions).update(remark="")
    versions.update(
        **dict.fromkeys(_TEXTS, ""), pdf_key="", pdf_sha256="", content_sha256="", erased_at=Now()
    )
    PreliminaryRead.objects.filter(study__in=studies).update(note="")
    FindingReview.objects.filter(image__study__in=studies).exclude(reject_text="").update(
        reject_text=""
    )
    found = Discrepancy.objects.filter(study__in=studies)
    found.update(remark="")
    found.exclude(resolution="").update(resolution=ERASED)
    Delivery.objects.filter(study__in=studies).update(sent=[])
    Alert.objects.filter(study__in=studies).update(next_at=None)
    AlertRecipient.objects.filter(alert__study__in=studies).update(mail_due_at=None)


def _empty_studies(studies: list[Study]) -> None:
    if not studies:
        return
    zone = ZoneInfo(Clinic.objects.get(pk=studies[0].clinic_id).time_zone)
    born = dict(
        Patient.objects.filter(pk__in={study.patient_id for study in studies}).values_list(
            "pk", "birth_date"
        )
    )
    for study in studies:
        day = study.created_at.astimezone(zone).date()
        Study.objects.filter(pk=study.pk).update(
            erased_age=age_band(born[study.patient_id], day),
            clinical_question="",
            accession_number="",
            study_instance_uid="",
            study_date=None,
            study_time=None,
            search=None,
            assigned_to=None,
            new_image_after_report=False,
            is_late=False,
            erased_at=Now(),
        )
