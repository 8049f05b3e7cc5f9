"""Fit the quality gate of a model: ``python -m ml.fit_gate --data DIR --model DIR``.

Run it after ``ml.calibrate``, whenever the weights change: the gate reads the network's features.
It needs the run-time requirements and scikit-learn, the radiographs the model was trained on, and
nothing else: photos of films are made from them and strangers are drawn. It writes ``gate.npz`` and
names it in the manifest. The same pictures and weights give the same gate; about 2,900 pictures are
looked at, 5 to 10 minutes on one free core.

Training pictures teach; the limits are chosen on the validation part so that ``--refused`` of real
limbs, copies and photos of them are refused. The test part is not read. With ``--leave-out`` each
kind of drawing is also judged by a gate that never saw it, and each child by one that never saw it.
"""

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ml.appearance import COUNT, describe
from ml.data.fracatlas import read_samples
from ml.data.gate_pictures import Recipe, demo_limbs, drawings, limbs, trunks
from ml.data.splits import read_split
from ml.gate import CLASSES, FILM_PHOTO, LIMB, Gate, save_gate, scores
from ml.manifest import MANIFEST_NAME
from ml.predictor import WEIGHTS_FOLDER, FracturePredictor, load_predictor
from ml.quality import assess

logger = logging.getLogger("ml.fit_gate")
GATE_FILE = "gate.npz"
_STRENGTH = 0.03  # inverse of the regularisation
_APPEARANCE_WEIGHT = 3.0  # 41 numbers must be heard beside 1,280 features
_LEAST_SPREAD = 0.05  # of a feature, so that one that never moves in training cannot explode
_TRAINING_SEED, _VALIDATION_SEED = 1, 2

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Table:
    """What the network and the eye see of many pictures.

    Attributes:
        values: ``(n, d)`` features and appearance.
        kinds: index into ``CLASSES``, ``(n,)``.
        sources, origins: of each picture.
        colored: ``(n,)``.
        plain: the pixel checks alone have no objection, ``(n,)``.
    """

    values: FloatArray
    kinds: npt.NDArray[np.int64]
    sources: npt.NDArray[np.str_]
    origins: npt.NDArray[np.str_]
    colored: npt.NDArray[np.bool_]
    plain: npt.NDArray[np.bool_]

    def only(self, keep: npt.NDArray[np.bool_]) -> "Table":
        """Return some of the rows."""
        return Table(
            self.values[keep],
            self.kinds[keep],
            self.sources[keep],
            self.origins[keep],
            self.colored[keep],
            self.plain[keep],
        )


def look_at(model: Path, recipes: Sequence[Recipe], *, workers: int) -> Table:
    """Make the pictures and run the network over them, in so many processes."""
    rows = []
    # Not forked: a copy of a process whose inference threads hold a lock waits for ever.
    with get_context("spawn").Pool(workers, _start, (model,)) as pool:
        for row in pool.imap(_look, recipes, chunksize=8):
            rows.append(row)
            if len(rows) % 250 == 0:
                logger.info("%d of %d pictures", len(rows), len(recipes))
    values, kinds, sources, origins, colored, plain = zip(*rows, strict=True)
    return Table(
        values=np.asarray(values, np.float64),
        kinds=np.array([CLASSES.index(kind) for kind in kinds], np.int64),
        sources=np.array(sources),
        origins=np.array(origins),
        colored=np.array(colored, bool),
        plain=np.array(plain, bool),
    )


_predictors: list[FracturePredictor] = []  # the one of this process


def _start(model: Path) -> None:
    cv2.setNumThreads(1)
    _predictors.append(load_predictor(model))


def _look(recipe: Recipe) -> tuple[FloatArray, str, str, str, bool, bool]:
    picture = recipe()
    features = np.ravel(_predictors[-1].examine(picture.pixels).features)
    appearance = describe(picture.pixels, has_color=picture.has_color)
    values = np.concatenate([features, appearance]).astype(np.float64)
    plain = not assess(picture.pixels)
    return values, picture.kind, picture.source, picture.origin, picture.has_color, plain


def fit(table: Table, *, strength: float = _STRENGTH) -> Gate:
    """Fit the classifier; its limits are 0 until ``with_limits``."""
    from sklearn.linear_model import LogisticRegression  # training only

    mean = table.values.mean(axis=0)
    scale = np.maximum(table.values.std(axis=0), _LEAST_SPREAD)
    heard = np.ones_like(scale)
    heard[-COUNT:] = _APPEARANCE_WEIGHT
    centred = np.clip((table.values - mean) / scale, -6.0, 6.0)
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=400)
    model.fit(centred * heard, table.kinds)
    weights = model.coef_ * heard
    return Gate(mean, scale, weights, model.intercept_, limit=0.0, photo_limit=0.0)


def with_limits(gate: Gate, held_back: Table, *, refused: float) -> Gate:
    """Set both limits so that this share of held-back limbs, and of photos of them, is refused."""
    logits = gate.logits(held_back.values)
    found = scores(logits)
    photo = held_back.colored | (logits[:, 1] > logits[:, 0])
    known = np.isin(held_back.kinds, [CLASSES.index(LIMB), CLASSES.index(FILM_PHOTO)])

    def lowest(chosen: npt.NDArray[np.bool_]) -> float:
        return float(np.quantile(found[chosen], refused)) if chosen.any() else 0.0

    limit, photo_limit = lowest(known & ~photo), lowest(known & photo)
    return Gate(gate.mean, gate.scale, gate.weights, gate.bias, limit, photo_limit)


def refused_by(gate: Gate, table: Table) -> npt.NDArray[np.bool_]:
    """Return which pictures the learned part refuses."""
    logits = gate.logits(table.values)
    photo = table.colored | (logits[:, 1] > logits[:, 0])
    return np.asarray(scores(logits) < np.where(photo, gate.photo_limit, gate.limit), bool)


def left_out(training: Table, held_back: Table, *, refused: float) -> dict[str, float]:
    """Return the share refused of each kind of stranger by a gate fitted without that kind."""
    strangers = training.kinds >= 2
    found = {}
    for source in sorted(set(training.sources[strangers].tolist())):
        chosen = training.sources == source
        if len(set(training.origins[chosen].tolist())) > 1:
            continue  # children: below, each for himself
        gate = with_limits(fit(training.only(~chosen)), held_back, refused=refused)
        found[source] = round(float(refused_by(gate, training.only(chosen)).mean()), 3)
    children = np.char.startswith(training.sources, "child")
    names = sorted(set(training.origins[children].tolist()))
    hits = []
    for group in np.array_split(np.array(names), 5):
        chosen = children & np.isin(training.origins, group)
        gate = with_limits(fit(training.only(~chosen)), held_back, refused=refused)
        hits.append(refused_by(gate, training.only(chosen)))
    if hits:
        found["children, five folds"] = round(float(np.concatenate(hits).mean()), 3)
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line, fit, and write gate and manifest."""
    parser = argparse.ArgumentParser(prog="python -m ml.fit_gate", description=__doc__)
    parser.add_argument("--model", type=Path, default=WEIGHTS_FOLDER)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--split", type=Path, default=Path(__file__).parent / "data" / "splits" / "fracatlas_v1.csv"
    )
    parser.add_argument("--refused", type=float, default=0.003, help="of real limbs, 0 to 1")
    parser.add_argument("--leave-out", action="store_true", help="also measure unseen kinds")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--scale", type=float, default=1.0, help="less than 1: fewer pictures")
    arguments = parser.parse_args(argv)
    if find_spec("sklearn") is None:  # said now, not after ten minutes of looking at pictures
        parser.error("scikit-learn is missing: install requirements-train.txt")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parts = read_split(arguments.split)
    samples = read_samples(arguments.data)
    training = [s for s in samples if parts.get(s.image_id) == "train"]
    validation = [s for s in samples if parts.get(s.image_id) == "validation"]

    def count(wanted: int) -> int:
        return max(4, round(wanted * float(arguments.scale)))

    def look(recipes: list[Recipe]) -> Table:
        return look_at(arguments.model, recipes, workers=arguments.workers)

    seed = _TRAINING_SEED
    taught = look(
        [
            *limbs(training, films=count(500), copies=count(500), photos=count(260), seed=seed),
            *demo_limbs(count(24), seed=seed),
            *trunks(training, copies=6, seed=seed),
            *drawings(count(36), seed=seed),
        ]
    )
    seed = _VALIDATION_SEED
    held_back = look(
        limbs(validation, films=count(230), copies=count(300), photos=count(150), seed=seed)
    )
    gate = with_limits(fit(taught), held_back, refused=arguments.refused)
    digest = save_gate(gate, arguments.model / GATE_FILE)
    path = arguments.model / MANIFEST_NAME
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    values["gate"] = {"file": GATE_FILE, "sha256": digest}
    if arguments.leave_out:
        values["gate"]["refused_when_left_out"] = left_out(
            taught, held_back, refused=arguments.refused
        )
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    logger.info("%s", json.dumps(values["gate"], indent=2))


if __name__ == "__main__":
    main()
