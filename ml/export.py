"""Turn trained weights into files that other engines run: ``python -m ml.export --format onnx``.

Every file is run and compared with Keras first; one that answers differently is not written, and
the exit status is 1. With ``onnx`` (the default) a ``manifest.json`` is written beside it that is
not calibrated yet (``ml.calibrate`` does that). ``--table`` writes the parity table as JSON and
Markdown, with speed and memory. Needs ``requirements-train.txt``.
"""

import argparse
import hashlib
import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ml.data.fracatlas import Sample, read_samples
from ml.data.pictures import read_grey
from ml.data.splits import read_split
from ml.data.synthetic import synthetic_radiograph
from ml.export_formats import FILE_NAMES, WRITERS
from ml.export_network import Network, load_network
from ml.export_parity import (
    Pictures,
    Row,
    as_markdown,
    judge,
    naive_rows,
    reference_answers,
)
from ml.labels import BODY_REGIONS, COARSE_REGIONS
from ml.manifest import MANIFEST_NAME, SCHEMA_VERSION
from ml.metrics import auroc
from ml.preprocessing import PREPROCESSING_VERSION, prepare

logger = logging.getLogger("ml.export")
MAX_BYTES = 25_000_000  # of what is shipped
_FIXED = 16
_CALIBRATION = 100  # real radiographs of the training part, for the ranges of 8-bit files
_MODALITIES = ("CR", "DX", "SC", "RG", "")
_SHIPPED = ("onnx", "onnx-int8")


class Exporter:
    """Writes one network in several formats, each past the gate."""

    def __init__(self, network: Network, pictures: Pictures, ranges: npt.NDArray[np.float32]):
        self._network = network
        self._pictures = pictures
        self._ranges = ranges
        forward = tf.function(lambda pixels: network.model(pixels, training=False))
        self._reference = reference_answers(
            lambda pixels: {n: np.asarray(v) for n, v in forward(tf.constant(pixels)).items()},
            pictures,
        )

    @property
    def auroc(self) -> float:
        """AUROC of Keras' own scores."""
        return auroc(self._pictures.labels, self._reference.scores)

    def export(self, formats: Sequence[str], out: Path) -> list[Row]:
        """Write, run and compare each format; only those that pass are moved to ``out``."""
        rows = []
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work)
            for name in formats:
                path = folder / FILE_NAMES[name]
                WRITERS[name](self._network, path, self._ranges)
                row = judge(name, path, self._reference, self._pictures, folder)
                rows.append(row)
                logger.info("%s", json.dumps(row.as_json()))
                if not row.refusal:
                    replace_with(path, out / path.name)
        return rows


def replace_with(source: Path, target: Path) -> None:
    """Move a file or folder to where an older one may be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        shutil.rmtree(target)
    shutil.move(source, target)


def read_pictures(
    data: Path | None, split: Path, size: int, limit: int
) -> tuple[Pictures, npt.NDArray[np.float32]]:
    """Return what formats are compared on, and pictures for the ranges of 8-bit files.

    Real ones of the validation and training part; synthetic ones without ``data``.
    """
    if data is None:
        drawn = [synthetic_radiograph(i, fractured=i % 2 == 0) for i in range(2 * _FIXED)]
        ready = _stack([prepare(d.pixels, input_size=size).pixels for d in drawn])
        labels = np.array([d.box is not None for d in drawn])
        return Pictures(ready[:_FIXED], ready, labels, "synthetic"), ready
    parts = read_split(split)
    samples = read_samples(data)
    held_back = [s for s in samples if parts.get(s.image_id) == "validation"]
    training = [s for s in samples if parts.get(s.image_id) == "train"]
    fixed = [s for s in held_back if s.fractured][: _FIXED // 2]
    fixed += [s for s in held_back if not s.fractured][: _FIXED - len(fixed)]
    scored = _evenly(held_back, limit)
    pictures = Pictures(
        _prepared(fixed, size),
        _prepared(scored, size),
        np.array([s.fractured for s in scored], bool),
        "real",
    )
    return pictures, _prepared(_evenly(training, _CALIBRATION), size)


def _evenly(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """Return at most ``limit`` samples from all over the list; 0 means all."""
    if limit <= 0 or len(samples) <= limit:
        return list(samples)
    return [samples[i * len(samples) // limit] for i in range(limit)]


def _prepared(samples: Sequence[Sample], size: int) -> npt.NDArray[np.float32]:
    return _stack([prepare(read_grey(s.path), input_size=size).pixels for s in samples])


def _stack(pixels: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    return np.stack(pixels)[..., None].astype(np.float32)


def provisional_manifest(
    row: Row, path: Path, *, version: str, size: int, training: dict[str, Any]
) -> dict[str, Any]:
    """Return a manifest that is complete but neither calibrated nor measured."""
    data = path.read_bytes()
    return {
        "schema_version": SCHEMA_VERSION,
        "name": "fracture-detector",
        "version": version,
        "file": path.name,
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
        "parity": {name: round(value, 8) for name, value in row.differences.items()},
        "training": training,
        "metrics": {},
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and export."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    formats = list(dict.fromkeys(arguments.format))
    try:
        network = load_network(arguments.weights, arguments.config)
    except (OSError, ValueError) as error:
        parser.error(f"{arguments.weights}: {error}")
    if network.is_detector and set(formats) & set(_SHIPPED) and not arguments.version:
        parser.error("--version is needed for the manifest")
    limit = arguments.pictures
    if limit is None:
        limit = 0 if arguments.table is not None or "onnx-int8" in formats else _FIXED
    pictures, ranges = read_pictures(arguments.data, arguments.split, network.input_size, limit)
    exporter = Exporter(network, pictures, ranges)
    rows = exporter.export(formats, arguments.out)
    written = {row.format: row for row in rows if not row.refusal}
    shipped = next((name for name in _SHIPPED if name in written), None)
    if network.is_detector and shipped is not None:
        _write_manifest(written[shipped], arguments, network)
    if arguments.table is not None:
        _write_table(arguments.table, rows, exporter, pictures)
    for row in rows:
        if row.refusal:
            logger.error("%s is not written: %s", row.format, row.refusal)
        else:
            logger.info("wrote %s, %d bytes", arguments.out / FILE_NAMES[row.format], row.bytes)
    sys.exit(1 if len(written) < len(rows) else 0)


def _write_manifest(row: Row, arguments: argparse.Namespace, network: Network) -> None:
    path = arguments.out / FILE_NAMES[row.format]
    if row.bytes > MAX_BYTES:
        logger.warning("%s has %d bytes, more than what is shipped", path.name, row.bytes)
    manifest = provisional_manifest(
        row,
        path,
        version=arguments.version,
        size=network.input_size,
        training={"config": arguments.config.name, "split": arguments.split.name},
    )
    text = json.dumps(manifest, indent=2) + "\n"
    (arguments.out / MANIFEST_NAME).write_text(text, encoding="utf-8")


def _write_table(path: Path, rows: list[Row], exporter: Exporter, pictures: Pictures) -> None:
    rows = [*rows, *naive_rows()]
    values = {
        "pictures": {
            "kind": pictures.kind,
            "fixed": len(pictures.fixed),
            "scored": len(pictures.scored),
            "fractured": int(pictures.labels.sum()),
        },
        "keras_auroc": round(exporter.auroc, 4),
        "rows": [row.as_json() for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    table = as_markdown(rows, pictures, exporter.auroc)
    path.with_suffix(".md").write_text(table, encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml.export", description=__doc__)
    here = Path(__file__).parent
    parser.add_argument(
        "--weights", type=Path, required=True, help=".weights.h5 of ml.train, or a .keras file"
    )
    parser.add_argument("--format", nargs="+", choices=sorted(WRITERS), default=["onnx"])
    parser.add_argument("--config", type=Path, default=here / "configs" / "detector.toml")
    parser.add_argument(
        "--data", type=Path, help="folder with manifest.csv; synthetic pictures without it"
    )
    parser.add_argument("--split", type=Path, default=here / "data" / "splits" / "fracatlas_v1.csv")
    parser.add_argument(
        "--pictures",
        type=int,
        metavar="N",
        help="of the validation part for the AUROC, 0: all (default for a table or 8 bits)",
    )
    parser.add_argument("--out", type=Path, default=here / "weights")
    parser.add_argument("--version", default="", help="of the model, for the manifest")
    parser.add_argument("--table", type=Path, metavar="FILE", help="parity table (.json and .md)")
    return parser


if __name__ == "__main__":
    main()
