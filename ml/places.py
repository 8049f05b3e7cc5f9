"""Figures of boxes over many pictures: average precision and FROC, fast enough to draw again."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ml.contracts import Box
from ml.metrics import FloatArray, IntArray, area_under, match_places

BoolArray = npt.NDArray[np.bool_]


class Places:
    """The answers of all pictures at one overlap limit, matched with the true boxes once.

    Which pictures count, and how often, is given by their rows: a picture's own matches do not
    change when it is drawn again.
    """

    def __init__(
        self,
        truth: Sequence[Sequence[Box]],
        found: Sequence[Sequence[tuple[Box, float]]],
        *,
        iou: float,
    ) -> None:
        """Match each picture's answers, strongest first, with its true boxes."""
        self._truth = np.array([len(boxes) for boxes in truth], np.int64)
        matched = [match_places(t, f, iou=iou) for t, f in zip(truth, found, strict=True)]
        picture = np.repeat(np.arange(len(matched)), [len(scores) for scores, _ in matched])
        scores = np.concatenate([s for s, _ in matched]) if matched else np.zeros(0)
        hits = np.concatenate([h for _, h in matched]) if matched else np.zeros(0, bool)
        order = np.argsort(-scores, kind="stable")
        self._picture, self._scores, self._hits = picture[order], scores[order], hits[order]

    def average_precision(self, rows: IntArray) -> float:
        """Return AP over the chosen pictures; NaN without true boxes."""
        good, wrong, total = self._curve(rows)
        if total == 0:
            return float("nan")
        said = good + wrong
        some = said > 0
        return area_under(good[some] / total, good[some] / said[some])

    def sensitivity_at(self, rows: IntArray, false_per_picture: float) -> float:
        """Return the share of fractures found with at most so many false boxes a picture."""
        good, wrong, total = self._curve(rows)
        if total == 0:
            return float("nan")
        allowed = good[wrong <= false_per_picture * len(rows) + 1e-9]
        return float(allowed.max() / total) if allowed.size else 0.0

    def froc(self) -> tuple[FloatArray, FloatArray]:
        """Return false boxes a picture and share of fractures found, from strict to lenient."""
        good, wrong, total = self._curve(np.arange(len(self._truth)))
        return wrong / max(1, len(self._truth)), good / max(1, total)

    @cached_property
    def _ends(self) -> IntArray:
        """Last place of each distinct score: equal scores are accepted together."""
        if not self._scores.size:
            return np.zeros(0, np.int64)
        return np.append(np.nonzero(np.diff(self._scores))[0], self._scores.size - 1)

    def _curve(self, rows: IntArray) -> tuple[FloatArray, FloatArray, int]:
        """Return hits and false boxes accepted at each score, and the number of true boxes."""
        times = np.bincount(rows, minlength=len(self._truth))
        weight = times[self._picture].astype(np.float64)
        good = np.cumsum(weight * self._hits)[self._ends]
        wrong = np.cumsum(weight * ~self._hits)[self._ends]
        return good, wrong, int((times * self._truth).sum())
