"""What the study page shows, gathered in a fixed number of queries."""

from typing import Any

from django.urls import reverse

from accounts.policy import Action, allowed_actions
from diagnosis.models import Analysis, Study, StudyImage
from diagnosis.models.regions import region_label
from diagnosis.selectors import earlier_studies, study_images
from diagnosis.selectors.deliveries import study_deliveries
from diagnosis.selectors.discrepancies import discrepancies_for, preliminary_reads
from diagnosis.selectors.first_reads import first_read_of, hide_ai
from diagnosis.selectors.pages import patient_studies, queue_position
from diagnosis.selectors.recalls import study_is_recalled
from diagnosis.services.report_documents import unassessed_note
from diagnosis.web.delivery_words import delivery_row
from diagnosis.web.doors import MemberRequest
from diagnosis.web.findings import findings_context
from diagnosis.web.forms import ImageMoveForm, RecordNumberForm
from diagnosis.web.priors import priors_context
from diagnosis.web.report_context import report_context
from diagnosis.web.viewer import viewer_config, viewer_image
from diagnosis.web.words import error_text, reason_texts, warning_texts

EARLIER_SHOWN = 8


def study_context(request: MemberRequest, study: Study) -> dict[str, Any]:
    """Return the template's context; ``?image=`` chooses the picture."""
    user = request.user
    rows = list(study_images(user=user, study=study))
    images = [_image_view(image, ai_hidden=study.ai_hidden) for image in rows]
    chosen = request.GET.get("image", "")
    selected = next((view for view in images if view["id"] == chosen), _most_urgent(images))
    return {
        "section": "worklist",
        "study": study,
        "patient_id": str(study.patient_id),
        "images": images,
        "selected": selected,
        "views_url": reverse("diagnosis:study-views", args=[study.pk]),
        "viewer_config": viewer_config(
            user=user, study=study, images=rows, ai_hidden=study.ai_hidden
        ),
        "result": study.result or {},
        "recalled": study_is_recalled(study),
        "region": region_label(study.region) if study.region else "",
        "deliveries": [delivery_row(row) for row in study_deliveries(user=user, study=study)],
        "earlier": hide_ai(
            user=user, studies=earlier_studies(user=user, study=study)[:EARLIER_SHOWN]
        ),
        "ahead": queue_position(user=user, study=study),
        "busy": any(view["newest"] and view["newest"].is_open for view in images),
        "unassessed": unassessed_note(study.result or {}),
        "move_form": RecordNumberForm(),
        "move_image_form": ImageMoveForm(studies=_other_studies(request, study)),
        "several_images": len(rows) > 1,
        **findings_context(study, rows),
        **({"findings_open": False} if study.ai_hidden else report_context(request, study)),
        **_other_answers(request, study),
        **priors_context(request, study),
        "first_read": first_read_of(user=user, study=study),
    }


def _other_answers(request: MemberRequest, study: Study) -> dict[str, Any]:
    """Return preliminary answers and what differs; nothing while the reader has to answer."""
    if study.ai_hidden:
        return {}
    can = allowed_actions(user=request.user, clinic_id=study.clinic_id)
    return {
        "preliminary": preliminary_reads(user=request.user, study=study),
        "discrepancies": discrepancies_for(user=request.user, study=study),
        "may_preliminary": Action.FINDING_REVIEW in can and study.status != Study.Status.REPORTED,
    }


def _other_studies(request: MemberRequest, study: Study) -> list[Study]:
    studies = patient_studies(user=request.user, patient=study.patient)
    return list(studies.exclude(pk=study.pk).prefetch_related(None)[:EARLIER_SHOWN])


def _most_urgent(images: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the image with the highest probability, the first one when none has any."""
    return max(images, key=lambda view: view["probability"] or 0.0, default=None)


def _image_view(image: StudyImage, *, ai_hidden: bool) -> dict[str, Any]:
    newest, result = image.newest_analysis, image.newest_result
    return {
        **viewer_image(image, ai_hidden=ai_hidden),
        "image": image,
        "newest": newest,
        "analysis": result,
        "probability": result.probability if result else None,
        "region": region_label(result.region) if result and result.region else "",
        "reasons": reason_texts(result.reasons) if result else [],
        "warnings": warning_texts({*image.warnings, *(result.warnings if result else ())}),
        "failure": error_text(newest.error_code)
        if newest and newest.status == Analysis.Status.FAILED
        else "",
    }
