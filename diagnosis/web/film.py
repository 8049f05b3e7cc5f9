"""Photographing a film on a light box: the page with the camera, and where the corners are."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.policy import Action, require
from diagnosis.ingest.messages import REFUSALS
from diagnosis.selectors import study_get
from diagnosis.services.reading import study_open
from diagnosis.services.uploads import film_corners
from diagnosis.web.doors import MemberRequest, member_required
from diagnosis.web.live import first_look_config
from fracture_site.common.errors import DomainError

# What the page says while a photo is taken; refused photos are told in the words of the refusal.
WORDS: Final[Mapping[str, Promise]] = {
    "starting": _("Starting the camera. Allow this site to use it."),
    "frame": _("Let the film fill the frame."),
    "good": _("Good. Hold still and take the photo."),
    "searching": _("Looking for the corners of the film."),
    "found": _("Are the four marks on the corners of the film? Drag them if not."),
    "mark": _("Drag the four marks onto the corners of the film."),
    "insecure": _(
        "The camera can only be used over https. Choose a photo that was taken with the camera."
    ),
    "denied": _("The camera is not allowed here. Allow it in the browser, or choose a photo."),
    "none": _("No camera was found. Choose a photo instead."),
    "busy": _("Another program uses the camera. Close it, or choose a photo."),
    "failed": _("The camera did not start. Load the page again, or choose a photo."),
    "unreadable": _("This file is no photo that can be opened. Choose a JPEG or PNG."),
}


@member_required
@require_safe
def film_page(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Camera, corners, upload."""
    study = study_get(user=request.user, pk=pk)
    require(user=request.user, action=Action.IMAGE_UPLOAD, clinic_id=study.clinic_id)
    study_open(actor=request.user, study=study)  # the page names the patient
    context = {
        "section": "worklist",
        "study": study,
        "patient_id": str(study.patient_id),
        "first_look": first_look_config(),
        "film_words": {code: str(text) for code, text in {**WORDS, **REFUSALS}.items()},
    }
    return render(request, "diagnosis/film.html", context)


@member_required
@require_POST
def film_corners_action(request: MemberRequest, pk: UUID) -> JsonResponse:
    """Say where the film is in a small copy of the photo; nothing is kept."""
    study = study_get(user=request.user, pk=pk)
    upload = request.FILES.get("file")
    if upload is None:
        return JsonResponse(
            {"code": "no_file", "detail": str(_("No file arrived. Choose it again."))}, status=400
        )
    try:
        found = film_corners(actor=request.user, study=study, data=upload.read())
    except DomainError as error:
        body = {"code": error.code, "detail": str(error.detail or error.code)}
        return JsonResponse(body, status=error.http_status)
    return JsonResponse({"corners": found.corners, "problems": list(found.problems)})
