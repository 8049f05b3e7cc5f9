"""Calibrate an exported model: ``python -m ml.calibrate --model DIR --data DIR``.

Fits the probability of a picture and of a place, chooses both operating points and the limit of the
novelty gate, all on the validation part, and writes them into the manifest. Training pictures only
teach what a usual picture looks like. The test part is not read.
"""

import argparse
import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.calibration import LogisticCalibration, choose_thresholds, fit_logistic
from ml.contracts import Box, Thresholds
from ml.data.fracatlas import Sample, read_samples
from ml.data.pictures import read_grey
from ml.data.splits import read_split
from ml.detection import overlap
from ml.manifest import MANIFEST_NAME, read_manifest
from ml.metrics import auroc
from ml.novelty import NoveltyModel, fit_novelty, save_novelty
from ml.predictor import WEIGHTS_FOLDER, Examination, FracturePredictor
from ml.runtimes.onnx import OnnxRuntime

logger = logging.getLogger("ml.calibrate")
NOVELTY_FILE = "novelty.npz"
_MATCH_IOU = 0.3
_NOVELTY_PERCENTILE = 99.5
_NOVELTY_SLACK = 1.40  # close-ups of real films, as other hospitals take them, reach 1.3
_DASHED_PRECISION, _SOLID_PRECISION = 0.45, 0.75


def matched(box: Box, truth: Iterable[Box]) -> bool:
    """Return whether a place lies on a true fracture, generously."""
    return any(overlap(box, true) >= _MATCH_IOU for true in truth)


def box_thresholds(
    probabilities: npt.NDArray[np.float64], hits: npt.NDArray[np.bool_]
) -> Thresholds:
    """Return the lowest probabilities from which so many of the places are real."""
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    precision = np.cumsum(hits[order]) / np.arange(1, order.size + 1)

    def lowest(wanted: float, default: float) -> float:
        good = np.nonzero(precision >= wanted)[0]
        return float(ranked[good[-1]]) if good.size else default

    dashed = lowest(_DASHED_PRECISION, 0.2)
    solid = max(dashed, lowest(_SOLID_PRECISION, 0.6))
    return Thresholds(
        suspicion=float(np.clip(dashed, 0.01, 0.98)), definite=float(np.clip(solid, 0.01, 0.99))
    )


class Calibrator:
    """Runs a model over parts of the data and gathers what calibration needs."""

    def __init__(self, folder: Path, *, threads: int) -> None:
        self._folder = folder
        self.manifest = read_manifest(folder)
        self._runtime = OnnxRuntime(
            self.manifest.weights, sha256=self.manifest.info.sha256, threads=threads
        )
        self._predictor = FracturePredictor(self.manifest, self._runtime)

    def examine(self, samples: Sequence[Sample]) -> list[Examination]:
        """Return the answers for each picture."""
        return [self._predictor.examine(read_grey(sample.path)) for sample in samples]

    def calibrate(self, training: Sequence[Sample], validation: Sequence[Sample]) -> dict[str, Any]:
        """Return what goes into the manifest; writes the novelty file."""
        answers = self.examine(validation)
        labels = np.array([sample.fractured for sample in validation])
        logits = np.array([answer.evidence for answer in answers])
        image = fit_logistic(logits, labels)
        probabilities = image.probabilities(logits)
        thresholds = choose_thresholds(probabilities, labels)
        places, hits = _places(answers, validation)
        box = fit_logistic(places, hits)
        suspicious = probabilities >= thresholds.suspicion
        definite = probabilities >= thresholds.definite
        shown, shown_hits = _places(
            [a for a, keep in zip(answers, suspicious, strict=True) if keep],
            [s for s, keep in zip(validation, suspicious, strict=True) if keep],
        )
        box_limits = box_thresholds(box.probabilities(shown), shown_hits)
        novelty = fit_novelty(np.stack([a.features for a in self.examine(training)]))
        fitted = {"image": _as_json(image), "box": _as_json(box)}
        digest = hashlib.sha256(json.dumps(fitted, sort_keys=True).encode()).hexdigest()
        return {
            "calibration": {"id": f"platt-{digest[:12]}", **fitted},
            "thresholds": _limits(thresholds),
            "box_thresholds": _limits(box_limits),
            "novelty": self._novelty(novelty, answers),
            "validation": {
                "pictures": len(validation),
                "fractured": int(labels.sum()),
                "auroc": round(auroc(labels, logits), 4),
                "sensitivity_suspicion": round(float(suspicious[labels].mean()), 4),
                "specificity_suspicion": round(float((~suspicious[~labels]).mean()), 4),
                "sensitivity_definite": round(float(definite[labels].mean()), 4),
                "specificity_definite": round(float((~definite[~labels]).mean()), 4),
            },
        }

    def _novelty(self, model: NoveltyModel, held_back: Sequence[Examination]) -> dict[str, Any]:
        sha256 = save_novelty(model, self._folder / NOVELTY_FILE)
        distances = [model.distance(answer.features) for answer in held_back]
        limit = float(np.percentile(distances, _NOVELTY_PERCENTILE)) * _NOVELTY_SLACK
        return {"file": NOVELTY_FILE, "sha256": sha256, "limit": round(limit, 4)}


def _places(
    answers: Sequence[Examination], samples: Sequence[Sample]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the logit of every candidate place and whether it is a true fracture."""
    logits, hits = [], []
    for answer, sample in zip(answers, samples, strict=True):
        truth = [fracture.box for fracture in sample.fractures]
        for finding in answer.findings:
            logits.append(finding.candidate.logit)
            hits.append(matched(finding.box, truth))
    return np.array(logits, np.float64), np.array(hits, bool)


def _as_json(calibration: LogisticCalibration) -> dict[str, float]:
    return {
        "slope": round(calibration.slope, 6),
        "intercept": round(calibration.intercept, 6),
    }


def _limits(thresholds: Thresholds) -> dict[str, float]:
    return {
        "suspicion": round(thresholds.suspicion, 5),
        "definite": round(thresholds.definite, 5),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and calibrate in place."""
    parser = argparse.ArgumentParser(prog="python -m ml.calibrate", description=__doc__)
    here = Path(__file__).parent
    parser.add_argument("--model", type=Path, default=WEIGHTS_FOLDER)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", type=Path, default=here / "data" / "splits" / "fracatlas_v1.csv")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--training-stride", type=int, default=1, help="use every n-th picture")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parts = read_split(arguments.split)
    samples = read_samples(arguments.data)
    training = [s for s in samples if parts.get(s.image_id) == "train"]
    validation = [s for s in samples if parts.get(s.image_id) == "validation"]
    calibrator = Calibrator(arguments.model, threads=arguments.threads)
    found = calibrator.calibrate(training[:: arguments.training_stride], validation)
    path = arguments.model / MANIFEST_NAME
    values = {**json.loads(path.read_text(encoding="utf-8")), **found}
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    logger.info("%s", json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
