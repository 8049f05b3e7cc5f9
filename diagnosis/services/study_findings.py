"""Which findings of a study are one break seen in several views.

Two boxes in two pictures are called the same break only when nothing speaks against it:

* each of the images has exactly one finding,
* the model names the same region in both, and it does name one,
* sides do not contradict each other, and the study is not of both sides,
* views differ where both are known; where one is unknown, the study has two images only,
* both lie at a similar height of the picture (within a fifth of it): the two standard views of a
  limb share its long axis.

Everything else stays a finding of its own: showing one break twice is the smaller mistake.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

_HEIGHT_TOLERANCE = 0.2


@dataclass(frozen=True, slots=True)
class FindingInput:
    """One stored finding; ``box`` is x, y, width, height in pixels of its image."""

    id: str
    box: tuple[float, float, float, float]
    probability: float
    certainty: str
    fracture_type: str = ""
    displacement: str = ""
    severity: str = ""


@dataclass(frozen=True, slots=True)
class ImageInput:
    """One image, the state of its newest analysis, and its newest result.

    ``verdict`` is empty while there is no result; ``model`` is name, version and sha256.
    """

    id: str
    width: int
    height: int
    created_at: datetime
    status: str
    error_code: str = ""
    view_position: str = ""
    laterality: str = ""
    verdict: str = ""
    probability: float | None = None
    region: str = ""
    severity: str = ""
    warnings: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    findings: tuple[FindingInput, ...] = ()
    model: Mapping[str, str] | None = None
    thresholds: Mapping[str, float] | None = None
    has_heatmap: bool = False
    timings_ms: Mapping[str, float] = field(default_factory=dict)


Place = tuple[ImageInput, FindingInput]


def study_findings(images: Sequence[ImageInput], *, side: str) -> list[dict[str, Any]]:
    """Return the study's findings, most probable first, each with the places that show it."""
    groups: list[list[Place]] = []
    for image in images:
        for finding in image.findings:
            place = (image, finding)
            group = next((g for g in groups if _same_break(g, place, images, side)), None)
            if group is None:
                groups.append([place])
            else:
                group.append(place)
    groups.sort(key=lambda group: -max(finding.probability for _, finding in group))
    return [_entry(number, group) for number, group in enumerate(groups, start=1)]


def _same_break(
    group: Sequence[Place], place: Place, images: Sequence[ImageInput], side: str
) -> bool:
    if side == "both":
        return False
    return all(_same_in_two(other, place, len(images)) for other in group)


def _same_in_two(one: Place, other: Place, image_count: int) -> bool:
    (image_a, finding_a), (image_b, finding_b) = one, other
    return (
        image_a.id != image_b.id
        and len(image_a.findings) == len(image_b.findings) == 1
        and image_a.region != ""
        and image_a.region == image_b.region
        and _compatible_sides(image_a.laterality, image_b.laterality)
        and _different_views(image_a.view_position, image_b.view_position, image_count)
        and abs(_height(image_a, finding_a) - _height(image_b, finding_b)) <= _HEIGHT_TOLERANCE
    )


def _compatible_sides(one: str, other: str) -> bool:
    return not one or not other or one == other


def _different_views(one: str, other: str, image_count: int) -> bool:
    return one != other if one and other else image_count == 2


def _height(image: ImageInput, finding: FindingInput) -> float:
    """Return where the box's centre lies, 0 at the top of the picture, 1 at its bottom."""
    _, y, _, height = finding.box
    return (y + height / 2) / image.height


def _entry(number: int, group: Sequence[Place]) -> dict[str, Any]:
    best = max((finding for _, finding in group), key=lambda finding: finding.probability)
    certain = any(finding.certainty == "definite" for _, finding in group)
    return {
        "number": number,
        "probability": best.probability,
        "certainty": "definite" if certain else "suspicion",
        "type": best.fracture_type,
        "displacement": best.displacement,
        "severity": best.severity,
        "places": [{"image": image.id, "finding": finding.id} for image, finding in group],
    }
