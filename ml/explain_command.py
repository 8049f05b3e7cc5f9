"""Score heatmaps: ``python -m ml.explain --manifest CSV --images DIR --boxes CSV --json OUT``.

Measures the fracture map of ``--model``; with ``--cam`` the class map of an exported classifier and
with ``--grad-cam`` the Grad-CAM of any Keras file (needs ``requirements-train.txt``) beside it, on
the same pictures. ``--write`` puts the score into the model's manifest, with the bar that it has to
reach to be shown unasked. Exit status 2: something is missing.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml.contracts import ModelArtifactError
from ml.data.fracatlas import Sample
from ml.data.splits import read_split
from ml.explain_scores import BAR, Method, Score, dense_map, exact_cam, score
from ml.labelled import LabelledDataError, read_labelled
from ml.manifest import MANIFEST_NAME
from ml.predictor import WEIGHTS_FOLDER, load_predictor

logger = logging.getLogger("ml.explain")
EXIT_UNUSABLE = 2


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and score."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        samples = _with_boxes(arguments)
        methods = _methods(arguments)
    except (LabelledDataError, ModelArtifactError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_UNUSABLE)
    scores = {name: score(method, samples, draws=arguments.draws) for name, method in methods}
    values: dict[str, Any] = {name: found.as_json() for name, found in scores.items()}
    values |= {"pictures": len(samples), "bar": {"pointing_game": arguments.bar}}
    text = json.dumps(values, indent=2) + "\n"
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(text, encoding="utf-8")
    logger.info("%s", text.rstrip())
    if arguments.write:
        shown = write_score(arguments.model, scores["dense"], bar=arguments.bar)
        logger.info("the heatmap is %s unasked", "shown" if shown else "not shown")


def write_score(folder: Path, found: Score, *, bar: float) -> bool:
    """Write into the manifest how well the heatmap points; return whether it may be shown."""
    path = folder / MANIFEST_NAME
    values = json.loads(path.read_text(encoding="utf-8"))
    shown = found.pointing_game.value >= bar
    values["heatmap"] = {"shown": shown, "bar": {"pointing_game": bar}, **found.as_json()}
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    return shown


def _with_boxes(arguments: argparse.Namespace) -> list[Sample]:
    only = None
    if arguments.split is not None:
        parts = read_split(arguments.split)
        only = frozenset(i for i, part in parts.items() if part == arguments.part)
    found = read_labelled(arguments.manifest, arguments.images, arguments.boxes, only=only)
    samples = [sample for sample in found.samples if sample.fractures]
    if not samples:
        raise LabelledDataError("there are no pictures with boxes")
    if arguments.limit:
        samples = samples[:: max(1, len(samples) // arguments.limit)][: arguments.limit]
    return samples


def _methods(arguments: argparse.Namespace) -> list[tuple[str, Method]]:
    methods = [("dense", dense_map(load_predictor(arguments.model)))]
    if arguments.cam is not None:
        methods.append(("cam", exact_cam(arguments.cam)))
    if arguments.grad_cam is not None:
        try:
            # TensorFlow is loaded for this alone.
            from ml.explain_keras import grad_cam
        except ImportError as error:
            raise ValueError(f"--grad-cam needs requirements-train.txt: {error}") from error
        methods.append(("grad_cam", grad_cam(arguments.grad_cam, arguments.config)))
    return methods


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml.explain", description=__doc__)
    here = Path(__file__).parent
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--boxes", type=Path, required=True)
    parser.add_argument("--split", type=Path, help="file of image_id and part")
    parser.add_argument("--part", default="validation", help="which part of --split")
    parser.add_argument("--model", type=Path, default=WEIGHTS_FOLDER, help="model folder")
    parser.add_argument("--cam", type=Path, metavar="FILE", help="classifier of ml.export (.onnx)")
    parser.add_argument("--grad-cam", type=Path, metavar="FILE", help=".keras or .weights.h5")
    parser.add_argument("--config", type=Path, default=here / "configs" / "detector.toml")
    parser.add_argument("--bar", type=float, default=BAR, help="lowest pointing game to be shown")
    parser.add_argument("--limit", type=int, default=0, help="at most so many pictures, 0: all")
    parser.add_argument("--draws", type=int, default=500, help="bootstrap draws")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write", action="store_true", help="into the manifest of --model")
    return parser
