"""An answer in the forms that ``ml.predict`` gives: JSON, a row, lines of text, a picture."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ml.contracts import Prediction
from ml.overlay import draw, marks_of

DISCLAIMER = "An aid for clinicians, not a diagnosis and never a clearance."
COLUMNS = (
    *("file", "verdict", "probability", "region", "severity", "findings", "strongest_box"),
    *("reasons", "warnings", "model", "version", "sha256", "error"),
)


def overlay_of(pixels: npt.NDArray[np.generic], prediction: Prediction) -> Image.Image:
    """Return the picture with its boxes (solid: definite, dashed: suspicion), heat and words."""
    model = prediction.model
    lines = [
        headline(prediction),
        f"{model.name} {model.version}. {DISCLAIMER}",
    ]
    heatmap = prediction.heatmap if model.heatmap_shown else None
    return draw(pixels, marks_of(prediction), lines, heatmap=heatmap)


def as_row(path: Path, prediction: Prediction) -> dict[str, Any]:
    """Return the row of one file in the table, in the order of ``COLUMNS``."""
    said = as_json(prediction)
    findings: Any = said["findings"]
    model = prediction.model
    return {
        "file": path,
        **{name: said[name] for name in ("verdict", "probability", "region", "severity")},
        "findings": len(findings),
        "strongest_box": " ".join(str(v) for v in findings[0]["box"]) if findings else "",
        "reasons": " ".join(prediction.reasons),
        "warnings": " ".join(prediction.warnings),
        "model": model.name,
        "version": model.version,
        "sha256": model.sha256,
    }


def as_json(prediction: Prediction) -> dict[str, object]:
    """Return the prediction as plain JSON values, in the words of the API."""
    model, thresholds = prediction.model, prediction.model.thresholds
    return {
        "verdict": prediction.verdict.value,
        "probability": prediction.probability,
        "region": prediction.region,
        "region_probability": prediction.region_probability,
        "severity": prediction.severity,
        "thresholds": {"suspicion": thresholds.suspicion, "definite": thresholds.definite},
        "model": {"name": model.name, "version": model.version, "sha256": model.sha256},
        "preprocessing": model.preprocessing_version,
        "calibration": model.calibration_id,
        "image": {"width": prediction.image_width, "height": prediction.image_height},
        "findings": [
            {
                "box": [
                    round(value, 2)
                    for value in (
                        finding.box.x,
                        finding.box.y,
                        finding.box.width,
                        finding.box.height,
                    )
                ],
                "probability": finding.probability,
                "certainty": finding.certainty.value,
                "type": finding.fracture_type,
                "displacement": finding.displacement,
                "severity": finding.severity,
            }
            for finding in prediction.findings
        ],
        "reasons": list(prediction.reasons),
        "warnings": list(prediction.warnings),
        "timings_ms": dict(prediction.timings_ms),
        "disclaimer": DISCLAIMER,
    }


def as_text(path: Path, prediction: Prediction) -> str:
    """Return the prediction as a few lines for people."""
    if prediction.probability is None:
        return f"{path}: {headline(prediction)}"
    lines = [f"{path}: {headline(prediction)}"]
    lines += [
        f"  {finding.certainty.value}: {finding.probability:.3f} at x {finding.box.x:.0f}, "
        f"y {finding.box.y:.0f}, {finding.box.width:.0f} x {finding.box.height:.0f} pixels"
        for finding in prediction.findings
    ]
    if prediction.warnings:
        lines.append(f"  warnings: {', '.join(prediction.warnings)}")
    model = prediction.model
    lines.append(f"  {model.name} {model.version}. {DISCLAIMER}")
    return "\n".join(lines)


def headline(prediction: Prediction) -> str:
    """Return verdict, region and probability, or why there is none."""
    if prediction.probability is None:
        return f"cannot assess ({', '.join(prediction.reasons)})"
    words = f"{prediction.verdict.value}, region {prediction.region}"
    return f"{words}, fracture probability {prediction.probability:.3f}"
