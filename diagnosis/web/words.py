"""Sentences for the stable codes that results carry: what it means and what to do."""

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

REASONS = {
    "too_small": _("The picture has too few pixels. Send the original at full size."),
    "blank": _("The picture has no contrast. Check the exposure and send it again."),
    "too_dark": _("The picture is too dark to judge."),
    "too_bright": _("The picture is too bright to judge."),
    "blurred": _("The picture is blurred. Send the original instead of a photo or a copy."),
    "not_a_radiograph": _(
        "This does not look like a radiograph. Export the original from the X-ray machine."
    ),
    "wrong_body_part": _(
        "This does not look like a limb. The AI reads arms, legs, hips and shoulders only, no "
        "chest, skull, spine, abdomen or teeth."
    ),
    "cross_section": _(
        "This looks like a slice of CT, MR or ultrasound. The AI reads plain radiographs only."
    ),
    "no_model_for_modality": _(
        "No model for this modality. The images are stored and shown; the AI does not judge them."
    ),
    "no_model_for_region": _(
        "No model for this body part, or the request names none. The AI does not judge the image."
    ),
    "no_model_for_age": _(
        "No model for this age, or the birth date is unknown. The AI does not judge the image."
    ),
}
WARNINGS = {
    "truncated_file": _("The file is cut at its end; a part of the picture may be missing."),
    "animation_first_frame": _("Only the first frame of the animation is kept."),
    "pages_skipped": _("Further pages of the file were left out."),
    "transparency_flattened": _("Transparent parts were filled."),
    "for_processing": _("The file holds raw detector data, made for processing, not for reading."),
    "window_ignored": _("The display window in the file could not be used."),
    "photo_of_film": _(
        "Lower trust: this looks like a photo of a film or a screen. The AI was not measured on "
        "photos. Send the original from the X-ray machine if there is one."
    ),
    "hardware": _("Metal is visible; the AI is less reliable beside it."),
    "cast": _("A cast is visible; the AI is less reliable below it."),
}
ERRORS = {
    "worker_lost": _(
        "The analysis broke off three times with this file. Ask for it again or look "
        "at the image yourself."
    ),
    "storage": _("The image store did not answer. Ask for the analysis again."),
    "object_missing": _("The stored file is missing. Upload it again."),
    "damaged_object": _("The stored file is damaged. Upload it again."),
}
OTHER_ERROR = _(
    "The analysis failed. Ask for it again; if it fails again, tell your administrator."
)


def reason_texts(codes: Iterable[str]) -> list[str]:
    """Return why an image cannot be assessed."""
    return [str(REASONS.get(code, code)) for code in codes]


def warning_texts(codes: Iterable[str]) -> list[str]:
    """Return what a reader should know of an image."""
    return [str(WARNINGS.get(code, code)) for code in sorted(codes)]


def error_text(code: str) -> str:
    """Return what to do about a failed analysis."""
    return str(ERRORS.get(code, OTHER_ERROR))
