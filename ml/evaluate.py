"""Measure a model: ``python -m ml.evaluate --manifest CSV --images DIR --json OUT``.

Works on any folder in the manifest format of the training data and on the run-time requirements
alone. Figures whose columns are missing are left out; every other one has a 95 % interval by
bootstrap over blocks (or groups, or pictures) within label. ``--report DIR`` writes a page and a
PDF with plots and the worst mistakes; that folder holds radiographs: keep it on this machine.
Exit status 2: something is missing, with a sentence on stderr.
"""

import argparse
import json
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ml.contracts import ModelArtifactError
from ml.data.splits import read_split
from ml.evaluation import Evaluation
from ml.evaluation_tables import confusions, reliability
from ml.judged import UNREADABLE, Record, run_model
from ml.labelled import Labelled, LabelledDataError, read_labelled
from ml.predictor import WEIGHTS_FOLDER, FracturePredictor, load_predictor

logger = logging.getLogger("ml.evaluate")
EXIT_UNUSABLE = 2


def report(
    predictor: FracturePredictor, records: Sequence[Record], labelled: Labelled, *, draws: int
) -> dict[str, Any]:
    """Return all figures as plain JSON values."""
    evaluation = _evaluation(predictor, records, labelled, draws)
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
        "confusion": {name: c.as_json() for name, c in confusions(records).items()},
        "reliability": reliability(records),
        "refusals": dict(Counter(reason for record in records for reason in record.reasons)),
        "pictures": len(records),
        "fractured": sum(record.sample.fractured for record in records),
        "milliseconds_median": round(float(np.median(times)), 1),
        "milliseconds_p95": round(float(np.percentile(times, 95)), 1),
        "bootstrap_unit": labelled.unit,
        "notes": notes(records, labelled),
        "model": {
            "name": predictor.info.name,
            "version": predictor.info.version,
            "sha256": predictor.info.sha256,
            "calibration": predictor.info.calibration_id,
        },
    }


def notes(records: Sequence[Record], labelled: Labelled) -> list[str]:
    """Return what a reader must know of how the figures were counted."""
    unit = labelled.unit
    refused = sum(bool(record.reasons) for record in records)
    unreadable = sum(UNREADABLE in record.reasons for record in records)
    fractured = [record.sample.block for record in records if record.sample.fractured]
    counted = (
        f"{len(records)} pictures, {len(fractured)} with a fracture ({unit}s of these: "
        f"{len(set(fractured))}). Intervals: 95 %, bootstrap over {unit}s within label; none where "
        f"a label comes from one {unit} alone."
    )
    gate = (
        f"{refused} pictures were not assessed, {unreadable} of them because they cannot be "
        "decoded. They count in cannot_assess_rate alone, neither as right nor as wrong; fractures "
        "in them do not count as missed."
    )
    said = [
        counted,
        gate,
        "A group of a size holds the fractured pictures of that size and all pictures without.",
        "Severity and pattern are experimental and counted where the model found the place.",
    ]
    if labelled.conflicting:
        said.append(f"{labelled.conflicting} pictures with contradictory labels were left out.")
    if len({record.sample.fractured for record in records}) < 2:
        said.append("There is one label only: figures that need both are not defined.")
    return said


def _evaluation(
    predictor: FracturePredictor, records: Sequence[Record], labelled: Labelled, draws: int
) -> Evaluation:
    limits = predictor.info.thresholds
    return Evaluation(
        records,
        suspicion=limits.suspicion,
        definite=limits.definite,
        draws=draws,
        columns=labelled.columns,
    )


def _write_report(
    predictor: FracturePredictor,
    records: Sequence[Record],
    labelled: Labelled,
    values: dict[str, Any],
    folder: Path,
) -> None:
    # Drawing libraries are loaded for a report only.
    from ml.evaluation_plots import write_plots
    from ml.evaluation_report import write_report

    folder.mkdir(parents=True, exist_ok=True)
    evaluation = _evaluation(predictor, records, labelled, draws=1)
    plots = write_plots(records, evaluation, predictor.info.thresholds, folder)
    write_report(values, records, plots, folder)
    logger.info("wrote %s and report.pdf", folder / "report.html")


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and evaluate."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        labelled = _chosen(arguments)
        predictor = load_predictor(arguments.model, threads=arguments.threads)
    except (LabelledDataError, ModelArtifactError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_UNUSABLE)
    samples = labelled.samples
    progress = tqdm(run_model(predictor, samples), total=len(samples), unit="picture", leave=False)
    records = list(progress)
    values = report(predictor, records, labelled, draws=arguments.draws)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    for name, figure in values.items():
        if isinstance(figure, dict) and "ci95" in figure:
            logger.info("%s %s %s n=%s", name, figure["value"], figure["ci95"], figure["n"])
    for note in values["notes"]:
        logger.info("%s", note)
    if arguments.report is not None:
        _write_report(predictor, records, labelled, values, arguments.report)


def _chosen(arguments: argparse.Namespace) -> Labelled:
    """Return the pictures that were asked for.

    Raises:
        LabelledDataError: there are none, or files are missing.
    """
    wanted = None
    if arguments.split is not None:
        try:
            parts = read_split(arguments.split)
        except (OSError, KeyError) as error:
            raise LabelledDataError(f"{arguments.split} cannot be read as a split") from error
        wanted = frozenset(i for i, part in parts.items() if part == arguments.part)
    labelled = read_labelled(arguments.manifest, arguments.images, arguments.boxes, only=wanted)
    if not labelled.samples:
        raise LabelledDataError("there are no pictures to evaluate")
    return labelled


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml.evaluate", description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--boxes", type=Path, default=None)
    parser.add_argument("--model", type=Path, default=WEIGHTS_FOLDER)
    parser.add_argument("--split", type=Path, default=None, help="file of image_id and part")
    parser.add_argument("--part", default="test", help="which part of --split")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--report", type=Path, metavar="DIR", help="write a page and a PDF here")
    parser.add_argument("--draws", type=int, default=500, help="bootstrap draws")
    parser.add_argument("--threads", type=int, default=1)
    return parser


if __name__ == "__main__":
    main()
