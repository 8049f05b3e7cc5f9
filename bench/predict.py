# ruff: noqa: INP001, S101 - a script
"""One encoded radiograph to probability, boxes and heatmap: ours beside what common apps do.

    .venv/bin/python bench/predict.py

Interleaved in one process tree; the peer (``bench/peer.py``) runs on ``.venv-train`` and is left
out where that is missing. Also how much of the machine's matrix peak one forward pass reaches.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the peak of one core
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from bench.figures import QUICK, ROOT, figure, interleaved, median, radiographs
from ml.predictor import WEIGHTS_FOLDER, load_predictor
from ml.runtimes.onnx import OnnxRuntime

TRAIN_PYTHON = ROOT / ".venv-train" / "bin" / "python"
KEPT = "Keras ResNet50 at 224, predict and Grad-CAM, model kept"
LOADING = "the same, model loaded for each request"


class Peer:
    """The other process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [str(TRAIN_PYTHON), str(ROOT / "bench" / "peer.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
            text=True,
        )
        self.ready_s = float(self._answer()["ready_s"])

    def ask(self, command: str) -> dict[str, Any]:
        """Return its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def stop(self) -> None:
        """End it."""
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def main() -> None:
    """Measure and print."""
    rounds = 8 if QUICK else 25
    pictures = radiographs(rounds)
    peer = Peer() if TRAIN_PYTHON.exists() else None
    one, two = (load_predictor(WEIGHTS_FOLDER, threads=threads) for threads in (1, 2))
    stages: dict[str, list[float]] = {}

    def ours(number: int) -> None:
        for stage, spent in one.predict(pictures[number]).timings_ms.items():
            stages.setdefault(stage, []).append(spent)

    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, data in enumerate(pictures):
            files.append(Path(folder) / f"{number}.png")
            files[-1].write_bytes(data)
        ways: dict[str, Any] = {"one": ours, "two": lambda n: two.predict(pictures[n])}
        if peer:
            ways["kept"] = lambda n: peer.ask(f"kept {files[n]}")
            ways["loading"] = lambda n: peer.ask(f"loading {files[n]}")
        taken = {name: median(times) for name, times in interleaved(ways, rounds).items()}
    for name, told in (("one", "1 thread"), ("two", "2 threads")):
        for way, peer_is in (("kept", KEPT), ("loading", LOADING)):
            figure(
                f"predict one radiograph, {told}{'' if way == 'kept' else ', peer loads'}",
                taken[name], "ms", n=rounds, peer=taken.get(way), peer_is=peer_is,
                aim=">= 10 x faster",
            )  # fmt: skip
    for stage, spent in stages.items():
        figure(f"predict, 1 thread: {stage}", median(spent), "ms", n=len(spent))
    if peer:
        _share_of_peak(peer)
        peer.stop()


def _share_of_peak(peer: Peer) -> None:
    """Print the forward pass's rate beside that of a large matrix product, on one thread each."""
    weights = next(WEIGHTS_FOLDER.glob("*.onnx"))
    work = peer.ask(f"work {weights}")
    manifest = load_predictor(WEIGHTS_FOLDER).manifest
    runtime = OnnxRuntime(weights, sha256=manifest.info.sha256, threads=1)
    size = manifest.input_size
    pixels = np.zeros((1, size, size), np.float32)
    matrix = np.random.default_rng(0).random((1536, 1536)).astype(np.float32)
    ways = {"forward": lambda _n: runtime.run(pixels), "peak": lambda _n: matrix @ matrix}
    rounds = 10 if QUICK else 40
    taken = interleaved(ways, rounds)
    forward = work["total"] / min(taken["forward"]) / 1e6
    peak = 2.0 * 1536**3 / min(taken["peak"]) / 1e6
    figure(
        "forward pass, share of the matrix peak, 1 thread, float32", forward, "GFLOP/s", n=rounds,
        peer=peak, peer_is="numpy's matrix product", more_is_better=True, aim=">= 0.40",
    )  # fmt: skip
    share = work["depthwise"] / work["total"]
    figure("forward pass, operations in depthwise convolutions", 100 * share, "%", n=1)
    figure("forward pass, operations", work["total"] / 1e9, "GFLOP", n=1)


def cold_start() -> None:
    """Predict once and end; ``bench/resources.py`` times the whole process."""
    load_predictor(WEIGHTS_FOLDER).predict(sys.stdin.buffer.read())
    sys.stdout.write(f"{time.process_time()}\n")


if __name__ == "__main__":
    cold_start() if sys.argv[1:] == ["cold"] else main()
