"""Sentences for what the worklist shows in codes: why a study is where it is, what to check."""

from collections.abc import Iterable

from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _

from diagnosis.models import Study
from diagnosis.selectors.study_warnings import (
    SIDE_IMAGE,
    SIDE_IMAGES,
    SIDE_REPORT,
    STUDIES_MIXED,
    VIEWS_MISSING,
)
from diagnosis.services.study_urgency import study_urgency_parts

PARTS = {
    "priority_stat": _("Priority: emergency"),
    "priority_urgent": _("Priority: urgent"),
    "priority_routine": _("Priority: routine"),
    "verdict_definite": _("AI: fracture"),
    "verdict_suspicion": _("AI: suspicion"),
    "verdict_cannot_assess": _("AI cannot assess"),
    "verdict_negative": _("AI: no fracture seen"),
    "probability": _("Probability"),
    "analysis_failed": _("Analysis failed: nobody has looked"),
    "analysis_pending": _("No AI answer yet"),
    "new_image_after_report": _("New image after the report"),
    "late": _("Waits longer than the clinic's target"),
}
WARNINGS = {
    SIDE_IMAGE: _("The image's side differs from the side that was ordered. Check the patient."),
    SIDE_IMAGES: _("The images are of both sides, and no side was ordered."),
    SIDE_REPORT: _("The report names the other side."),
    STUDIES_MIXED: _(
        "Images of several DICOM studies are filed here. Check that all are of this examination."
    ),
    VIEWS_MISSING: _("A view that this clinic expects for the body part is missing."),
}
SHORT_WARNINGS = {
    SIDE_IMAGE: _("Side?"),
    SIDE_IMAGES: _("Both sides"),
    SIDE_REPORT: _("Side in report?"),
    STUDIES_MIXED: _("Several studies"),
    VIEWS_MISSING: _("View missing"),
}
VIEW_LABELS = {
    "frontal": _("Frontal (AP or PA)"),
    "lateral": _("Lateral"),
    "oblique": _("Oblique"),
}


def rank_words(study: Study) -> list[tuple[str, int]]:
    """Return what the study's rank is made of, as words and points."""
    chance = "" if study.probability is None else f" {number_format(study.probability, 2)}"
    return [
        (str(PARTS[part.code]) + (chance if part.code == "probability" else ""), round(part.points))
        for part in study_urgency_parts(study)
    ]


def warning_sentences(codes: Iterable[str]) -> list[tuple[str, str]]:
    """Return for each warning a short word for lists and the sentence."""
    return [(str(SHORT_WARNINGS[code]), str(WARNINGS[code])) for code in codes]
