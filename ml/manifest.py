"""What a model folder says about its weights: identity, calibration, operating points."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.calibration import LogisticCalibration
from ml.contracts import ModelArtifactError, ModelInfo, Thresholds
from ml.preprocessing import PREPROCESSING_VERSION

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """The parsed ``manifest.json`` of one model.

    Attributes:
        info: identity stored with every result.
        weights: the model file beside the manifest.
        input_size: side of the square input.
        flip_average: whether the mirrored picture is run too and both answers averaged.
        map_weight: how much the hottest part of the fracture map adds to the image logit.
        image_calibration, box_calibration: from evidence to probabilities.
        box_thresholds: from which probability a place is shown, and shown as definite.
        regions, body_regions: codes in the order of the network's outputs.
        novelty_limit: distance from the training pictures above which a picture is refused.
        gate_file: the learned quality gate; ``None`` for models without one.
        metrics: figures of the held-back test, for people to read.
    """

    info: ModelInfo
    weights: Path
    input_size: int
    flip_average: bool
    map_weight: float
    image_calibration: LogisticCalibration
    box_calibration: LogisticCalibration
    box_thresholds: Thresholds
    regions: tuple[str, ...]
    body_regions: tuple[str, ...]
    novelty_file: Path | None
    novelty_sha256: str
    novelty_limit: float
    gate_file: Path | None
    gate_sha256: str
    metrics: Mapping[str, Any]


def read_manifest(location: Path) -> Manifest:
    """Read a manifest from its file or from the folder that holds it.

    Raises:
        ModelArtifactError: missing, malformed, or made for another preprocessing.
    """
    path = location / MANIFEST_NAME if location.is_dir() else location
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        manifest = _parse(values, path.parent)
    except OSError as error:
        raise ModelArtifactError(f"cannot read {path.name} in {path.parent.name}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ModelArtifactError(f"{path.name} is not a valid manifest: {error}") from error
    if manifest.info.preprocessing_version != PREPROCESSING_VERSION:
        raise ModelArtifactError(
            f"the model was made for preprocessing {manifest.info.preprocessing_version}, "
            f"this code is {PREPROCESSING_VERSION}"
        )
    return manifest


def _parse(values: Mapping[str, Any], folder: Path) -> Manifest:
    if values["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema_version {values['schema_version']} is unknown")
    calibration, novelty = values["calibration"], values.get("novelty")
    gate = values.get("gate")
    return Manifest(
        info=ModelInfo(
            name=str(values["name"]),
            version=str(values["version"]),
            sha256=str(values["sha256"]),
            preprocessing_version=str(values["preprocessing_version"]),
            calibration_id=str(calibration["id"]),
            thresholds=_thresholds(values["thresholds"]),
            modalities=tuple(str(value) for value in values["modalities"]),
            heatmap_shown=_heatmap_shown(values.get("heatmap", {})),
        ),
        weights=_inside(folder, values["file"]),
        input_size=int(values["input_size"]),
        flip_average=bool(values["flip_average"]),
        map_weight=float(values["map_weight"]),
        image_calibration=_calibration(calibration["image"]),
        box_calibration=_calibration(calibration["box"]),
        box_thresholds=_thresholds(values["box_thresholds"]),
        regions=tuple(values["regions"]),
        body_regions=tuple(values["body_regions"]),
        novelty_file=_inside(folder, novelty["file"]) if novelty else None,
        novelty_sha256=str(novelty["sha256"]) if novelty else "",
        novelty_limit=float(novelty["limit"]) if novelty else float("inf"),
        gate_file=_inside(folder, gate["file"]) if gate else None,
        gate_sha256=str(gate["sha256"]) if gate else "",
        metrics=values.get("metrics", {}),
    )


def _heatmap_shown(values: Any) -> bool:
    shown = values.get("shown", True) if isinstance(values, Mapping) else None
    if not isinstance(shown, bool):
        raise TypeError("heatmap.shown must be true or false")
    return shown


def _inside(folder: Path, name: str) -> Path:
    """Return a file of the folder; a manifest must not reach out of it."""
    if Path(name).name != name or name in {"", ".", ".."}:
        raise ValueError(f"{name!r} is not a plain file name")
    return folder / name


def _calibration(values: Mapping[str, Any]) -> LogisticCalibration:
    return LogisticCalibration(float(values["slope"]), float(values["intercept"]))


def _thresholds(values: Mapping[str, Any]) -> Thresholds:
    suspicion, definite = float(values["suspicion"]), float(values["definite"])
    if not 0.0 < suspicion <= definite < 1.0:
        raise ValueError(f"thresholds {suspicion} and {definite} are not in order within (0, 1)")
    return Thresholds(suspicion=suspicion, definite=definite)
