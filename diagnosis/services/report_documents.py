"""From a report version to the document that is printed."""

import io
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from PIL import Image

from accounts.models import Clinic, Role
from diagnosis.documents.contracts import (
    AiResult,
    Certainty,
    ClinicBlock,
    DocumentStatus,
    EarlyAnswer,
    PatientBlock,
    Picture,
    PictureBox,
    ReportDocument,
    ReportText,
    Signature,
    StudyBlock,
)
from diagnosis.models import (
    FindingReview,
    PreliminaryRead,
    Report,
    ReportVersion,
    Study,
    StudyImage,
    StudyKeyImage,
)
from diagnosis.models.regions import region_label
from diagnosis.selectors.findings import ReviewedFinding, findings_of_image
from diagnosis.services.report_texts import SECTIONS, fracture_words
from diagnosis.storage import object_read


def report_document(
    *,
    version: ReportVersion,
    study: Study,
    status: DocumentStatus,
    at: datetime,
    signer_name: str = "",
    second_signer_name: str = "",
) -> ReportDocument:
    """Return the document of one version, in the clinic's language, not the reader's.

    With ``signer_name`` it carries a signature block.

    Raises:
        OSError: an image could not be read from storage.
    """
    with translation.override(study.clinic.language):
        return _document(version, study, status, at, signer_name, second_signer_name)


def _document(
    version: ReportVersion,
    study: Study,
    status: DocumentStatus,
    at: datetime,
    signer_name: str,
    second_signer_name: str,
) -> ReportDocument:
    clinic = study.clinic
    local = at.astimezone(ZoneInfo(clinic.time_zone)).replace(microsecond=0)
    previous = version.number - 1 or None
    result: dict[str, Any] = study.result or {}
    return ReportDocument(
        clinic=ClinicBlock(name=clinic.name, address_lines=tuple(clinic.address.splitlines())),
        patient=PatientBlock(
            family_name=study.patient.family_name,
            given_name=study.patient.given_name,
            record_number=study.patient.record_number,
            birth_date=study.patient.birth_date,
            sex=study.patient.get_sex_display(),
        ),
        study=StudyBlock(
            performed_on=study.created_at.astimezone(ZoneInfo(clinic.time_zone)),
            clinical_question=study.clinical_question,
            body_part=study.get_body_part_display() if study.body_part else "",
            accession=study.accession_number,
        ),
        text=ReportText(**{name: getattr(version, name) for name in SECTIONS}),
        created_at=local,
        status=status,
        version=version.number,
        previous_version=previous,
        amendment_reason=version.reason,
        pictures=_pictures(study),
        ai_result=_ai_result(result),
        early_answers=_early_answers(study),
        signature=Signature(
            signer_name=signer_name,
            role=str(Role.DOCTOR.label),
            signed_at=local,
            second_signer_name=second_signer_name,
        )
        if signer_name
        else None,
        intended_use=intended_use(clinic),
        disclaimer=_(
            "The AI result aids and does not replace a clinician. The text above was edited and is "
            "answered for by the person who signs."
        ),
        language=clinic.language,
    )


def verification_url(sha256: str) -> str:
    """Return the public address that says whether a printed report is genuine."""
    return settings.BASE_URL.rstrip("/") + reverse("diagnosis:report-verify", args=[sha256])


def intended_use(clinic: Clinic) -> str:
    """Return the line in the foot of everything printed; empty where clinical use is attested."""
    if clinic.intended_use == "cleared":
        return ""
    return _("Research use only. Not a medical device.")


def _early_answers(study: Study) -> tuple[EarlyAnswer, ...]:
    """Return the preliminary answers, oldest first: whoever acted on one reads that it was one."""
    zone = ZoneInfo(study.clinic.time_zone)
    reads = PreliminaryRead.objects.filter(study=study).select_related("author")
    return tuple(
        EarlyAnswer(
            given_at=read.created_at.astimezone(zone).replace(microsecond=0),
            author_name=read.author.display_name,
            answer=read.get_answer_display(),
            note=read.note,
        )
        for read in reads.order_by("created_at", "id")
    )


def _pictures(study: Study) -> tuple[Picture, ...]:
    """Return the images with the places that no doctor has rejected, then the key images."""
    kept = StudyKeyImage.objects.filter(image__study=study).order_by("created_at", "id")
    return (
        *(_picture(image) for image in study.images.all()),
        *(_key_picture(key_image) for key_image in kept),
    )


def _key_picture(key_image: StudyKeyImage) -> Picture:
    """Return a picture that a reader kept, as it was drawn over."""
    caption = _("Key image")
    if key_image.caption:
        caption = f"{caption}: {key_image.caption}"
    return Picture(content=object_read(key_image.object_key), caption=caption)


def _picture(image: StudyImage) -> Picture:
    """Return the web-size rendition with the boxes scaled to it."""
    content = object_read(image.rendition_keys[0])
    with Image.open(io.BytesIO(content)) as rendition:
        scale = rendition.width / image.width
    boxes = tuple(
        _box(found, scale)
        for found in findings_of_image(image)
        if found.state != FindingReview.Decision.REJECTED
    )
    caption = image.view_position
    if image.capture == StudyImage.Capture.FILM_PHOTO:
        caption = " · ".join(filter(None, [caption, _("photograph of a film, straightened")]))
    return Picture(content=content, boxes=boxes, caption=caption)


def _box(found: ReviewedFinding, scale: float) -> PictureBox:
    x, y, width, height = (side * scale for side in found.box)
    return PictureBox(
        x=x,
        y=y,
        width=width,
        height=height,
        certainty=Certainty(found.certainty),
        probability=None if found.is_confirmed else found.probability,
        label=fracture_words(found),
    )


def _ai_result(result: dict[str, Any]) -> AiResult | None:
    model = result.get("model")
    if not result.get("verdict") or not model:
        return None
    thresholds = result.get("thresholds") or {}
    return AiResult(
        verdict=result["verdict"],
        probability=result.get("probability"),
        threshold_suspicion=thresholds.get("suspicion"),
        threshold_definite=thresholds.get("definite"),
        model_name=model["name"],
        model_version=model["version"],
        model_sha256=model["sha256"],
        region=region_label(result.get("region") or ""),
        note=" ".join(filter(None, [unassessed_note(result), photo_note(result)])),
    )


def unassessed_note(result: dict[str, Any]) -> str:
    """Return a sentence when the verdict does not speak for every image, else ``""``."""
    images = result.get("images", [])
    silent = sum(image["probability"] is None for image in images)
    if not silent or silent == len(images):
        return ""
    return _("%(silent)d of %(all)d images have no AI result or could not be assessed.") % {
        "silent": silent,
        "all": len(images),
    }


def photo_note(result: dict[str, Any]) -> str:
    """Return a sentence when an image is a photograph of a film, else ``""``."""
    images = result.get("images", [])
    photos = sum("photo_of_film" in image["warnings"] for image in images)
    if not photos:
        return ""
    return ngettext(
        "%(photos)d of %(all)d images is a photo of a film: the result is of lower trust.",
        "%(photos)d of %(all)d images are photos of a film: the result is of lower trust.",
        photos,
    ) % {"photos": photos, "all": len(images)}


def report_with_study(report: Report) -> Study:
    """Return the report's study with what a document needs, in a fixed number of queries."""
    return (
        Study.objects.select_related("patient", "clinic")
        .prefetch_related("images__analyses__findings", "images__finding_reviews__finding")
        .get(pk=report.study_id)
    )
