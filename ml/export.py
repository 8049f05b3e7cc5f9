"""Turn trained weights into the shipped model folder: ``python -m ml.export``.

Writes ``fracture_detector.onnx`` and a ``manifest.json`` that is not calibrated yet
(``ml.calibrate`` does that). Refuses to write when the ONNX file and Keras answer differently.
Needs ``requirements-train.txt``.
"""

import argparse
import hashlib
import json
import logging
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import tensorflow as tf
import tf2onnx

from ml.architectures.detector import OUTPUTS, build_detector
from ml.calibration import sigmoid
from ml.data.fracatlas import read_samples
from ml.data.pictures import read_grey
from ml.data.splits import read_split
from ml.labels import BODY_REGIONS, COARSE_REGIONS
from ml.manifest import MANIFEST_NAME, SCHEMA_VERSION
from ml.preprocessing import PREPROCESSING_VERSION, prepare

logger = logging.getLogger("ml.export")
MODEL_FILE = "fracture_detector.onnx"
MAX_BYTES = 25_000_000
PARITY_LIMIT = 1e-3
_EXPORTED = (*OUTPUTS, "features")
_MODALITIES = ("CR", "DX", "SC", "RG", "")


def with_features(model: keras.Model) -> keras.Model:
    """Return the model with its pooled features as a further output, in a fixed order."""
    features = model.get_layer("pool").output
    return keras.Model(model.input, [*(model.output[name] for name in OUTPUTS), features])


def to_onnx(model: keras.Model, size: int) -> onnx.ModelProto:
    """Convert to ONNX with one input and named outputs.

    Raises:
        ValueError: the converter leaked further inputs into the graph (it does for some networks).
    """
    signature = [tf.TensorSpec((None, size, size, 1), tf.float32, name="pixels")]

    @tf.function(input_signature=signature)
    def forward(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        values = model(pixels, training=False)
        return {
            name: tf.identity(value, name=name)
            for name, value in zip(_EXPORTED, values, strict=True)
        }

    proto, _ = tf2onnx.convert.from_function(forward, input_signature=signature, opset=17)
    if len(proto.graph.input) != 1:
        raise ValueError(f"the graph has inputs {[i.name for i in proto.graph.input]}")
    missing = set(_EXPORTED) - {output.name for output in proto.graph.output}
    if missing:
        raise ValueError(f"the graph lacks the outputs {sorted(missing)}")
    onnx.checker.check_model(proto)
    return proto


def parity(model: keras.Model, data: bytes, pixels: npt.NDArray[np.float32]) -> dict[str, float]:
    """Return the largest difference of each output, logits of probabilities as probabilities."""
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    answers = dict(zip(names, session.run(names, {"pixels": pixels}), strict=True))
    reference = dict(zip(_EXPORTED, model(pixels, training=False), strict=True))
    differences = {}
    for name in _EXPORTED:
        first, second = np.asarray(reference[name], np.float64), answers[name].astype(np.float64)
        if name in {"image", "region", "body_region", "flags", "map", "attributes"}:
            first, second = sigmoid(first), sigmoid(second)
        elif name == "boxes":
            first, second = first / pixels.shape[1], second / pixels.shape[1]
        differences[name] = float(np.abs(first - second).max())
    return differences


def fixed_pictures(data: Path, split: Path, size: int, count: int = 16) -> npt.NDArray[np.float32]:
    """Return the first validation pictures, half of them fractured, prepared as at run time."""
    parts = read_split(split)
    held_back = [s for s in read_samples(data) if parts.get(s.image_id) == "validation"]
    chosen = [s for s in held_back if s.fractured][: count // 2]
    chosen += [s for s in held_back if not s.fractured][: count - len(chosen)]
    return np.stack([prepare(read_grey(s.path), input_size=size).pixels for s in chosen])[..., None]


def provisional_manifest(
    *, version: str, data: bytes, size: int, parities: dict[str, float], training: dict[str, Any]
) -> dict[str, Any]:
    """Return a manifest that is complete but neither calibrated nor measured."""
    return {
        "schema_version": SCHEMA_VERSION,
        "name": "fracture-detector",
        "version": version,
        "file": MODEL_FILE,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "input_size": size,
        "preprocessing_version": PREPROCESSING_VERSION,
        "flip_average": True,
        "map_weight": 1.0,
        "modalities": list(_MODALITIES),
        "regions": list(COARSE_REGIONS),
        "body_regions": list(BODY_REGIONS),
        "calibration": {
            "id": "none",
            "image": {"slope": 1.0, "intercept": 0.0},
            "box": {"slope": 1.0, "intercept": 0.0},
        },
        "thresholds": {"suspicion": 0.2, "definite": 0.6},
        "box_thresholds": {"suspicion": 0.2, "definite": 0.5},
        "parity": {name: round(value, 8) for name, value in parities.items()},
        "training": training,
        "metrics": {},
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(prog="python -m ml.export", description=__doc__)
    here = Path(__file__).parent
    parser.add_argument("--weights", type=Path, required=True, help=".weights.h5 of ml.train")
    parser.add_argument("--config", type=Path, default=here / "configs" / "detector.toml")
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--split", type=Path, default=here / "data" / "splits" / "fracatlas_v1.csv")
    parser.add_argument("--out", type=Path, default=here / "weights")
    parser.add_argument("--version", required=True)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = tomllib.loads(arguments.config.read_text(encoding="utf-8"))["model"]
    size = int(options["input_size"])
    trained = build_detector(backbone_weights=None, **options)
    trained.load_weights(str(arguments.weights))
    model = with_features(trained)
    proto = to_onnx(model, size)
    proto.producer_name = "fracture-site"
    data = proto.SerializeToString()
    pictures = fixed_pictures(arguments.data, arguments.split, size)
    differences = parity(model, data, pictures)
    worst = max(value for name, value in differences.items() if name != "features")
    logger.info("largest differences: %s", differences)
    if worst > PARITY_LIMIT:
        raise SystemExit(f"ONNX differs from Keras by {worst:.2g}: not written")
    if len(data) > MAX_BYTES:
        raise SystemExit(f"the file would have {len(data)} bytes: not written")
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / MODEL_FILE).write_bytes(data)
    manifest = provisional_manifest(
        version=arguments.version,
        data=data,
        size=size,
        parities=differences,
        training={"config": arguments.config.name, "split": arguments.split.name},
    )
    text = json.dumps(manifest, indent=2) + "\n"
    (arguments.out / MANIFEST_NAME).write_text(text, encoding="utf-8")
    logger.info("wrote %s, %d bytes", arguments.out / MODEL_FILE, len(data))


if __name__ == "__main__":
    main()
