"""What does not fit together in a study: sides, and views that are missing. Pure.

Computed from rows as they are now, never stored, so that a correction takes a warning away at
once. A warning is a question to the reader, not an answer: the picture decides.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from diagnosis.models import ReportVersion, Study, StudyImage

SIDE_IMAGE: Final = "side_differs_from_image"
SIDE_IMAGES: Final = "sides_differ_between_images"
SIDE_REPORT: Final = "side_differs_from_report"
VIEWS_MISSING: Final = "views_missing"
STUDIES_MIXED: Final = "dicom_studies_mixed"
_LETTERS = {"L": "left", "R": "right", "B": "both"}
# DICOM ViewPosition (0018,5101) in the words of a trauma series.
_VIEWS = {
    "frontal": ("AP", "PA", "DP", "PD"),
    "lateral": ("LL", "RL", "LAT", "LATERAL", "ML", "LM", "Y", "AXIAL", "AX"),
    "oblique": ("OBL", "OBLIQUE", "RLO", "LLO", "RAO", "LAO", "RPO", "LPO"),
}
_SIDE_WORDS = {
    "left": r"left|links?|linke[nrsm]?|gauche|izquierd[oa]|sinistr[oa]|esquerd[oa]",
    "right": r"right|rechts?|rechte[nrsm]?|droite?|derech[oa]|destr[oa]|direit[oa]",
}
# "upright", "right-handed" and "left out" say nothing of a side.
_NOT_A_SIDE = re.compile(
    r"(right|left)[- ]hand(ed)?\s+domin\w*|(right|left)-handed|left out", re.IGNORECASE
)


def study_warnings(
    study: Study,
    images: Sequence[StudyImage],
    versions: Iterable[ReportVersion],
    *,
    views: Sequence[str],
) -> list[str]:
    """Return the codes of what a reader should check.

    Args:
        study: its ordered side and body part.
        images: their DICOM laterality and view position; blank when the file says nothing.
        versions: of its report; the newest one's text is compared.
        views: projections that the clinic expects of the body part.
    """
    warnings = []
    sides = {_LETTERS[image.laterality] for image in images if image.laterality in _LETTERS}
    if study.side in {"left", "right"} and sides - {study.side, "both"}:
        warnings.append(SIDE_IMAGE)
    if not study.side and {"left", "right"} <= sides:
        warnings.append(SIDE_IMAGES)
    known = {study.side} if study.side else sides
    newest = max(versions, key=lambda version: version.number, default=None)
    if newest is not None and _contradicts(known, newest):
        warnings.append(SIDE_REPORT)
    if images and _lacks_views(images, views):
        warnings.append(VIEWS_MISSING)
    if any("StudyInstanceUID" in image.dicom_header for image in images):
        warnings.append(STUDIES_MIXED)
    return warnings


def view_of(view_position: str) -> str:
    """Return ``frontal``, ``lateral`` or ``oblique``, ``""`` for a projection that is not known."""
    code = view_position.strip().upper()
    return next((name for name, codes in _VIEWS.items() if code in codes), "")


def sides_in(text: str) -> set[str]:
    """Return the sides that a text speaks of."""
    plain = _NOT_A_SIDE.sub(" ", text)
    return {
        side
        for side, words in _SIDE_WORDS.items()
        if re.search(rf"\b({words})\b", plain, re.IGNORECASE)
    }


def _contradicts(known: set[str], version: ReportVersion) -> bool:
    """Return whether the report speaks of the other side only."""
    if len(known) != 1 or "both" in known:
        return False
    named = sides_in(f"{version.findings}\n{version.impression}")
    return bool(named) and not named & known


def _lacks_views(images: Sequence[StudyImage], expected: Sequence[str]) -> bool:
    """Return whether fewer views are there than expected, or known views leave one out.

    An image whose projection is unknown may be any of them.
    """
    found = [view_of(image.view_position) for image in images]
    missing = set(expected) - set(found)
    return len(missing) > found.count("")
