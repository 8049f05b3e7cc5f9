# ruff: noqa: INP001 - a script's part
"""What every benchmark prints: one JSON line a figure, ours and the peer's side by side."""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PICTURES = Path(os.environ.get("DATASET", ROOT.parent / "shared" / "data" / "fracatlas")) / "images"
QUICK = os.environ.get("QUICK", "") in {"1", "true", "yes"}


def figure(
    name: str,
    ours: float,
    unit: str,
    *,
    n: int,
    peer: float | None = None,
    peer_is: str = "",
    more_is_better: bool = False,
    aim: str = "",
) -> None:
    """Print one figure; ``ratio`` is how many times better ours is than the peer's."""
    ratio = None
    if peer:
        ratio = round(ours / peer if more_is_better else peer / ours, 3)
    line: dict[str, Any] = {
        "name": name, "ours": _short(ours), "peer": None if peer is None else _short(peer),
        "ratio": ratio, "unit": unit, "n": n, "machine": machine(),
    }  # fmt: skip
    line |= {"peer_is": peer_is} if peer_is else {}
    line |= {"aim": aim} if aim else {}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def interleaved(
    ways: Mapping[str, Callable[[int], object]], rounds: int
) -> dict[str, Sequence[float]]:
    """Return the milliseconds of each way; they take turns, so that a neighbour disturbs all."""
    for way in ways.values():
        way(0)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way(number)
            taken[name].append((time.perf_counter() - started) * 1000)
    return taken


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def radiographs(count: int) -> list[bytes]:
    """Return encoded PNGs: real radiographs where they are, drawn ones otherwise; all differ."""
    import cv2

    from ml.data.synthetic import synthetic_radiograph

    files = sorted(PICTURES.rglob("*.jpg"))[:: max(1, 2800 // max(1, count))][:count]
    made = []
    for number in range(count):
        if files:
            pixels = cv2.imread(str(files[number % len(files)]), cv2.IMREAD_GRAYSCALE)
        else:
            pixels = synthetic_radiograph(number % 20, size=(1024, 1280)).pixels
        pixels[0, : 8 + number // 200] = number % 200  # no two have the same bytes
        made.append(cv2.imencode(".png", pixels)[1].tobytes())
    return made


@lru_cache
def machine() -> str:
    """Return the processor, how many cores this process may use, and the interpreter."""
    name = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            name = line.partition(":")[2].strip()
            break
    cores = len(os.sched_getaffinity(0))
    return f"{name}, {cores} cores, Python {platform.python_version()}"


def _short(value: float) -> float:
    return float(f"{value:.4g}")
