"""The first draft of a report, in plain clinical words, from what was found and decided."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from diagnosis.models import FindingReview, Study
from diagnosis.selectors.findings import PROPOSED, SUGGESTED, ReviewedFinding

SECTIONS = ("technique", "comparison", "findings", "impression", "recommendation")


def report_prefill(
    study: Study, *, found: Sequence[ReviewedFinding], image_ids: list[str], earlier: date | None
) -> dict[str, str]:
    """Return a text for each section; the doctor edits all of it before signing.

    ``image_ids`` are in the order in which page and PDF number the images.
    What a doctor accepted or added is said as they described it; what the AI alone reads of a
    fracture is called suggested. A draft never says more than that: a suspicion stays a
    suspicion, what was rejected is left out, and unless every image was assessed, "nothing
    seen" is left to the doctor.
    """
    shown = [each for each in found if each.is_confirmed or each.state == PROPOSED]
    return {
        "technique": _technique(study, len(image_ids)),
        "comparison": _comparison(earlier),
        "findings": _findings(study, shown, image_ids),
        "impression": _impression(study, shown, image_ids),
        "recommendation": "",
    }


def description_word(name: str, code: str) -> str:
    """Return the translated word of a description's code, in the middle of a sentence."""
    choices = getattr(FindingReview._meta.get_field(name), "choices", None)
    return str(dict(choices or ()).get(code, code)).lower()


def _technique(study: Study, image_count: int) -> str:
    part = study.get_body_part_display() if study.body_part else _("the limb")
    side = ""
    if study.side:
        # Translators: follows the body part, as in "wrist, left".
        side = _(", %(side)s") % {"side": study.get_side_display().lower()}
    text = ngettext(
        "Radiograph of %(part)s%(side)s, %(count)d image.",
        "Radiographs of %(part)s%(side)s, %(count)d images.",
        image_count,
    ) % {"part": str(part).lower(), "side": side, "count": image_count}
    images = (study.result or {}).get("images", [])
    if photos := sum("photo_of_film" in image["warnings"] for image in images):
        text += " " + ngettext(
            "%(count)d image was photographed from a film: limited image quality.",
            "%(count)d images were photographed from films: limited image quality.",
            photos,
        ) % {"count": photos}
    return text


def _comparison(earlier: date | None) -> str:
    if earlier is None:
        return ""
    return _("Earlier images of %(date)s.") % {"date": date_format(earlier, "DATE_FORMAT")}


def _findings(study: Study, shown: Sequence[ReviewedFinding], image_ids: list[str]) -> str:
    if shown:
        return "\n".join(_sentence(each, image_ids) for each in shown)
    if _all_negative(study, image_ids):
        return _("No fracture line is seen on these images.")
    return ""


def _sentence(found: ReviewedFinding, image_ids: list[str]) -> str:
    number = image_ids.index(str(found.image.pk)) + 1
    if found.is_confirmed:
        text = _("Image %(number)d: %(fracture)s.") % {
            "number": number,
            "fracture": fracture_words(found) or _("fracture at the marked place"),
        }
    elif found.certainty == "definite":
        text = _("Image %(number)d: signs of a fracture at the marked place.") % {"number": number}
    else:
        text = _("Image %(number)d: suspicion of a fracture at the marked place.") % {
            "number": number
        }
    codes = [(name, found.suggested(name)) for name in SUGGESTED if found.is_confirmed]
    words = [description_word(name, code) for name, code in codes if code]
    if words:
        text += " " + _("Suggested by the AI, not confirmed: %(words)s.") % {
            "words": ", ".join(words)
        }
    return text


def fracture_words(found: ReviewedFinding) -> str:
    """Return what a doctor said of it, such as "fracture of the left radius, displaced"."""
    said = {
        name: description_word(name, code)
        for name in ("bone", "laterality", "fracture_type", "displacement", "severity")
        if (code := found.described(name))
    }
    if not said:
        return ""
    rest = [said[name] for name in ("fracture_type", "displacement", "severity") if name in said]
    if "bone" in said:
        where = said["bone"]
        if "laterality" in said:
            # Translators: "left radius"; the order may change, and a word for "side" be added.
            where = _("%(side)s %(bone)s") % {"side": said["laterality"], "bone": said["bone"]}
        head = _("fracture of the %(where)s") % {"where": where}
    elif "laterality" in said:
        head = _("fracture on the %(side)s") % {"side": said["laterality"]}
    else:
        head = _("fracture")
    return ", ".join([head, *rest])


def _impression(study: Study, shown: Sequence[ReviewedFinding], image_ids: list[str]) -> str:
    confirmed = [each for each in shown if each.is_confirmed]
    if confirmed:
        words = dict.fromkeys(fracture_words(each) or _("fracture") for each in confirmed)
        text = "; ".join(words)
        return text[:1].upper() + text[1:] + "."
    if any(each.certainty == "definite" for each in shown):
        return _("Signs of a fracture.")
    if shown:
        return _("Suspicion of a fracture; correlate with the clinical examination.")
    return _("No fracture seen.") if _all_negative(study, image_ids) else ""


def _all_negative(study: Study, image_ids: list[str]) -> bool:
    """Return whether every image was assessed and none shows anything."""
    result: dict[str, Any] = study.result or {}
    negative = {i["id"] for i in result.get("images", []) if i["verdict"] == "negative"}
    return bool(image_ids) and set(image_ids) == negative
