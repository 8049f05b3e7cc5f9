"""What the image viewer is told of a study's images: addresses, sizes, spacing, marks."""

from typing import Any
from uuid import UUID

from django.http import JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from diagnosis.models import Finding, Study, StudyImage
from diagnosis.selectors import study_get, study_images
from diagnosis.services.reading import study_open
from diagnosis.web.doors import MemberRequest, member_required


@member_required
@require_safe
def study_views(request: MemberRequest, pk: UUID) -> JsonResponse:
    """The study's images, for comparing with it and for what was withheld in a first reading."""
    study = study_get(user=request.user, pk=pk)
    study_open(actor=request.user, study=study, polled=True)
    images = [viewer_image(image) for image in study_images(user=request.user, study=study)]
    return JsonResponse(viewer_study(study, images))


def viewer_study(study: Study, images: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one study as the viewer reads it."""
    return {"study": str(study.pk), "date": study.created_at.isoformat(), "images": images}


def viewer_image(image: StudyImage, *, ai_hidden: bool = False) -> dict[str, Any]:
    """Return one image as the viewer reads it, with nothing of the AI when ``ai_hidden``.

    ``spacing`` is millimetres a pixel and where they hold: ``patient`` or ``imager`` (the detector,
    where a part of the body is magnified by an unknown factor), ``None`` when nothing is known.
    """
    result = None if ai_hidden else image.newest_result
    boxes = [_box(finding) for finding in result.findings.all()] if result else []
    rendition = reverse("diagnosis:image-rendition", args=[image.pk])
    return {
        "id": str(image.pk),
        "width": image.width,
        "height": image.height,
        "bits": image.bits,
        "modality": image.modality,
        "label": " ".join(filter(None, (image.laterality, image.view_position))),
        "spacing": image.pixel_spacing,
        "frames": len(image.rendition_keys),
        "content_type": image.served_content_type,
        "rendition_url": rendition,
        "frame_url": rendition + "?frame={frame}",
        "full_url": reverse("diagnosis:image-file", args=[image.pk]) + "?show",
        "thumbnail_url": reverse("diagnosis:image-thumbnail", args=[image.pk]),
        "heatmap_url": reverse("diagnosis:image-heatmap", args=[image.pk]) + f"?run={result.pk}"
        if result and result.heatmap_key
        else "",
        "marks": {"width": image.width, "height": image.height, "boxes": boxes},
    }


def _box(finding: Finding) -> dict[str, Any]:
    return {
        "id": str(finding.pk),
        "box": [finding.x, finding.y, finding.width, finding.height],
        "certainty": finding.certainty,
        "probability": finding.probability,
    }
