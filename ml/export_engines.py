"""Run an exported file in a process of its own: answers, time, memory. ``python -m`` only.

Each format is measured alone, with one thread, so that no library counts towards another's memory.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import psutil

Arrays = dict[str, npt.NDArray[np.float32]]
Engine = Callable[[npt.NDArray[np.float32]], Arrays]
_REPEATS: Final = 16


def load_onnx(path: Path) -> Engine:
    """Load an ONNX file in ONNX Runtime."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    source = session.get_inputs()[0].name
    return lambda pixels: dict(zip(names, session.run(names, {source: pixels}), strict=True))


def load_keras(path: Path) -> Engine:
    """Load a .keras or .h5 file and compile its forward pass."""
    tf = _tensorflow()
    import keras

    import ml.architectures.detector  # noqa: F401 - registers the detector's own layer function

    model = keras.saving.load_model(path, compile=False)
    forward = tf.function(lambda pixels: model(pixels, training=False))
    return lambda pixels: {n: np.asarray(v) for n, v in forward(tf.constant(pixels)).items()}


def load_savedmodel(path: Path) -> Engine:
    """Load a SavedModel folder without Keras."""
    tf = _tensorflow()
    model = tf.saved_model.load(str(path))
    forward = model.signatures["serving_default"]
    return lambda pixels: {
        name: np.asarray(value) for name, value in forward(pixels=tf.constant(pixels)).items()
    }


def load_tflite(path: Path) -> Engine:
    """Load a TFLite file in LiteRT, which takes one picture at a time."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    runner = interpreter.get_signature_runner()

    def run(pixels: npt.NDArray[np.float32]) -> Arrays:
        answers = [
            {name: value.copy() for name, value in runner(pixels=picture[None]).items()}
            for picture in pixels
        ]
        return {name: np.concatenate([a[name] for a in answers]) for name in answers[0]}

    return run


ENGINES: Final[Mapping[str, tuple[str, Callable[[Path], Engine]]]] = {
    "onnx": ("ONNX Runtime", load_onnx),
    "keras": ("Keras, tf.function", load_keras),
    "h5": ("Keras, tf.function", load_keras),
    "savedmodel": ("TensorFlow", load_savedmodel),
    "tflite": ("LiteRT", load_tflite),
    "onnx-int8": ("ONNX Runtime", load_onnx),
}


def measure(kind: str, path: Path, fixed: npt.NDArray[np.float32]) -> tuple[Engine, dict[str, Any]]:
    """Load a file and time it on single pictures.

    Returns:
        The engine, and seconds to load, median milliseconds a picture (by the clock, and of
        processor time, which neighbours disturb less) and resident megabytes.
    """
    started = time.perf_counter()
    engine = ENGINES[kind][1](path)
    engine(fixed[:1])
    loaded = time.perf_counter() - started
    times, busy = [], []
    for index in range(_REPEATS):
        picture = fixed[index % len(fixed)][None]
        started, worked = time.perf_counter(), time.process_time()
        engine(picture)
        times.append((time.perf_counter() - started) * 1000.0)
        busy.append((time.process_time() - worked) * 1000.0)
    return engine, {
        "engine": ENGINES[kind][0],
        "load_s": round(loaded, 2),
        "ms": round(statistics.median(times), 1),
        "cpu_ms": round(statistics.median(busy), 1),
        "rss_mb": round(psutil.Process().memory_info().rss / 1e6),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure one file; write the answers for the fixed and the scores for all other pictures."""
    from ml.export_scores import image_scores

    parser = argparse.ArgumentParser(prog="python -m ml.export_engines")
    parser.add_argument("--format", choices=ENGINES, required=True)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--fixed", type=Path, required=True, help="npy of prepared pictures")
    parser.add_argument("--scored", type=Path, required=True, help="npy of prepared pictures")
    parser.add_argument("--out", type=Path, required=True, help="npz")
    options = parser.parse_args(argv)
    fixed = np.load(options.fixed)
    engine, figures = measure(options.format, options.file, fixed)
    answers = [engine(picture[None]) for picture in fixed]
    scored = np.load(options.scored, mmap_mode="r")
    scores = [image_scores(engine(np.array(picture[None])))[0] for picture in scored]
    np.savez(
        options.out,
        scores=np.array(scores, np.float64),
        **{f"output_{n}": np.concatenate([a[n] for a in answers]) for n in answers[0]},
    )
    sys.stdout.write(json.dumps(figures) + "\n")


def _tensorflow() -> Any:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf


if __name__ == "__main__":
    main()
