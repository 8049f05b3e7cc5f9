"""A finding in a few words, for lists and for the label on the image."""

from django.utils.translation import gettext as _

from diagnosis.models import FindingReview
from diagnosis.selectors.findings import SUGGESTED, ReviewedFinding


def word(name: str, code: str) -> str:
    """Return the translated word of a description's code, the code itself when it is unknown."""
    choices = getattr(FindingReview._meta.get_field(name), "choices", None)
    return str(dict(choices or ()).get(code, code))


def finding_label(found: ReviewedFinding) -> str:
    """Return what a doctor said of it, ``""`` when nothing."""
    place = [word(n, found.described(n)) for n in ("laterality", "bone") if found.described(n)]
    rest = [
        word(name, found.described(name))
        for name in ("fracture_type", "displacement", "severity")
        if found.described(name)
    ]
    parts = [" ".join(place).capitalize(), *(text.lower() for text in rest)]
    return " · ".join(part for part in parts if part)


def suggestion(found: ReviewedFinding) -> str:
    """Return the AI's experimental readings as such, ``""`` when there are none."""
    codes = [(name, found.suggested(name)) for name in SUGGESTED]
    words = [word(name, code).lower() for name, code in codes if code]
    return _("AI suggests: %(words)s") % {"words": ", ".join(words)} if words else ""
