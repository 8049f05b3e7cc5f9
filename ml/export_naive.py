"""What a small app often does, for comparison: eager Keras, gradient Grad-CAM, loading each time.

``python -m ml.export_naive`` prints one JSON object. ResNet50 at 224 with random weights: only its
speed and memory mean anything. Needs ``requirements-train.txt``.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import psutil
import tensorflow as tf

from ml.cam import GradCam

_SIZE = 224
_REPEATS = 5


def build() -> keras.Model:
    """Return the network, with one logit."""
    picture = keras.Input((_SIZE, _SIZE, 1))
    backbone = keras.applications.ResNet50(
        weights=None, include_top=False, input_shape=(_SIZE, _SIZE, 3)
    )
    features = backbone(keras.layers.Concatenate()([picture] * 3))
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    return keras.Model(picture, {"fracture": keras.layers.Dense(1, name="fracture")(pooled)})


def analyse(model: keras.Model, pixels: np.ndarray) -> None:
    """Answer one picture and explain it."""
    model.predict(pixels[None, ..., None], verbose=0)
    GradCam(model, "fracture").heat(pixels)


def main() -> None:
    """Measure both ways with one thread."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    pixels = np.random.default_rng(0).uniform(-1, 1, (_SIZE, _SIZE)).astype(np.float32)
    model = build()
    analyse(model, pixels)
    kept, kept_busy, loaded, loaded_busy = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        for _ in range(_REPEATS):
            started, worked = time.perf_counter(), time.process_time()
            analyse(model, pixels)
            kept.append(time.perf_counter() - started)
            kept_busy.append(time.process_time() - worked)
            started, worked = time.perf_counter(), time.process_time()
            analyse(keras.saving.load_model(path, compile=False), pixels)
            loaded.append(time.perf_counter() - started)
            loaded_busy.append(time.process_time() - worked)

    def milliseconds(seconds: list[float]) -> float:
        return round(statistics.median(seconds) * 1000.0, 1)

    figures = {
        "kept": {"ms": milliseconds(kept), "cpu_ms": milliseconds(kept_busy)},
        "loading": {"ms": milliseconds(loaded), "cpu_ms": milliseconds(loaded_busy)},
        "rss_mb": round(psutil.Process().memory_info().rss / 1e6),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
