"""Figures of merit as plain functions of arrays, and intervals by bootstrap over blocks."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.contracts import Box
from ml.detection import overlap

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval and the number of pictures behind it."""

    value: float
    low: float
    high: float
    count: int

    def as_json(self) -> dict[str, object]:
        """Return ``{"value", "ci95", "n"}`` with ``None`` for what could not be computed."""
        numbers = [None if np.isnan(v) else round(v, 4) for v in (self.value, self.low, self.high)]
        return {"value": numbers[0], "ci95": numbers[1:], "n": self.count}


def auroc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Return the area under the ROC curve (ties count half); NaN when one class is missing."""
    truth = np.asarray(labels).astype(bool)
    values = np.asarray(scores, np.float64)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if positives == 0 or negatives == 0:
        return float("nan")
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2.0
    rank_sum = float(mean_ranks[inverse][truth].sum())
    return (rank_sum - positives * (positives + 1) / 2.0) / (positives * negatives)


def average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Return the area under the precision-recall curve (step rule); NaN without positives."""
    truth = np.asarray(labels).astype(bool)
    if not truth.any():
        return float("nan")
    return area_under(*precision_recall(np.asarray(scores, np.float64), truth, int(truth.sum())))


def f1(labels: npt.ArrayLike, flagged: npt.ArrayLike) -> float:
    """Return the F1 of the positives; NaN without positives."""
    truth, said = np.asarray(labels).astype(bool), np.asarray(flagged).astype(bool)
    if not truth.any():
        return float("nan")
    return 2.0 * float((truth & said).sum()) / float(truth.sum() + said.sum())


def accuracy(labels: npt.ArrayLike, flagged: npt.ArrayLike) -> float:
    """Return the share of right answers; NaN for nothing."""
    truth, said = np.asarray(labels).astype(bool), np.asarray(flagged).astype(bool)
    return float((truth == said).mean()) if truth.size else float("nan")


def roc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return the false and true positive rates at each distinct score, from (0, 0) to (1, 1)."""
    truth, values = np.asarray(labels).astype(bool), np.asarray(scores, np.float64)
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.nonzero(np.diff(values[order]))[0], values.size - 1)
    good, wrong = np.cumsum(truth[order])[ends], np.cumsum(~truth[order])[ends]
    return (
        np.append(0.0, wrong / max(1, int((~truth).sum()))),
        np.append(0.0, good / max(1, int(truth.sum()))),
    )


def sensitivity(labels: npt.ArrayLike, flagged: npt.ArrayLike) -> float:
    """Return the share of positives that are flagged; NaN without positives."""
    truth, said = np.asarray(labels).astype(bool), np.asarray(flagged).astype(bool)
    return float(said[truth].mean()) if truth.any() else float("nan")


def specificity(labels: npt.ArrayLike, flagged: npt.ArrayLike) -> float:
    """Return the share of negatives that are not flagged; NaN without negatives."""
    truth, said = np.asarray(labels).astype(bool), np.asarray(flagged).astype(bool)
    return float((~said[~truth]).mean()) if (~truth).any() else float("nan")


def sensitivity_at_specificity(
    labels: npt.ArrayLike, scores: npt.ArrayLike, wanted: float
) -> float:
    """Return the sensitivity at the lowest cut whose specificity is at least ``wanted``."""
    truth, values = np.asarray(labels).astype(bool), np.asarray(scores, np.float64)
    if not truth.any() or truth.all():
        return float("nan")
    negatives = np.sort(values[~truth])
    allowed = int(np.floor((1.0 - wanted) * negatives.size + 1e-9))
    cut = negatives[negatives.size - 1 - allowed]
    return float((values[truth] > cut).mean())


def macro_f1(truth: npt.ArrayLike, answer: npt.ArrayLike) -> float:
    """Return the mean F1 of the classes that occur in the truth; NaN for nothing."""
    true, said = np.asarray(truth), np.asarray(answer)
    scores = []
    for value in np.unique(true):
        hits = int(((true == value) & (said == value)).sum())
        total = int((true == value).sum()) + int((said == value).sum())
        scores.append(2.0 * hits / total)
    return float(np.mean(scores)) if scores else float("nan")


def balanced_accuracy(truth: npt.ArrayLike, answer: npt.ArrayLike) -> float:
    """Return the mean recall of the classes that occur in the truth; NaN for nothing."""
    true, said = np.asarray(truth), np.asarray(answer)
    recalls = [float((said[true == value] == value).mean()) for value in np.unique(true)]
    return float(np.mean(recalls)) if recalls else float("nan")


def match_places(
    truth: Sequence[Box], found: Sequence[tuple[Box, float]], *, iou: float
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return the score of each answer for one picture and whether it hits a true box.

    Each answer, strongest first, takes the free true box that it overlaps most; a second answer
    for the same box is wrong.
    """
    answers = sorted(found, key=lambda answer: -answer[1])
    taken: set[int] = set()
    hits = np.zeros(len(answers), bool)
    for index, (box, _) in enumerate(answers):
        free = [(overlap(box, true), i) for i, true in enumerate(truth) if i not in taken]
        best, place = max(free, default=(0.0, -1))
        if free and best >= iou:
            taken.add(place)
            hits[index] = True
    return np.array([score for _, score in answers], np.float64), hits


def places_average_precision(
    matched: Sequence[tuple[FloatArray, npt.NDArray[np.bool_]]], total: int
) -> float:
    """Return AP over the matched answers of many pictures; NaN without true boxes."""
    if total == 0:
        return float("nan")
    scores = np.concatenate([scores for scores, _ in matched])
    hits = np.concatenate([hits for _, hits in matched])
    return area_under(*precision_recall(scores, hits, total)) if scores.size else 0.0


def detection_average_precision(
    truth: Sequence[Sequence[Box]],
    found: Sequence[Sequence[tuple[Box, float]]],
    *,
    iou: float,
) -> float:
    """Return AP of boxes, pictures without fractures included; NaN without true boxes."""
    matched = [match_places(t, f, iou=iou) for t, f in zip(truth, found, strict=True)]
    return places_average_precision(matched, sum(len(boxes) for boxes in truth))


def bootstrap(
    statistic: Callable[[IntArray], float],
    *,
    blocks: Sequence[str],
    labels: Sequence[bool],
    draws: int = 500,
    seed: int = 0,
) -> Estimate:
    """Estimate a figure and its 95 % interval by drawing whole blocks within each label.

    Neighbouring pictures are views of one patient: drawing pictures one by one would make the
    interval far too narrow.

    Args:
        statistic: figure of the pictures with these indexes (repeats are possible).
        blocks: block of each picture.
        labels: whether each picture is positive; blocks are drawn within each label.
        draws: how many times.
        seed: for a repeatable interval.
    """
    members: dict[tuple[bool, str], list[int]] = defaultdict(list)
    for index, (block, label) in enumerate(zip(blocks, labels, strict=True)):
        members[(bool(label), block)].append(index)
    strata = [
        [np.array(rows) for (label, _), rows in sorted(members.items()) if label is wanted]
        for wanted in (False, True)
    ]
    drawers = [_drawer(stratum) for stratum in strata if stratum]
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        chosen = [draw(generator) for draw in drawers]
        value = statistic(np.concatenate(chosen)) if chosen else float("nan")
        if not np.isnan(value):
            values.append(value)
    point = statistic(np.arange(len(blocks))) if len(blocks) else float("nan")
    low, high = np.percentile(values, [2.5, 97.5]) if values else (float("nan"), float("nan"))
    return Estimate(float(point), float(low), float(high), len(blocks))


def _drawer(stratum: Sequence[IntArray]) -> Callable[[np.random.Generator], IntArray]:
    """Return what draws as many blocks as there are, and gives the pictures in them."""
    pictures = np.concatenate(stratum)
    sizes = np.array([rows.size for rows in stratum], np.int64)
    starts = np.cumsum(sizes) - sizes

    def draw(generator: np.random.Generator) -> IntArray:
        blocks = generator.integers(sizes.size, size=sizes.size)
        taken = sizes[blocks]
        before = np.cumsum(taken) - taken
        places = np.repeat(starts[blocks] - before, taken) + np.arange(int(taken.sum()))
        return np.asarray(pictures[places], np.int64)

    return draw


def precision_recall(
    scores: FloatArray, hits: npt.NDArray[np.bool_], total: int
) -> tuple[FloatArray, FloatArray]:
    """Return recall and precision after each distinct score, strongest first.

    Args:
        scores: of the answers.
        hits: which answers are right.
        total: how many right answers there are to be found.
    """
    order = np.argsort(-scores, kind="stable")
    good = np.cumsum(hits[order])
    ends = np.append(np.nonzero(np.diff(scores[order]))[0], order.size - 1)
    return good[ends] / total, good[ends] / (ends + 1.0)


def area_under(recall: FloatArray, precision: FloatArray) -> float:
    """Return the area under the monotone envelope of a precision-recall curve."""
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))
