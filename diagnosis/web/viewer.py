"""What the image viewer is told of a study's images: addresses, sizes, spacing, marks."""

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from django.http import JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.models import User
from accounts.policy import Action, allowed_actions
from diagnosis.models import Finding, Study, StudyImage
from diagnosis.selectors import study_get, study_images
from diagnosis.services.reading import study_open
from diagnosis.web.doors import MemberRequest, member_required

# Places of ids in the addresses that the viewer fills in.
ANY: Final = UUID(int=0)
OTHER: Final = UUID("11111111-1111-1111-1111-111111111111")


@member_required
@require_safe
def study_views(request: MemberRequest, pk: UUID) -> JsonResponse:
    """The study's images, for comparing with it and for what was withheld in a first reading."""
    study = study_get(user=request.user, pk=pk)
    study_open(actor=request.user, study=study, polled=True)
    images = [viewer_image(image) for image in study_images(user=request.user, study=study)]
    return JsonResponse(viewer_study(study, images))


def viewer_config(
    *, user: User, study: Study, images: Iterable[StudyImage], ai_hidden: bool = False
) -> dict[str, Any]:
    """Return what the diagnostic viewer of the study's page needs to start."""
    can = allowed_actions(user=user, clinic_id=study.clinic_id)
    views = [viewer_image(image, ai_hidden=ai_hidden) for image in images]
    return {
        "views": viewer_study(study, views),
        "addresses": {
            "annotations": reverse("diagnosis:study-annotations", args=[ANY]),
            "annotation": reverse("diagnosis:image-annotation", args=[ANY, OTHER]),
            "key_images": reverse("diagnosis:image-key-images", args=[ANY]),
        },
        "may_draw": Action.IMAGE_ANNOTATE in can,
        "may_keep": Action.REPORT_WRITE in can,
    }


def viewer_study(study: Study, images: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one study as the viewer reads it."""
    return {"study": str(study.pk), "date": study.examined_on.isoformat(), "images": images}


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
        "series": image.series_instance_uid,
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
