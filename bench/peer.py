# ruff: noqa: E402, INP001 - a script
"""What common fracture apps do, in a process of its own (needs ``requirements-train.txt``).

Keras' ResNet50 at 224, ``model.predict`` and a gradient Grad-CAM, random weights: only speed means
anything. ``bench/predict.py`` starts it and writes commands, one a line: ``kept FILE``,
``loading FILE`` (the model is read for each request), ``work MODEL.onnx`` (multiplications).
Answers are JSON lines.
"""

import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras
import numpy as np
from PIL import Image

from ml.export_naive import analyse, build

SIDE = 224


def main() -> None:
    """Answer until the input ends."""
    model = build()
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "model.keras"
        model.save(stored)
        analyse(model, np.zeros((SIDE, SIDE), np.float32))
        tell({"ready_s": time.perf_counter() - STARTED})
        for line in sys.stdin:
            way, _, name = line.strip().partition(" ")
            if way == "work":
                tell(multiplications(Path(name)))
                continue
            started = time.perf_counter()
            chosen = keras.saving.load_model(stored, compile=False) if way == "loading" else model
            picture = Image.open(name).convert("L").resize((SIDE, SIDE))
            analyse(chosen, np.asarray(picture, np.float32) / 127.5 - 1.0)
            tell({"ms": (time.perf_counter() - started) * 1000})


def multiplications(path: Path) -> dict[str, float]:
    """Return the floating point operations of one picture: all, and of depthwise convolutions."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    shapes = {
        value.name: [max(1, dim.dim_value) for dim in value.type.tensor_type.shape.dim]
        for value in [*graph.value_info, *graph.output]
    }
    weights = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    total = depthwise = 0.0
    for node in graph.node:
        if node.op_type in {"Conv", "Gemm", "MatMul"} and node.input[1] in weights:
            kernel = weights[node.input[1]]
            size = math.prod(shapes.get(node.output[0], [1]))
            each = math.prod(kernel[1:]) if node.op_type == "Conv" else kernel[0]
            total += 2.0 * size * each
            if node.op_type == "Conv" and kernel[1] == 1 and kernel[0] > 1:
                depthwise += 2.0 * size * each
    return {"total": total, "depthwise": depthwise}


def tell(line: dict[str, Any]) -> None:
    """Print one line."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
