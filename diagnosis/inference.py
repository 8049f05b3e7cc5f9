"""The only bridge between Django and ``ml``: bytes in, plain result out."""

import hashlib
import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from django.conf import settings
from PIL import Image

from ml.contracts import FindingPrediction, ModelArtifactError, ModelInfo, Prediction, Predictor
from ml.manifest import read_manifest

__all__ = [
    "AnalysisOutcome",
    "FindingOutcome",
    "ModelArtifactError",
    "ModelIdentity",
    "analyse",
    "get_predictor",
    "predictor_ready",
    "shipped_model",
]
logger = logging.getLogger(__name__)

NO_MODEL = "no_model_for_modality"


@dataclass(frozen=True, slots=True)
class FindingOutcome:
    """One place that looks broken, in pixels of the image, inside its borders."""

    x: float
    y: float
    width: float
    height: float
    probability: float
    certainty: str
    fracture_type: str = ""
    displacement: str = ""
    severity: str = ""


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Everything that is copied into each stored result."""

    name: str
    version: str
    sha256: str
    preprocessing_version: str
    calibration_id: str
    threshold_suspicion: float
    threshold_definite: float
    metrics: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnalysisOutcome:
    """What one run of the model says about one image, ready to be stored.

    Attributes:
        model: identity of weights, preprocessing, calibration and thresholds.
        heatmap_png: 8-bit grayscale PNG that covers the whole image, ``None`` when not assessed.
    """

    model: ModelIdentity
    verdict: str
    probability: float | None
    region: str = ""
    region_probability: float | None = None
    severity: str = ""
    findings: tuple[FindingOutcome, ...] = ()
    heatmap_png: bytes | None = None
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    timings_ms: dict[str, float] = field(default_factory=dict)


@lru_cache(maxsize=1)
def get_predictor() -> Predictor:
    """Return this process's model; it is loaded, and its sha256 checked, once per process.

    Raises:
        ModelArtifactError: the weights are missing or not those of the manifest.
    """
    # Web processes import this module too and have no use for the runtime.
    from ml.predictor import load_predictor

    return load_predictor(settings.ML_MODEL_DIR, threads=settings.ML_THREADS)


def predictor_ready() -> bool:
    """Tell whether this process may take jobs; a wrong artifact is logged, and asked for again."""
    try:
        get_predictor()
    except ModelArtifactError:
        logger.exception("the model artifact is unusable, jobs stay queued")
        return False
    return True


def analyse(data: bytes, *, frame_count: int) -> AnalysisOutcome:
    """Run the model over one encoded image.

    Several frames are one cine loop or volume: no shipped model was made for them and a
    finding has no frame to belong to, so the honest answer is *no model for this modality*.

    Raises:
        UnreadableImageError: the bytes cannot be decoded (final).
        ModelArtifactError: this process has no usable model.
    """
    predictor = get_predictor()
    if frame_count > 1:
        return AnalysisOutcome(
            model=_identity(predictor.info),
            verdict="cannot_assess",
            probability=None,
            reasons=(NO_MODEL,),
        )
    return _outcome(predictor.predict(data))


def shipped_model() -> ModelIdentity:
    """Return the identity of the artifact in ``ML_MODEL_DIR`` after checking its sha256.

    Does not load the model: web processes call it too. The hash of an unchanged file is
    computed once per process.

    Raises:
        ModelArtifactError: it is missing or altered.
    """
    manifest = read_manifest(Path(settings.ML_MODEL_DIR))
    try:
        state = manifest.weights.stat()
        digest = _sha256(manifest.weights, state.st_mtime_ns, state.st_size)
    except OSError as error:
        raise ModelArtifactError("the weights cannot be read") from error
    if digest != manifest.info.sha256:
        raise ModelArtifactError("the weights are not those of the manifest")
    return _identity(manifest.info, metrics=manifest.metrics)


@lru_cache(maxsize=4)
def _sha256(path: Path, _modified_ns: int, _size: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _outcome(prediction: Prediction) -> AnalysisOutcome:
    size = prediction.image_width, prediction.image_height
    found = (_finding(finding, *size) for finding in prediction.findings)
    return AnalysisOutcome(
        model=_identity(prediction.model),
        verdict=prediction.verdict.value,
        probability=prediction.probability,
        region=prediction.region,
        region_probability=prediction.region_probability,
        severity=prediction.severity,
        findings=tuple(finding for finding in found if finding is not None),
        heatmap_png=_png(prediction.heatmap),
        reasons=prediction.reasons,
        warnings=prediction.warnings,
        timings_ms={stage: round(float(ms), 2) for stage, ms in prediction.timings_ms.items()},
    )


def _finding(finding: FindingPrediction, width: int, height: int) -> FindingOutcome | None:
    """Cut the box at the borders of the image; nothing is left of one that lies outside."""
    left, top = max(finding.box.x, 0.0), max(finding.box.y, 0.0)
    right = min(finding.box.x + finding.box.width, float(width))
    bottom = min(finding.box.y + finding.box.height, float(height))
    if right <= left or bottom <= top:
        return None
    return FindingOutcome(
        x=left,
        y=top,
        width=right - left,
        height=bottom - top,
        probability=finding.probability,
        certainty=finding.certainty.value,
        fracture_type=finding.fracture_type,
        displacement=finding.displacement,
        severity=finding.severity,
    )


def _png(heatmap: npt.NDArray[np.uint8] | None) -> bytes | None:
    if heatmap is None:
        return None
    buffer = io.BytesIO()
    Image.fromarray(heatmap).save(buffer, "PNG")
    return buffer.getvalue()


def _identity(info: ModelInfo, metrics: Mapping[str, Any] | None = None) -> ModelIdentity:
    return ModelIdentity(
        name=info.name,
        version=info.version,
        sha256=info.sha256,
        preprocessing_version=info.preprocessing_version,
        calibration_id=info.calibration_id,
        threshold_suspicion=info.thresholds.suspicion,
        threshold_definite=info.thresholds.definite,
        metrics=dict(metrics or {}),
    )
