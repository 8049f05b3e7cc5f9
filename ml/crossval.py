"""Out-of-fold figures: ``python -m ml.crossval --data DIR --weights FILE --folds CSV --out DIR``.

For each fold a detector is trained from the ImageNet weights, exported, calibrated on a part of its
own training folds and asked about the pictures that it never saw: together every picture is judged
once. Each step runs in a process of its own; finished ones are kept, so that the command can be
started again. Writes ``crossval.json``. Training needs ``requirements-train.txt``.
"""

import argparse
import csv
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.data.folds import held_out_parts, read_folds
from ml.data.fracatlas import Sample, read_samples
from ml.data.splits import write_split
from ml.evaluation import Evaluation, Record, run_model
from ml.metrics import IntArray, bootstrap, sensitivity, specificity
from ml.predictor import load_predictor

logger = logging.getLogger("ml.crossval")
_HERE = Path(__file__).parent
_OPERATING_POINTS = ("suspicion", "definite")


@dataclass(frozen=True, slots=True)
class Fold:
    """The answers of one fold's model about pictures that it never saw."""

    records: list[Record]
    thresholds: dict[str, float]


def run_fold(fold: int, parts: dict[str, str], arguments: argparse.Namespace) -> Path:
    """Train, export and calibrate the model of one fold unless that is done; return its folder."""
    folder: Path = arguments.out / f"fold_{fold}"
    folder.mkdir(parents=True, exist_ok=True)
    split, model = folder / "split.csv", folder / "model"
    write_split(parts, split)
    data = ["--data", str(arguments.data), "--split", str(split)]
    settings = [part for line in arguments.set for part in ("--set", line)]
    steps = {
        "trained": (
            *("ml.train", *data, *settings, "--weights", str(arguments.weights)),
            *("--steps", str(arguments.steps), "--minutes", str(arguments.minutes)),
            *("--round-steps", "200", "--seed", str(fold + 1), "--cache", str(arguments.cache)),
            *("--out", str(folder)),
        ),
        "exported": (
            *("ml.export", *data, "--weights", str(folder / "average_last.weights.h5")),
            *("--version", f"0.0.0-fold{fold}", "--out", str(model)),
        ),
        "calibrated": ("ml.calibrate", *data, "--model", str(model), "--training-stride", "4"),
    }
    for name, command in steps.items():
        if not (folder / name).is_file():
            logger.info("fold %d: %s", fold, command[0])
            subprocess.run([sys.executable, "-m", *command], check=True)  # noqa: S603 - our own
            (folder / name).touch()
    return model


def judge(model: Path, samples: Sequence[Sample]) -> Fold:
    """Ask the model of a fold about its held-back pictures."""
    predictor = load_predictor(model, threads=2)
    limits = predictor.info.thresholds
    return Fold(
        records=list(run_model(predictor, samples)),
        thresholds={"suspicion": limits.suspicion, "definite": limits.definite},
    )


def pooled(folds: Sequence[Fold], *, draws: int) -> dict[str, Any]:
    """Return the figures over all pictures; operating points are those of each picture's fold."""
    records = [record for fold in folds for record in fold.records]
    figures = Evaluation(records, suspicion=0.5, definite=0.5, draws=draws).figures()
    judged = [
        (record, fold.thresholds) for fold in folds for record in fold.records if not record.reasons
    ]
    truth = np.array([record.sample.fractured for record, _ in judged])
    blocks = [record.sample.block for record, _ in judged]
    for name in _OPERATING_POINTS:
        flagged = np.array([record.probability >= limits[name] for record, limits in judged])

        def sensitive(rows: IntArray, flagged: Any = flagged) -> float:
            return sensitivity(truth[rows], flagged[rows])

        def specific(rows: IntArray, flagged: Any = flagged) -> float:
            return specificity(truth[rows], flagged[rows])

        for kind, statistic in (("sensitivity", sensitive), ("specificity", specific)):
            figures[f"{kind}_{name}"] = bootstrap(
                statistic, blocks=blocks, labels=truth.tolist(), draws=draws
            )
    return {name: figure.as_json() for name, figure in figures.items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line, run every fold, write the pooled figures."""
    parser = argparse.ArgumentParser(prog="python -m ml.crossval", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="ImageNet weights")
    parser.add_argument("--folds", type=Path, default=_HERE / "data/splits/fracatlas_folds3_v1.csv")
    parser.add_argument("--steps", type=int, default=1000, help="training steps of each fold")
    parser.add_argument("--minutes", type=float, default=60.0, help="at most, for each fold")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--cache", type=Path, default=Path("var/train/cache"))
    parser.add_argument("--out", type=Path, default=Path("var/train/crossval"))
    parser.add_argument("--draws", type=int, default=500)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    samples = read_samples(arguments.data)
    numbers = read_folds(arguments.folds)
    folds: list[Fold] = []
    for fold in sorted(set(numbers.values())):
        parts = held_out_parts(samples, numbers, fold)
        model = run_fold(fold, parts, arguments)
        folds.append(judge(model, [s for s in samples if parts.get(s.image_id) == "test"]))
    result = {
        **pooled(folds, draws=arguments.draws),
        "by_fold": [pooled([fold], draws=arguments.draws) for fold in folds],
        "steps": arguments.steps,
        "settings": arguments.set,
        "folds": arguments.folds.name,
    }
    path = arguments.out / "crossval.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    with (arguments.out / "out_of_fold.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image_id", "fold", "fractured", "probability", "refused"])
        for number, judged in enumerate(folds):
            for r in judged.records:
                row = (r.sample.image_id, number, int(r.sample.fractured), r.probability)
                writer.writerow([*row, " ".join(r.reasons)])
    for name, figure in result.items():
        if isinstance(figure, dict):
            logger.info("%s %s %s n=%s", name, figure["value"], figure["ci95"], figure["n"])


if __name__ == "__main__":
    main()
