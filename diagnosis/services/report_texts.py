"""The first draft of a report, in plain clinical words, from the study's result."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from diagnosis.models import Study

SECTIONS = ("technique", "comparison", "findings", "impression", "recommendation")


def report_prefill(study: Study, *, image_count: int) -> dict[str, str]:
    """Return a text for each section; the doctor edits all of it before signing.

    A draft never says more than the model did: a suspicion stays a suspicion,
    and "cannot assess" leaves the sections to the doctor.
    """
    result: dict[str, Any] = study.result or {}
    return {
        "technique": _technique(study, image_count),
        "comparison": "",
        "findings": _findings(result),
        "impression": _impression(study.verdict),
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


def _findings(result: dict[str, Any]) -> str:
    lines = []
    for number, image in enumerate(result.get("images", []), start=1):
        for finding in image.get("findings", []):
            sentence = (
                _("Image %(number)d: fracture marked (probability %(probability)d %%).")
                if finding["certainty"] == "definite"
                else _(
                    "Image %(number)d: suspicion of a fracture (probability %(probability)d %%)."
                )
            )
            lines.append(
                sentence % {"number": number, "probability": round(100 * finding["probability"])}
            )
    if lines:
        return "\n".join(lines)
    if result.get("verdict") == "negative":
        return _("No fracture line is seen on these images.")
    return ""


def _impression(verdict: str) -> str:
    return {
        "definite": _("Fracture."),
        "suspicion": _("Suspicion of a fracture; correlate with the clinical examination."),
        "negative": _("No fracture seen."),
    }.get(verdict, "")
