"""Analyse image files from the command line, without Django or TensorFlow.

``python -m ml.predict --image FILE... [--json] [--heatmap DIR]`` prints the same prediction as the
product. Exit code 0: every file was analysed (a picture that the model cannot assess is an
analysis too); 2: a file or the model could not be used, with a sentence on stderr.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2

from ml.contracts import ModelArtifactError, Prediction, UnreadableImageError
from ml.predictor import WEIGHTS_FOLDER, FracturePredictor, load_predictor

EXIT_UNUSABLE = 2
DISCLAIMER = "An aid for clinicians, not a diagnosis and never a clearance."

_SENTENCES = {
    "archive": "is an archive; unpack it first",
    "damaged": "is damaged and cannot be decoded",
    "empty_file": "is empty",
    "no_pixel_data": "has no pixels",
    "not_an_image": "is not an image; use PNG, JPEG, TIFF or DICOM",
    "pdf": "is a PDF; use the PNG, JPEG, TIFF or DICOM image itself",
    "svg_or_html": "is a drawing or a web page; use PNG, JPEG, TIFF or DICOM",
    "too_large": "is too large",
    "too_many_frames": "has too many frames",
    "too_many_pixels": "has too many pixels",
    "too_small": "has too few pixels",
    "unsupported_kind": "is a kind of image that is not supported; use PNG, JPEG, TIFF or DICOM",
    "unsupported_transfer_syntax": "is compressed in a way that is not supported",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ml.predict", description=__doc__)
    parser.add_argument("--image", nargs="+", type=Path, required=True, metavar="FILE")
    parser.add_argument("--model", type=Path, default=WEIGHTS_FOLDER, help="model folder")
    parser.add_argument("--frame", type=int, default=0, help="frame of a multi-frame file")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--heatmap", type=Path, metavar="DIR", help="write grey PNG heatmaps here")
    arguments = parser.parse_args(argv)
    try:
        predictor = load_predictor(arguments.model, threads=arguments.threads)
    except ModelArtifactError as error:
        return _complain(f"The model cannot be used: {error}.")
    if arguments.heatmap is not None:
        try:
            arguments.heatmap.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return _complain(f"{arguments.heatmap} cannot be written to: {error.strerror}.")
    codes = [_one(predictor, path, arguments) for path in arguments.image]
    return max(codes)


def _one(predictor: FracturePredictor, path: Path, arguments: argparse.Namespace) -> int:
    try:
        prediction = predictor.predict(path.read_bytes(), frame=arguments.frame)
    except OSError as error:
        return _complain(f"{path} cannot be read: {error.strerror or 'unknown error'}.")
    except UnreadableImageError as error:
        return _complain(f"{path} {_SENTENCES.get(error.code, f'cannot be used ({error.code})')}.")
    except IndexError:
        return _complain(f"{path} has no frame {arguments.frame}.")
    heatmap = None
    if arguments.heatmap is not None and prediction.heatmap is not None:
        heatmap = arguments.heatmap / f"{path.stem}-heatmap.png"
        heatmap.write_bytes(cv2.imencode(".png", prediction.heatmap)[1].tobytes())
    if arguments.json:
        answer = {"file": str(path), **as_json(prediction)}
        if heatmap is not None:
            answer["heatmap"] = str(heatmap)
        _say(json.dumps(answer))
    else:
        _say(as_text(path, prediction))
    return 0


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
        return f"{path}: cannot assess ({', '.join(prediction.reasons)})"
    head = f"{path}: {prediction.verdict.value}, region {prediction.region}"
    lines = [f"{head}, fracture probability {prediction.probability:.3f}"]
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


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _complain(text: str) -> int:
    sys.stderr.write(text + "\n")
    return EXIT_UNUSABLE


if __name__ == "__main__":
    sys.exit(main())
