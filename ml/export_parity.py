"""The gate of the export: does a file answer as Keras does? Rows of the parity table."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.export_scores import FloatArray, image_scores, largest_differences
from ml.metrics import auroc

PROBABILITY_LIMIT = 1e-3
AUROC_LOSS_LIMIT = 0.005
ROUNDED = frozenset({"onnx-int8"})  # judged by AUROC: rounding moves every answer a little
_NOT_JUDGED = frozenset({"features"})


@dataclass(frozen=True, slots=True)
class Pictures:
    """What every format is compared on.

    Attributes:
        fixed: a few prepared pictures, ``(n, size, size, 1)``, for all outputs.
        scored: prepared pictures of the validation part, for the AUROC.
        labels: whether each of ``scored`` is fractured.
        kind: ``real`` or ``synthetic``.
    """

    fixed: npt.NDArray[np.float32]
    scored: npt.NDArray[np.float32]
    labels: npt.NDArray[np.bool_]
    kind: str


@dataclass(frozen=True, slots=True)
class Reference:
    """Keras' own answers."""

    outputs: dict[str, npt.NDArray[np.float32]]
    scores: FloatArray


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the parity table; ``refusal`` says why a file is not written."""

    format: str
    engine: str
    bytes: int
    differences: dict[str, float] = field(default_factory=dict)
    auroc: float = float("nan")
    load_s: float = 0.0
    ms: float = 0.0
    cpu_ms: float = 0.0
    rss_mb: int = 0
    refusal: str = ""

    @property
    def largest(self) -> float:
        """Largest difference of any answer that is judged."""
        judged = [v for name, v in self.differences.items() if name not in _NOT_JUDGED]
        return max(judged, default=float("nan"))

    def as_json(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return {
            "format": self.format,
            "engine": self.engine,
            "bytes": self.bytes,
            "largest_difference": _number(self.largest, 8),
            "differences": {name: _number(v, 8) for name, v in self.differences.items()},
            "auroc": _number(self.auroc, 4),
            "load_s": self.load_s,
            "ms": self.ms,
            "cpu_ms": self.cpu_ms,
            "rss_mb": self.rss_mb,
            "refusal": self.refusal,
        }


def reference_answers(forward: Any, pictures: Pictures) -> Reference:
    """Return the answers of ``forward`` (pixels to a dict of arrays), one picture at a time."""
    outputs = [forward(picture[None]) for picture in pictures.fixed]
    scores = [image_scores(forward(picture[None]))[0] for picture in pictures.scored]
    return Reference(
        {name: np.concatenate([o[name] for o in outputs]) for name in outputs[0]},
        np.array(scores, np.float64),
    )


def judge(name: str, path: Path, reference: Reference, pictures: Pictures, folder: Path) -> Row:
    """Run a file in a process of its own and compare; the pictures are saved in ``folder``."""
    for part, values in (("fixed", pictures.fixed), ("scored", pictures.scored)):
        if not (folder / f"{part}.npy").is_file():
            np.save(folder / f"{part}.npy", values)
    out = folder / f"{name}.npz"
    done = run_module(
        "ml.export_engines",
        *("--format", name, "--file", str(path), "--out", str(out)),
        *("--fixed", str(folder / "fixed.npy"), "--scored", str(folder / "scored.npy")),
    )
    size = file_bytes(path)
    if done is None:
        return Row(name, "", size, refusal="it cannot be loaded or run")
    with np.load(out) as answers:
        scores = answers["scores"]
        outputs = {n.removeprefix("output_"): answers[n] for n in answers.files if n != "scores"}
    try:
        differences = largest_differences(
            reference.outputs, outputs, input_size=pictures.fixed.shape[1]
        )
    except ValueError as error:
        return Row(name, done["engine"], size, refusal=str(error))
    row = Row(
        name, bytes=size, differences=differences, auroc=auroc(pictures.labels, scores), **done
    )
    loss = auroc(pictures.labels, reference.scores) - row.auroc
    return replace(row, refusal=refusal(row, auroc_loss=loss))


def refusal(row: Row, *, auroc_loss: float) -> str:
    """Return why a file must not be written, ``""`` when it may."""
    if row.format not in ROUNDED:
        if row.largest <= PROBABILITY_LIMIT:
            return ""
        return f"differs from Keras by {row.largest:.2g}, allowed is {PROBABILITY_LIMIT:g}"
    if auroc_loss <= AUROC_LOSS_LIMIT:
        return ""
    if np.isnan(auroc_loss):
        return "the AUROC cannot be compared: both labels are needed (--data, --pictures)"
    return f"loses {auroc_loss:.4f} of AUROC, allowed is {AUROC_LOSS_LIMIT:g}"


def naive_rows() -> list[Row]:
    """Return what a small app often does, measured here, for comparison of speed only."""
    done = run_module("ml.export_naive")
    if done is None:
        return []
    common = {"bytes": 0, "rss_mb": done["rss_mb"]}
    kept, each_time = "naive Keras: predict, Grad-CAM", "the same, loading the model each time"
    return [
        Row("naive-keras", kept, **done["kept"], **common),
        Row("naive-keras-loading", each_time, **done["loading"], **common),
    ]


def as_markdown(rows: Sequence[Row], pictures: Pictures, reference_auroc: float) -> str:
    """Return the parity table with what it was measured on."""
    fractured = int(pictures.labels.sum())
    basis = (
        f"Against Keras on {len(pictures.fixed)} {pictures.kind} radiographs: largest difference "
        f"of any probability, at most {PROBABILITY_LIMIT:g}. AUROC on {len(pictures.scored)} "
        f"pictures, {fractured} fractured, without the mirror image; Keras itself: "
        f"{_text(reference_auroc, '.4f')}. An 8-bit file may lose {AUROC_LOSS_LIMIT:g} of it. "
        "Each format in a process of its own, one thread, one picture at a time; ms by the clock, "
        "and of processor time, which other work on the machine disturbs less."
    )
    lines = ["# Parity of the exported formats", "", basis, ""]
    lines += [
        "| format | engine | MB | largest difference | AUROC | ms | CPU ms | load s | RSS MB | |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in rows:
        size = f"{row.bytes / 1e6:.1f}" if row.bytes else ""
        load = f"{row.load_s:.1f}" if row.load_s else ""
        lines.append(
            f"| {row.format} | {row.engine} | {size} | {_text(row.largest, '.1e')} "
            f"| {_text(row.auroc, '.4f')} | {row.ms:.0f} | {row.cpu_ms:.0f} | {load} "
            f"| {row.rss_mb} | {'**refused**: ' + row.refusal if row.refusal else ''} |"
        )
    lines += ["", "naive-keras: ResNet50 at 224 with random weights, for speed and memory only."]
    return "\n".join(lines) + "\n"


def run_module(module: str, *options: str) -> dict[str, Any] | None:
    """Run a module in a process of its own; ``None`` when it failed (its words are on stderr)."""
    command = [sys.executable, "-m", module, *options]
    done = subprocess.run(  # noqa: S603 - our own module
        command, stdout=subprocess.PIPE, check=False, text=True
    )
    if done.returncode != 0:
        return None
    values: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return values


def file_bytes(path: Path) -> int:
    """Return the size of a file, or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _number(value: float, digits: int) -> float | None:
    return None if np.isnan(value) else round(value, digits)


def _text(value: float, form: str) -> str:
    return "" if np.isnan(value) else format(value, form)
