"""Measure a model: ``python -m ml.evaluate --manifest CSV --images DIR --json OUT``.

Works on any folder in the manifest format of the training data (columns it lacks are left out) and
on the run-time requirements alone. Every figure has a 95 % interval by bootstrap over blocks.
"""

import argparse
import json
import logging
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml.data.fracatlas import read_manifest
from ml.data.splits import read_split
from ml.evaluation import Evaluation, Record, run_model
from ml.predictor import WEIGHTS_FOLDER, FracturePredictor, load_predictor

logger = logging.getLogger("ml.evaluate")


def report(
    predictor: FracturePredictor, records: Sequence[Record], *, draws: int
) -> dict[str, Any]:
    """Return all figures as plain JSON values."""
    thresholds = predictor.info.thresholds
    evaluation = Evaluation(
        records, suspicion=thresholds.suspicion, definite=thresholds.definite, draws=draws
    )
    times = [record.milliseconds for record in records]
    return {
        **{name: figure.as_json() for name, figure in evaluation.figures().items()},
        "groups": {
            name: {
                value: {key: figure.as_json() for key, figure in figures.items()}
                for value, figures in values.items()
            }
            for name, values in evaluation.groups().items()
        },
        "refusals": dict(Counter(reason for record in records for reason in record.reasons)),
        "pictures": len(records),
        "fractured": sum(record.sample.fractured for record in records),
        "milliseconds_median": round(statistics.median(times), 1),
        "model": {
            "name": predictor.info.name,
            "version": predictor.info.version,
            "sha256": predictor.info.sha256,
            "calibration": predictor.info.calibration_id,
        },
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and evaluate."""
    parser = argparse.ArgumentParser(prog="python -m ml.evaluate", description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--boxes", type=Path, default=None)
    parser.add_argument("--model", type=Path, default=WEIGHTS_FOLDER)
    parser.add_argument("--split", type=Path, default=None, help="file of image_id and part")
    parser.add_argument("--part", default="test", help="which part of --split")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=500, help="bootstrap draws")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    samples = read_manifest(arguments.manifest, arguments.images, arguments.boxes)
    samples = [sample for sample in samples if not sample.label_conflict]
    if arguments.split is not None:
        parts = read_split(arguments.split)
        samples = [s for s in samples if parts.get(s.image_id) == arguments.part]
    if not samples:
        parser.error("there are no pictures to evaluate")
    predictor = load_predictor(arguments.model, threads=arguments.threads)
    records = list(run_model(predictor, samples))
    values = report(predictor, records, draws=arguments.draws)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    for name, figure in values.items():
        if isinstance(figure, dict) and "ci95" in figure:
            logger.info("%s %s %s n=%s", name, figure["value"], figure["ci95"], figure["n"])


if __name__ == "__main__":
    main()
