"""Sentences of the patient page: what was done, and why two records may be of one person."""

from collections.abc import Iterable
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from diagnosis.selectors.patient_page import Step

REASONS = {
    "same_birth_date": gettext_lazy("same birth date"),
    "same_name": gettext_lazy("same name"),
    "similar_name": gettext_lazy("similar name"),
    "same_number": gettext_lazy("same record number but for punctuation"),
}


def reason_words(codes: Iterable[str]) -> str:
    """Return why two records may be of the same person."""
    return ", ".join(str(REASONS[code]) for code in codes)


def step_words(steps: Iterable[Step]) -> list[tuple[datetime, str, str]]:
    """Return when, what and who of each step."""
    return [(step.at, _step(step), step.who or _("another system")) for step in steps]


def _step(step: Step) -> str:
    if step.what == "images":
        return ngettext("%(n)s image sent", "%(n)s images sent", step.count) % {"n": step.count}
    if step.what == "signed":
        return _("Report signed, version %(n)s") % {"n": step.count}
    return {
        "requested": _("Study requested"),
        "draft": _("Report drafted"),
        "acknowledged": _("Critical result acknowledged"),
        "shared": _("Link for a second opinion made"),
    }[step.what]
