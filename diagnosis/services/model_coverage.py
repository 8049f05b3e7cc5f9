"""Which images a model version covers, and whether two versions cover the same ones: pure.

Modalities are DICOM's words; ``photo`` is a picture file (PNG, JPEG, TIFF) that names none. Body
regions are the parts that are requested with a study; none named covers all. Ages are whole
years, both ends included. A version that restricts regions or ages covers an image only when the
image's region or age is *known* and inside.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from diagnosis.models import ModelVersion, Study
from fracture_site.common.errors import RefusedInputError

PHOTO: Final = "photo"
NO_MODALITY: Final = "no_model_for_modality"
NO_REGION: Final = "no_model_for_region"
NO_AGE: Final = "no_model_for_age"
OLDEST: Final = 150
_MODALITY = re.compile(r"[A-Z]{2,16}")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known of an image before any model has seen it."""

    modality: str
    body_region: str = ""
    age_years: int | None = None
    frame_count: int = 1


@dataclass(frozen=True, slots=True)
class Coverage:
    """The images that a version was made for."""

    modalities: frozenset[str]
    body_regions: frozenset[str] = frozenset()
    age_min: int | None = None
    age_max: int | None = None

    def refuses(self, subject: Subject) -> str:
        """Return why the image is not covered, as a code; ``""`` when it is.

        Several frames are a loop or a volume: a finding would have no frame to belong to.
        """
        if subject.frame_count > 1 or (subject.modality or PHOTO) not in self.modalities:
            return NO_MODALITY
        if self.body_regions and subject.body_region not in self.body_regions:
            return NO_REGION
        return "" if self._covers_age(subject.age_years) else NO_AGE

    def overlaps(self, other: "Coverage") -> bool:
        """Return whether some image could be covered by both."""
        regions = not (self.body_regions and other.body_regions) or bool(
            self.body_regions & other.body_regions
        )
        oldest = min(self.oldest, other.oldest)
        return (
            bool(self.modalities & other.modalities)
            and regions
            and max(self.age_min or 0, other.age_min or 0) <= oldest
        )

    def _covers_age(self, age: int | None) -> bool:
        if self.age_min is None and self.age_max is None:
            return True
        return age is not None and (self.age_min or 0) <= age <= self.oldest

    @property
    def oldest(self) -> int:
        """The highest age that is covered."""
        return OLDEST if self.age_max is None else self.age_max


def coverage_of(version: ModelVersion) -> Coverage:
    """Return the coverage of a registered version."""
    return Coverage(
        modalities=frozenset(version.modalities),
        body_regions=frozenset(version.body_regions),
        age_min=version.age_min,
        age_max=version.age_max,
    )


def coverage_of_manifest(manifest: Mapping[str, Any]) -> Coverage:
    """Return what a manifest declares: ``coverage``, or else its ``modalities`` alone.

    Raises:
        RefusedInputError: ``model_coverage_invalid``.
    """
    declared = manifest.get("coverage")
    if declared is None:
        declared = {"modalities": manifest.get("modalities", [])}
    if not isinstance(declared, dict) or set(declared) - {
        "modalities",
        "body_regions",
        "age_years",
    }:
        raise _invalid()
    youngest, oldest = _ages(declared.get("age_years"))
    return Coverage(
        modalities=frozenset(_modality(name) for name in _names(declared.get("modalities"))),
        body_regions=frozenset(_region(name) for name in _names(declared.get("body_regions", ()))),
        age_min=youngest,
        age_max=oldest,
    )


def _names(values: object) -> Iterable[str]:
    if not isinstance(values, list | tuple) or not all(isinstance(v, str) for v in values):
        raise _invalid()
    return values


def _modality(name: str) -> str:
    if name in {"", PHOTO}:
        return PHOTO
    if not _MODALITY.fullmatch(name):
        raise _invalid()
    return name


def _region(name: str) -> str:
    if name not in Study.BodyPart.values:
        raise _invalid()
    return name


def _ages(values: object) -> tuple[int | None, int | None]:
    if values is None:
        return None, None
    if not isinstance(values, dict) or set(values) - {"min", "max"}:
        raise _invalid()
    youngest, oldest = values.get("min"), values.get("max")
    for age in (youngest, oldest):
        if age is not None and not (type(age) is int and 0 <= age <= OLDEST):
            raise _invalid()
    if youngest is not None and oldest is not None and youngest > oldest:
        raise _invalid()
    return youngest, oldest


def _invalid() -> RefusedInputError:
    return RefusedInputError(
        "model_coverage_invalid",
        _(
            "The manifest's coverage cannot be read. It names modalities (CR, DX, photo …), "
            "body_regions as in the study form, and age_years with min and max."
        ),
    )
