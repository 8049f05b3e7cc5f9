"""From a report version to the document that is printed."""

import io
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from PIL import Image

from accounts.models import Clinic, Role
from diagnosis.documents.contracts import (
    AiResult,
    Certainty,
    ClinicBlock,
    DocumentStatus,
    PatientBlock,
    Picture,
    PictureBox,
    ReportDocument,
    ReportText,
    Signature,
    StudyBlock,
)
from diagnosis.models import Report, ReportVersion, Study, StudyImage
from diagnosis.models.regions import region_label
from diagnosis.services.report_texts import SECTIONS
from diagnosis.storage import object_read


def report_document(
    *,
    version: ReportVersion,
    study: Study,
    status: DocumentStatus,
    at: datetime,
    signer_name: str = "",
) -> ReportDocument:
    """Return the document of one version; with ``signer_name`` it carries a signature block.

    Raises:
        OSError: an image could not be read from storage.
    """
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
        pictures=_pictures(study, result),
        ai_result=_ai_result(result),
        signature=Signature(signer_name=signer_name, role=str(Role.DOCTOR.label), signed_at=local)
        if signer_name
        else None,
        intended_use=_intended_use(clinic),
        disclaimer=_(
            "The AI result aids and does not replace a clinician. The text above was edited and is "
            "answered for by the person who signs."
        ),
    )


def verification_url(sha256: str) -> str:
    """Return the public address that says whether a printed report is genuine."""
    return settings.BASE_URL.rstrip("/") + reverse("diagnosis:report-verify", args=[sha256])


def _intended_use(clinic: Clinic) -> str:
    if clinic.intended_use == "cleared":
        return ""
    return _("Research use, not a medical device")


def _pictures(study: Study, result: dict[str, Any]) -> tuple[Picture, ...]:
    by_image = {entry["id"]: entry for entry in result.get("images", [])}
    return tuple(_picture(image, by_image.get(str(image.pk), {})) for image in study.images.all())


def _picture(image: StudyImage, entry: dict[str, Any]) -> Picture:
    """Return the web-size rendition with the boxes scaled to it."""
    content = object_read(image.rendition_keys[0])
    with Image.open(io.BytesIO(content)) as rendition:
        scale = rendition.width / image.width
    boxes = tuple(
        PictureBox(
            x=finding["box"][0] * scale,
            y=finding["box"][1] * scale,
            width=finding["box"][2] * scale,
            height=finding["box"][3] * scale,
            certainty=Certainty(finding["certainty"]),
            probability=finding["probability"],
        )
        for finding in entry.get("findings", [])
    )
    return Picture(content=content, boxes=boxes, caption=image.view_position)


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
        note=unassessed_note(result),
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


def report_with_study(report: Report) -> Study:
    """Return the report's study with what a document needs, in a fixed number of queries."""
    return (
        Study.objects.select_related("patient", "clinic")
        .prefetch_related("images")
        .get(pk=report.study_id)
    )
