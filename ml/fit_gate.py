"""Fit the quality gate of a model: ``python -m ml.fit_gate --data DIR --model DIR``.

Run it after ``ml.calibrate``, whenever the weights change: the gate reads the network's features.
It needs the run-time requirements and scikit-learn, the radiographs the model was trained on, and
with ``--strangers`` the folder of ``ml.data.strangers.collect``, of which only the sources listed
as taught are read: photos of films are made, other strangers are drawn. It writes ``gate.npz`` and
names it in the manifest. The same pictures and weights give the same gate; about 3,900 pictures are
looked at, 10 minutes on one free core. What the network said of a picture is kept under
``--features``, so that a fit that was stopped or changed does not begin again.

Training pictures teach; the limits are chosen on the validation part so that ``--refused`` of real
limbs, copies and photos of them are refused. The test part is not read. With ``--leave-out`` each
kind of drawing is also judged by a gate that never saw it, and each child by one that never saw it.
"""

import argparse
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from ml.data.real_strangers import taught as taught_strangers
from ml.data.splits import read_split
from ml.gate import (
    CLASSES,
    FILM_PHOTO,
    LIMB,
    REASON_OF,
    STRANGERS,
    Gate,
    Reasoning,
    save_gate,
    scores,
)
from ml.manifest import MANIFEST_NAME
from ml.outline import COUNT as OUTLINE_COUNT
from ml.outline import outline
from ml.predictor import WEIGHTS_FOLDER, FracturePredictor, load_predictor
from ml.quality import assess

logger = logging.getLogger("ml.fit_gate")
GATE_FILE = "gate.npz"
_STRENGTH = 0.03  # inverse of the regularisation
_HEARD = 3.0  # so much louder are 41 or 67 numbers beside 1,280 features
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
        outlines: ``(n, OUTLINE_COUNT)``.
    """

    values: FloatArray
    kinds: npt.NDArray[np.int64]
    sources: npt.NDArray[np.str_]
    origins: npt.NDArray[np.str_]
    colored: npt.NDArray[np.bool_]
    plain: npt.NDArray[np.bool_]
    outlines: FloatArray

    def only(self, keep: npt.NDArray[np.bool_]) -> "Table":
        """Return some of the rows."""
        return Table(
            self.values[keep],
            self.kinds[keep],
            self.sources[keep],
            self.origins[keep],
            self.colored[keep],
            self.plain[keep],
            self.outlines[keep],
        )


def look_at(
    model: Path, recipes: Sequence[Recipe], *, workers: int, kept: Path | None = None
) -> Table:
    """Make the pictures and run the network over them, in so many processes.

    Features are read from and written to the folder ``kept``, by the hash of model and pixels.
    """
    rows = []
    # Not forked: a copy of a process whose inference threads hold a lock waits for ever.
    with get_context("spawn").Pool(workers, _start, (model, kept)) as pool:
        for row in pool.imap(_look, recipes, chunksize=8):
            rows.append(row)
            if len(rows) % 250 == 0:
                logger.info("%d of %d pictures", len(rows), len(recipes))
    values, kinds, sources, origins, colored, plain, outlines = zip(*rows, strict=True)
    return Table(
        values=np.asarray(values, np.float64),
        kinds=np.array([CLASSES.index(kind) for kind in kinds], np.int64),
        sources=np.array(sources),
        origins=np.array(origins),
        colored=np.array(colored, bool),
        plain=np.array(plain, bool),
        outlines=np.asarray(outlines, np.float64),
    )


_predictors: list[FracturePredictor] = []  # the one of this process
_kept: list[Path | None] = []


def _start(model: Path, kept: Path | None) -> None:
    cv2.setNumThreads(1)
    _predictors.append(load_predictor(model))
    _kept.append(kept)


def _look(recipe: Recipe) -> tuple[FloatArray, str, str, str, bool, bool, FloatArray]:
    picture = recipe()
    appearance = describe(picture.pixels, has_color=picture.has_color)
    values = np.concatenate([_features(picture.pixels), appearance]).astype(np.float64)
    return (
        values,
        picture.kind,
        picture.source,
        picture.origin,
        picture.has_color,
        not assess(picture.pixels),
        outline(picture.pixels).astype(np.float64),
    )


def _features(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the network's features, those of an earlier run where they were kept."""
    predictor, kept = _predictors[-1], _kept[-1]
    if kept is None:
        return np.ravel(predictor.examine(pixels).features)
    key = hashlib.sha256(predictor.info.sha256.encode())
    key.update(str((pixels.shape, pixels.dtype.str)).encode())
    key.update(np.ascontiguousarray(pixels).tobytes())
    path = kept / f"{key.hexdigest()[:32]}.npy"
    if path.is_file():
        return np.asarray(np.load(path, allow_pickle=False), np.float32)
    found = np.ravel(predictor.examine(pixels).features)
    np.save(path, found)
    return found


def fit(table: Table, *, strength: float = _STRENGTH) -> Gate:
    """Fit the first classifier; its limits are 0 until ``with_limits``."""
    heard = np.ones(table.values.shape[1])
    heard[-COUNT:] = _HEARD
    return Gate(*_fitted(table.values, table.kinds, heard, strength), limit=0.0, photo_limit=0.0)


def fit_reasoning(table: Table, *, strength: float = _STRENGTH) -> Reasoning:
    """Fit the second classifier, on the strangers among the pictures."""
    strangers = table.only(table.kinds >= len(CLASSES) - len(STRANGERS))
    values = np.concatenate([strangers.values, strangers.outlines], axis=1)
    heard = np.ones(values.shape[1])
    heard[-COUNT - OUTLINE_COUNT :] = _HEARD
    return Reasoning(*_fitted(values, strangers.kinds, heard, strength))


def _fitted(
    values: FloatArray, kinds: npt.NDArray[np.int64], heard: FloatArray, strength: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return mean, scale, weights and bias of a linear classifier of balanced classes."""
    from sklearn.linear_model import LogisticRegression  # training only

    mean = values.mean(axis=0)
    scale = np.maximum(values.std(axis=0), _LEAST_SPREAD)
    centred = np.clip((values - mean) / scale, -6.0, 6.0) * heard
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=400)
    # Half the width is half the time, and is what the file keeps.
    model.fit(centred.astype(np.float32), kinds)
    return mean, scale, np.asarray(model.coef_ * heard, np.float64), np.asarray(model.intercept_)


def with_limits(gate: Gate, held_back: Table, *, refused: float) -> Gate:
    """Set both limits so that this share of held-back limbs, and of photos of them, is refused."""
    logits = gate.logits(held_back.values)
    found = scores(logits)
    photo = held_back.colored | (logits[:, 1] > logits[:, 0])
    known = np.isin(held_back.kinds, [CLASSES.index(LIMB), CLASSES.index(FILM_PHOTO)])

    def lowest(chosen: npt.NDArray[np.bool_]) -> float:
        return float(np.quantile(found[chosen], refused)) if chosen.any() else 0.0

    limit, photo_limit = lowest(known & ~photo), lowest(known & photo)
    return replace(gate, limit=limit, photo_limit=photo_limit)


def refused_by(gate: Gate, table: Table) -> npt.NDArray[np.bool_]:
    """Return which pictures the learned part refuses."""
    logits = gate.logits(table.values)
    photo = table.colored | (logits[:, 1] > logits[:, 0])
    return np.asarray(scores(logits) < np.where(photo, gate.photo_limit, gate.limit), bool)


def left_out(training: Table, held_back: Table, *, refused: float) -> dict[str, dict[str, float]]:
    """Return how each kind of stranger fares with a gate fitted without that kind.

    Children are left out a fifth at a time. ``refused`` and ``right_reason`` are shares of ``n``;
    the pixel checks are not asked.
    """

    def judged(rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        rest, unseen = training.only(~rows), training.only(rows)
        no = refused_by(with_limits(fit(rest), held_back, refused=refused), unseen)
        values = np.concatenate([unseen.values, unseen.outlines], axis=1)
        wanted = [REASON_OF[CLASSES[kind]] for kind in unseen.kinds]
        found_reasons = fit_reasoning(rest).reasons(values, unseen.colored)
        right = np.array(found_reasons) == np.array(wanted)
        return np.stack([no, no & right])

    def shares(hits: npt.NDArray[np.bool_]) -> dict[str, float]:
        return {
            "n": hits.shape[1],
            "refused": round(float(hits[0].mean()), 3),
            "right_reason": round(float(hits[1].mean()), 3),
        }

    found = {}
    children = np.char.startswith(training.sources, "child")
    for source in sorted(set(training.sources[(training.kinds >= 2) & ~children].tolist())):
        found[source] = shares(judged(training.sources == source))
        logger.info("without %s: %s", source, found[source])
    names = sorted(set(training.origins[children].tolist()))
    if len(names) >= 5:
        folds = [
            judged(children & np.isin(training.origins, group))
            for group in np.array_split(np.array(names), 5)
        ]
        found["children, five folds"] = shares(np.concatenate(folds, axis=1))
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
    parser.add_argument("--strangers", type=Path, default=None, help="folder of real strangers")
    parser.add_argument("--features", type=Path, default=None, help="folder to keep features in")
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
        return look_at(arguments.model, recipes, workers=arguments.workers, kept=arguments.features)

    if arguments.features is not None:
        arguments.features.mkdir(parents=True, exist_ok=True)
    seed = _TRAINING_SEED
    real = (
        taught_strangers(arguments.strangers, each=count(120), seed=seed)
        if arguments.strangers is not None
        else []
    )
    taught = look(
        [
            *limbs(training, films=count(500), copies=count(500), photos=count(260), seed=seed),
            *demo_limbs(count(24), seed=seed),
            *trunks(training, copies=6, seed=seed),
            *drawings(count(36), seed=seed),
            *real,
        ]
    )
    seed = _VALIDATION_SEED
    held_back = look(
        limbs(validation, films=count(230), copies=count(300), photos=count(150), seed=seed)
    )
    gate = with_limits(fit(taught), held_back, refused=arguments.refused)
    gate = replace(gate, reasoning=fit_reasoning(taught))
    digest = save_gate(gate, arguments.model / GATE_FILE)
    path = arguments.model / MANIFEST_NAME
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    values["gate"] = {"file": GATE_FILE, "sha256": digest}
    if arguments.leave_out:
        values["gate"]["left_out"] = left_out(taught, held_back, refused=arguments.refused)
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    logger.info("%s", json.dumps(values["gate"], indent=2))


if __name__ == "__main__":
    main()
