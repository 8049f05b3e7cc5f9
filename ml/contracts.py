"""What a fracture model promises to its caller: plain, frozen values without Django."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt


class Verdict(StrEnum):
    """The answer for one image, from two thresholds; an aid, never a clearance."""

    NEGATIVE = "negative"
    SUSPICION = "suspicion"
    DEFINITE = "definite"
    CANNOT_ASSESS = "cannot_assess"


class Certainty(StrEnum):
    """How sure the model is of one finding: dashed box or solid box."""

    SUSPICION = "suspicion"
    DEFINITE = "definite"


class UnreadableImageError(ValueError):
    """The bytes are not an image this code can read; trying again cannot help.

    ``code`` is stable (see ``ml.decoding`` for the list); the text of the
    exception is for logs of developers and never shown to users.
    """

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.code = code


class ModelArtifactError(RuntimeError):
    """The model file is missing, altered (sha256) or not what its manifest says."""


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box in pixels of the decoded image, origin top left."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Operating points on the calibrated probability, ``0 < suspicion <= definite < 1``."""

    suspicion: float
    definite: float


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Which weights, preprocessing, calibration and thresholds gave an answer.

    Attributes:
        heatmap_shown: whether the heatmap points well enough to be shown unasked; measured against
            annotated boxes (``ml.explain``).
    """

    name: str
    version: str
    sha256: str
    preprocessing_version: str
    calibration_id: str
    thresholds: Thresholds
    modalities: tuple[str, ...] = ("CR", "DX", "SC", "RG", "")
    heatmap_shown: bool = True


@dataclass(frozen=True, slots=True)
class FindingPrediction:
    """One place that looks broken.

    Attributes:
        box: where, in pixels of the decoded image.
        probability: calibrated probability that this place is a fracture, 0 to 1.
        certainty: solid (definite) or dashed (suspicion).
        fracture_type, displacement, severity: experimental readings, ``""`` when not given.
    """

    box: Box
    probability: float
    certainty: Certainty
    fracture_type: str = ""
    displacement: str = ""
    severity: str = ""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one image.

    Attributes:
        probability: calibrated probability of at least one fracture, 0 to 1;
            ``None`` exactly when ``verdict`` is ``cannot_assess``.
        region: body region code (``hand_arm``, ``leg``, ``hip``, ``shoulder`` or finer), ``""``
            when unknown.
        heatmap: ``uint8`` of shape ``(h, w)``, 0 to 255, covering the whole decoded
            image edge to edge at lower resolution; ``None`` when not assessed.
        image_width, image_height: size of the decoded image in pixels.
        reasons: stable codes why it cannot be assessed, empty otherwise.
        warnings: stable codes of what a reader should know (``truncated_file``, ``hardware`` ...).
        timings_ms: milliseconds for each stage: decode, quality, preprocess, forward,
            postprocess, total.
    """

    model: ModelInfo
    verdict: Verdict
    probability: float | None
    region: str
    region_probability: float | None
    severity: str
    findings: tuple[FindingPrediction, ...]
    heatmap: npt.NDArray[np.uint8] | None
    image_width: int
    image_height: int
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse contradictory answers."""
        if (self.probability is None) != (self.verdict is Verdict.CANNOT_ASSESS):
            raise ValueError("probability is None exactly when the verdict is cannot_assess")
        if self.probability is not None and not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability must be within [0, 1], got {self.probability}")


class Predictor(Protocol):
    """A loaded model. One per process; not to be shared by threads."""

    @property
    def info(self) -> ModelInfo:
        """Identity stored with every result."""
        ...

    def predict(self, encoded: bytes, *, frame: int = 0, photographed: bool = False) -> Prediction:
        """Analyse one encoded image (PNG, JPEG, TIFF or DICOM Part 10).

        ``photographed``: it was made from a photo of a film, and is judged and marked as one.

        Raises:
            UnreadableImageError: ``encoded`` cannot be decoded to pixels.
        """
        ...
