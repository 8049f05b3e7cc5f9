"""The list of findings beside the image: decide, mark, describe, without a new page."""

import json
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from diagnosis.models import FindingReview, Study, StudyImage
from diagnosis.selectors import study_get, study_images
from diagnosis.selectors.findings import (
    ReviewedFinding,
    findings_of_image,
    reviewed_finding_get,
    study_image_get,
)
from diagnosis.services.finding_reviews import (
    finding_accept,
    finding_add,
    finding_change,
    finding_reject,
    finding_undo,
)
from diagnosis.services.report_basis import report_basis
from diagnosis.web.doors import MemberRequest, member_required
from diagnosis.web.finding_forms import BoxForm, FindingForm, RejectForm
from diagnosis.web.finding_words import finding_label, suggestion
from fracture_site.common.errors import DomainError


@member_required
@require_safe
def findings_panel(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """The list as it stands."""
    return _panel(request, study_get(user=request.user, pk=pk))


@member_required
@require_POST
def finding_add_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Store the box that was drawn on the image."""
    study = study_get(user=request.user, pk=pk)
    image = study_image_get(user=request.user, study=study, pk=request.POST.get("image", ""))
    return _decided(
        request,
        study,
        lambda: finding_add(actor=request.user, image=image, box=BoxForm(request.POST).box()),
    )


@member_required
@require_POST
def finding_action(request: MemberRequest, pk: UUID, what: str) -> HttpResponseBase:
    """Accept, reject, change or undo; the list comes back as it is then."""
    decide = _DECISIONS.get(what)
    if decide is None:
        raise Http404
    found = reviewed_finding_get(user=request.user, pk=pk)
    study = study_get(user=request.user, pk=found.image.study_id)
    return _decided(request, study, lambda: decide(request, found))


def findings_context(study: Study, images: Sequence[StudyImage]) -> dict[str, Any]:
    """Return the list for the template, and as the viewer reads it; images are prefetched."""
    rows = (
        []
        if study.ai_hidden
        else [
            _row(found, image_number=place, number=number)
            for place, image in enumerate(images, start=1)
            for number, found in enumerate(findings_of_image(image), start=1)
        ]
    )
    told: dict[str, list[dict[str, Any]]] = {str(image.pk): [] for image in images}
    for row in rows:
        told[row["image_id"]].append(row["told"])
    return {
        "study": study,
        "findings": rows,
        "findings_told": json.dumps(told),
        "decisions": sum(len(image.finding_reviews.all()) for image in images),
    }


def _decided(
    request: MemberRequest, study: Study, decide: Callable[[], FindingReview]
) -> HttpResponseBase:
    """Decide, and show the list; a page that had read the study has then read this too."""
    seen = request.POST.get("basis", "")
    was_current = seen == report_basis(study) if seen else False
    error = None
    try:
        decide()
    except DomainError as refused:
        error = refused
    if not request.headers.get("HX-Request"):
        if error:
            messages.error(request, str(error.detail or error.code))
        return redirect("diagnosis:study-detail", study.pk)
    return _panel(request, study, error=error, was_current=was_current)


def _panel(
    request: MemberRequest,
    study: Study,
    *,
    error: DomainError | None = None,
    was_current: bool = False,
) -> HttpResponseBase:
    images = list(study_images(user=request.user, study=study))
    context = findings_context(study, images) | {
        "several_images": len(images) > 1,
        "findings_error": error,
        "new_basis": report_basis(study) if was_current else "",
        "findings_open": findings_open(study),
    }
    return render(request, "diagnosis/_findings_panel.html", context, status=422 if error else 200)


def findings_open(study: Study) -> bool:
    """Return whether findings can be decided: no signed report, or an amendment in work."""
    report = getattr(study, "report", None)
    return report is None or report.versions.filter(status="draft").exists()


def _row(found: ReviewedFinding, *, image_number: int, number: int) -> dict[str, Any]:
    x, y, width, height = found.box
    label = finding_label(found)
    return {
        "id": str(found.id),
        "image_id": str(found.image.pk),
        "image_number": image_number,
        "number": number,
        "found": found,
        "label": label,
        "suggestion": suggestion(found),
        "form": FindingForm(found=found),
        "reject_form": RejectForm(),
        "told": {
            "id": str(found.id),
            "source": found.source,
            "state": found.state,
            "box": {"x": x, "y": y, "width": width, "height": height},
            "probability": found.probability,
            "certainty": found.certainty,
            "label": label,
        },
    }


def _revision(request: MemberRequest) -> int:
    given = request.POST.get("revision", "")
    return int(given) if given.isdecimal() and len(given) < 10 else -1  # -1 is never current


def _accept(request: MemberRequest, found: ReviewedFinding) -> FindingReview:
    return finding_accept(actor=request.user, found=found, revision=_revision(request))


def _reject(request: MemberRequest, found: ReviewedFinding) -> FindingReview:
    return finding_reject(
        actor=request.user,
        found=found,
        revision=_revision(request),
        reason=request.POST.get("reason", ""),
        text=request.POST.get("text", ""),
    )


def _change(request: MemberRequest, found: ReviewedFinding) -> FindingReview:
    form = FindingForm(request.POST, found=found)
    box = BoxForm(request.POST).box() if "x" in request.POST else None
    return finding_change(
        actor=request.user, found=found, revision=_revision(request), box=box, **form.given()
    )


def _undo(request: MemberRequest, found: ReviewedFinding) -> FindingReview:
    return finding_undo(actor=request.user, found=found, revision=_revision(request))


_DECISIONS = {"accept": _accept, "reject": _reject, "change": _change, "undo": _undo}
