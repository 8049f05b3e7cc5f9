"""The first draft of a report, in plain clinical words, from the study's result."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from diagnosis.models import Study

SECTIONS = ("technique", "comparison", "findings", "impression", "recommendation")


def report_prefill(study: Study, *, image_ids: list[str]) -> dict[str, str]:
    """Return a text for each section; the doctor edits all of it before signing.

    ``image_ids`` are in the order in which page and PDF number the images.
    A draft never says more than the model did: a suspicion stays a suspicion,
    and unless every image was assessed, "nothing seen" is left to the doctor.
    """
    result: dict[str, Any] = study.result or {}
    return {
        "technique": _technique(study, len(image_ids)),
        "comparison": "",
        "findings": _findings(result, image_ids),
        "impression": _impression(result, image_ids),
        "recommendation": "",
    }


def _technique(study: Study, image_count: int) -> str:
    part = study.get_body_part_display() if study.body_part else _("the limb")
    side = f", {study.get_side_display().lower()}" if study.side else ""
    return ngettext(
        "Radiograph of %(part)s%(side)s, %(count)d image.",
        "Radiographs of %(part)s%(side)s, %(count)d images.",
        image_count,
    ) % {"part": str(part).lower(), "side": side, "count": image_count}


def _findings(result: dict[str, Any], image_ids: list[str]) -> str:
    lines = []
    by_id = {image["id"]: image for image in result.get("images", [])}
    for number, image_id in enumerate(image_ids, start=1):
        for finding in by_id.get(image_id, {}).get("findings", []):
            sentence = (
                _("Image %(number)d: signs of a fracture at the marked place.")
                if finding["certainty"] == "definite"
                else _("Image %(number)d: suspicion of a fracture at the marked place.")
            )
            lines.append(sentence % {"number": number})
    if lines:
        return "\n".join(lines)
    if _all_negative(result, image_ids):
        return _("No fracture line is seen on these images.")
    return ""


def _impression(result: dict[str, Any], image_ids: list[str]) -> str:
    if _all_negative(result, image_ids):
        return _("No fracture seen.")
    return {
        "definite": _("Signs of a fracture."),
        "suspicion": _("Suspicion of a fracture; correlate with the clinical examination."),
    }.get(result.get("verdict", ""), "")


def _all_negative(result: dict[str, Any], image_ids: list[str]) -> bool:
    """Return whether every image was assessed and none shows anything."""
    negative = {i["id"] for i in result.get("images", []) if i["verdict"] == "negative"}
    return bool(image_ids) and set(image_ids) == negative
