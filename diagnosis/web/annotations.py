"""What the viewer keeps for its reader: measurements, notes and key images, as JSON."""

import json
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from diagnosis.models import Annotation, StudyKeyImage
from diagnosis.selectors import image_get, study_get
from diagnosis.selectors.annotations import (
    annotation_get,
    annotations_for,
    key_image_get,
    key_images_for,
)
from diagnosis.services.annotations import annotation_delete, annotation_save
from diagnosis.services.key_images import key_image_delete, key_image_keep, key_image_open
from diagnosis.storage import object_response
from diagnosis.web.doors import MemberRequest, member_required
from fracture_site.common.errors import DomainError, RefusedInputError


class AnnotationForm(forms.Form):
    """The types of an annotation; what its values must be is the service's matter."""

    kind = forms.CharField(max_length=20)
    frame = forms.IntegerField(min_value=0)
    revision = forms.IntegerField(min_value=0)
    points = forms.JSONField()
    text = forms.CharField(required=False, max_length=2000)
    millimetres = forms.FloatField(required=False)

    def clean_points(self) -> list[list[float]]:
        """Accept a list of pairs of numbers."""
        points = self.cleaned_data["points"]
        pairs = isinstance(points, list) and all(
            isinstance(pair, list) and all(type(number) in {int, float} for number in pair)
            for pair in points
        )
        if not pairs:
            raise forms.ValidationError("points")
        result: list[list[float]] = points
        return result


@member_required
@require_GET
def study_annotations(request: MemberRequest, pk: UUID) -> JsonResponse:
    """The reader's own annotations of a study, and the study's key images."""
    study = study_get(user=request.user, pk=pk)
    rows = annotations_for(user=request.user, study=study)
    kept = key_images_for(user=request.user, study=study)
    return JsonResponse(
        {"annotations": [_annotation(row) for row in rows], "key_images": [_kept(k) for k in kept]}
    )


@member_required
@require_http_methods(["PUT", "DELETE"])
def image_annotation(request: MemberRequest, pk: UUID, annotation: UUID) -> HttpResponseBase:
    """Save or remove one annotation; ``revision`` names the one that was read."""
    image = image_get(user=request.user, pk=pk)
    try:
        if request.method == "DELETE":
            row = annotation_get(user=request.user, image=image, pk=annotation)
            revision = request.GET.get("revision", "")
            number = int(revision) if revision.isdecimal() and len(revision) < 10 else -1
            annotation_delete(actor=request.user, annotation=row, revision=number)
            return HttpResponse(status=204)
        values = _body(request)
        row = annotation_save(actor=request.user, image=image, pk=annotation, **values)
    except DomainError as error:
        return _refused(error)
    return JsonResponse(_annotation(row))


@member_required
@require_http_methods(["POST"])
def image_key_images(request: MemberRequest, pk: UUID) -> JsonResponse:
    """Keep a PNG of the viewer as a key image of the image's study."""
    image = image_get(user=request.user, pk=pk)
    upload = request.FILES.get("file")
    try:
        if upload is None:
            raise RefusedInputError("no_file", _("The picture did not arrive. Try again."))
        caption = request.POST.get("caption", "")
        kept = key_image_keep(actor=request.user, image=image, data=upload.read(), caption=caption)
    except DomainError as error:
        return _refused(error)
    return JsonResponse(_kept(kept), status=201)


@member_required
@require_http_methods(["GET", "DELETE"])
def key_image_file(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """The picture, or its removal."""
    kept = key_image_get(user=request.user, pk=pk)
    if request.method == "DELETE":
        key_image_delete(actor=request.user, key_image=kept)
        return HttpResponse(status=204)
    key_image_open(actor=request.user, key_image=kept)
    return object_response(key=kept.object_key, content_type="image/png")


def _body(request: MemberRequest) -> dict[str, Any]:
    try:
        given = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise _malformed() from error
    form = AnnotationForm(given if isinstance(given, dict) else {})
    if isinstance(given, dict):
        form.data = {**given, "points": json.dumps(given.get("points"))}
    if not form.is_valid():
        raise _malformed()
    return dict(form.cleaned_data)


def _malformed() -> RefusedInputError:
    return RefusedInputError("annotation_invalid", _("This mark cannot be kept. Draw it again."))


def _annotation(row: Annotation) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "image": str(row.image_id),
        "frame": row.frame,
        "kind": row.kind,
        "points": row.points,
        "text": row.text,
        "millimetres": row.millimetres,
        "revision": row.revision,
    }


def _kept(kept: StudyKeyImage) -> dict[str, Any]:
    return {
        "id": str(kept.pk),
        "image": str(kept.image_id),
        "caption": kept.caption,
        "url": reverse("diagnosis:key-image", args=[kept.pk]),
    }


def _refused(error: DomainError) -> JsonResponse:
    answer = {"code": error.code, "detail": str(error.detail or error.code), **error.extra}
    return JsonResponse(answer, status=error.http_status)
