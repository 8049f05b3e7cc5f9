"""The only bridge between Django and ``ml``: bytes in, plain result out."""

import hashlib
import io
import json
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
from ml.decoding import decode_image
from ml.manifest import MANIFEST_NAME, read_manifest

__all__ = [
    "AnalysisOutcome",
    "FindingOutcome",
    "ModelArtifactError",
    "ModelIdentity",
    "ModelPackage",
    "analyse",
    "get_predictor",
    "manifest_files",
    "read_package",
    "refusal",
    "shipped_folder",
    "shipped_model",
    "training_picture",
]


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
        heatmap_png: 8-bit grayscale PNG that covers the whole image; ``None`` when not assessed,
            or when the model's heatmap points too badly to be shown (its manifest says so).
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


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A model folder whose files are exactly the ones that its manifest names.

    Attributes:
        identity: what is copied into each result.
        manifest: the manifest as it was written.
        files: path of each file that the manifest names, by its sha256.
    """

    identity: ModelIdentity
    manifest: dict[str, Any]
    files: dict[str, Path]


@lru_cache(maxsize=4)
def get_predictor(folder: Path) -> Predictor:
    """Return this process's model of a folder; loaded, and its sha256 checked, once per process.

    Raises:
        ModelArtifactError: the weights are missing or not those of the manifest.
    """
    # Web processes import this module too and have no use for the runtime.
    from ml.predictor import load_predictor

    return load_predictor(folder, threads=settings.ML_THREADS)


def analyse(data: bytes, *, folder: Path, photographed: bool = False) -> AnalysisOutcome:
    """Run the model of a folder over one encoded image; ``photographed`` when it is a film's photo.

    Raises:
        UnreadableImageError: the bytes cannot be decoded (final).
        ModelArtifactError: this process cannot use the model.
    """
    return _outcome(get_predictor(folder).predict(data, photographed=photographed))


def training_picture(data: bytes, *, longest_side: int) -> tuple[bytes, float]:
    """Return an encoded image as an 8-bit grey PNG without any header, and how much it shrank.

    Args:
        data: PNG, JPEG, TIFF or DICOM; its first frame is taken.
        longest_side: larger pictures are reduced to it; smaller ones stay as they are.

    Raises:
        UnreadableImageError: the bytes cannot be decoded.
    """
    pixels: npt.NDArray[Any] = np.asarray(decode_image(data).frames[0])
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    scale = min(1.0, longest_side / max(pixels.shape))
    picture = Image.fromarray(pixels)
    if scale < 1.0:
        size = (round(picture.width * scale), round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.BOX, reducing_gap=3.0)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue(), scale


def refusal(model: ModelIdentity, reason: str) -> AnalysisOutcome:
    """Return the answer for an image that no model in use covers; nothing is computed."""
    return AnalysisOutcome(
        model=model, verdict="cannot_assess", probability=None, reasons=(reason,)
    )


def read_package(folder: Path) -> ModelPackage:
    """Read a model folder after checking the sha256 of its files.

    Does not load the model: web processes call it too. The hash of an unchanged file is
    computed once per process.

    Raises:
        ModelArtifactError: it is missing or altered.
    """
    parsed = read_manifest(folder)
    manifest = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    named = {sha256: folder / name for sha256, name in manifest_files(manifest).items()}
    for sha256, path in named.items():
        try:
            state = path.stat()
            digest = _sha256(path, state.st_mtime_ns, state.st_size)
        except OSError as error:
            raise ModelArtifactError("a file of the model cannot be read") from error
        if digest != sha256:
            raise ModelArtifactError(f"{path.name} is not the file of the manifest")
    return ModelPackage(
        identity=_identity(parsed.info, metrics=parsed.metrics), manifest=manifest, files=named
    )


def manifest_files(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the name of every file that a manifest names, by its sha256: weights, gate and so on.

    A file is named by ``file`` and ``sha256`` side by side, at the top or one level below. Empty
    for what is no whole manifest; names never hold a path.
    """
    parts = [manifest, *(value for value in manifest.values() if isinstance(value, dict))]
    return {
        str(part["sha256"]): Path(str(part["file"])).name
        for part in parts
        if "file" in part and "sha256" in part
    }


def shipped_folder() -> Path:
    """Return the folder of the model that comes with the software."""
    return Path(settings.ML_MODEL_DIR)


def shipped_model() -> ModelIdentity:
    """Return the identity of the artifact in ``ML_MODEL_DIR`` after checking its sha256.

    Raises:
        ModelArtifactError: it is missing or altered.
    """
    return read_package(shipped_folder()).identity


@lru_cache(maxsize=16)
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
        heatmap_png=_png(prediction.heatmap if prediction.model.heatmap_shown else None),
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
