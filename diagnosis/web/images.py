"""The bytes of images, each checked and audited, and moving a misplaced one."""

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from diagnosis.models import StudyImage
from diagnosis.selectors import image_get, study_get
from diagnosis.selectors.pages import image_heatmap_key, study_by_accession
from diagnosis.services.reading import image_open
from diagnosis.services.studies import image_move
from diagnosis.storage import object_response
from diagnosis.web.doors import MemberRequest, member_required, tell_and_go
from fracture_site.common.errors import ConflictError, DomainError


@member_required
@require_safe
def image_rendition(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """A web-size JPEG of one frame."""
    image = _opened(request, pk, "rendition")
    frame = request.GET.get("frame", "0")
    if not frame.isdecimal() or len(frame) > 6 or int(frame) >= len(image.rendition_keys):
        raise Http404
    return object_response(key=image.rendition_keys[int(frame)], content_type="image/jpeg")


@member_required
@require_safe
def image_thumbnail(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """A small JPEG for lists."""
    image = _opened(request, pk, "thumbnail")
    return object_response(key=image.thumbnail_key, content_type="image/jpeg")


@member_required
@require_safe
def image_photo(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """The photograph that a straightened film was cut out of."""
    image = _opened(request, pk, "photo")
    if not image.photo_key:
        raise Http404
    return object_response(key=image.photo_key, content_type="image/jpeg")


@member_required
@require_safe
def image_heatmap(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """The newest result's heatmap, a small grey PNG over the whole image."""
    try:
        image = _opened(request, pk, "heatmap")
    except ConflictError as error:  # the reader has to answer first
        raise Http404 from error
    try:
        run = UUID(request.GET["run"]) if "run" in request.GET else None
    except ValueError as error:
        raise Http404 from error
    key = image_heatmap_key(user=request.user, image=image, run=run)
    if not key:
        raise Http404
    return object_response(key=key, content_type="image/png")


@member_required
@require_safe
def image_file(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """The sanitised copy at full depth: as a download, or for the viewer with ``?show``."""
    if "show" in request.GET:
        image = _opened(request, pk, "full")
        return object_response(key=image.served_key, content_type=image.served_content_type)
    image = _opened(request, pk, "file")
    suffix = "dcm" if image.served_content_type == "application/dicom" else "png"
    return object_response(
        key=image.served_key,
        content_type=image.served_content_type,
        download_name=f"{image.pk}.{suffix}",
    )


@member_required
@require_POST
def image_move_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Move an image to the study it belongs to."""
    image = image_get(user=request.user, pk=pk)
    number = request.POST.get("accession_number", "").strip()[:64]
    study = (
        study_by_accession(user=request.user, accession_number=number)
        if number
        else study_get(user=request.user, pk=request.POST.get("study", ""))
    )
    if study is None:
        messages.error(request, _("No study of this clinic has this accession number."))
        return redirect("diagnosis:study-detail", image.study_id)
    try:
        image_move(actor=request.user, image=image, study=study)
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:study-detail", image.study_id)
    messages.success(request, _("The image was moved."))
    return redirect("diagnosis:study-detail", study.pk)


def _opened(request: MemberRequest, pk: UUID, what: str) -> StudyImage:
    image = image_get(user=request.user, pk=pk)
    image_open(actor=request.user, image=image, what=what)
    return image
