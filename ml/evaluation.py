"""All figures of a model over labelled pictures, each with its interval over blocks."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import numpy as np

from ml.calibration import expected_calibration_error
from ml.judged import Record, run_model
from ml.labels import BODY_REGIONS
from ml.metrics import (
    Estimate,
    FloatArray,
    IntArray,
    accuracy,
    auroc,
    average_precision,
    balanced_accuracy,
    bootstrap,
    f1,
    macro_f1,
    sensitivity,
    sensitivity_at_specificity,
    specificity,
)
from ml.places import BoolArray, Places

FALSE_BOXES: Final = (0.25, 0.5, 1.0, 2.0)  # a picture, for FROC
FROC_IOU: Final = 0.3
SIZES: Final = {"small": 0.05, "medium": 0.10, "large": math.inf}
_GROUP_DRAWS: Final = 200
# Figures that need a column; without it they would be made up.
_NEEDS: Final[Mapping[str, frozenset[str]]] = {
    "auroc_without_hardware": frozenset({"hardware"}),
    "region_macro_f1": frozenset({"region", "body_region"}),
    "body_region_macro_f1": frozenset({"body_region"}),
    "severity_balanced_accuracy": frozenset({"boxes.severity"}),
    "pattern_balanced_accuracy": frozenset({"boxes.pattern"}),
}
_GROUP_NEEDS: Final[Mapping[str, frozenset[str]]] = {
    "region": frozenset({"region", "body_region"}),
    "body_region": frozenset({"body_region"}),
    "view": frozenset({"frontal", "lateral", "oblique"}),
    "hardware": frozenset({"hardware"}),
    "size": frozenset({"boxes.x"}),
}


class Evaluation:
    """All figures over a list of records, with intervals over blocks.

    Pictures that the gate refused count in ``cannot_assess_rate`` alone.
    """

    def __init__(
        self,
        records: Sequence[Record],
        *,
        suspicion: float,
        definite: float,
        draws: int = 500,
        columns: Collection[str] | None = None,
    ) -> None:
        """Take the records.

        Args:
            records: of all pictures.
            suspicion: lower operating point on the calibrated probability.
            definite: higher one.
            draws: of the bootstrap.
            columns: what the data say, as in ``ml.labelled``; ``None`` means everything.
        """
        self._all = list(records)
        self._records = [record for record in records if not record.reasons]
        self._suspicion, self._definite = suspicion, definite
        self._draws = draws
        self._columns = columns
        self._p = np.array([record.probability for record in self._records])
        self._y = np.array([record.sample.fractured for record in self._records], bool)

    def figures(self) -> dict[str, Estimate]:
        """Return every figure of all pictures that the data allow."""
        figures = self.image_figures()
        figures["auroc_without_hardware"] = self._over(
            self._ranking, lambda record: not record.sample.hardware
        )
        if any(record.sample.fractures for record in self._all):
            figures |= self._place_figures()
        figures["body_region_macro_f1"] = self._over(
            self._body_regions, lambda record: record.sample.body_region >= 0
        )
        figures["region_macro_f1"] = self._over(self._regions, lambda r: bool(r.sample.region))
        figures["severity_balanced_accuracy"] = self._readings("severity")
        figures["pattern_balanced_accuracy"] = self._readings("pattern")
        figures["cannot_assess_rate"] = self._rate()
        return {name: figure for name, figure in figures.items() if self._has(_NEEDS.get(name))}

    def groups(self) -> dict[str, dict[str, dict[str, Estimate]]]:
        """Return the same figures by region, view, hardware and size of the largest fracture.

        A group of a size holds the fractured pictures of that size and all others, so that ranks
        and false alarms mean something in it.
        """
        keys: dict[str, Callable[[Record], str]] = {
            "region": lambda record: record.sample.region,
            "body_region": _body_region_name,
            "view": lambda record: record.sample.view,
            "hardware": lambda record: "with" if record.sample.hardware else "without",
            "size": size_of,
        }
        found: dict[str, dict[str, dict[str, Estimate]]] = {}
        for name, key in keys.items():
            if not self._has(_GROUP_NEEDS[name]):
                continue
            for value in sorted({key(record) for record in self._all} - {""}):
                part = [
                    record
                    for record in self._all
                    if key(record) == value or (name == "size" and not record.sample.fractured)
                ]
                found.setdefault(name, {})[value] = self._part(part).figures()
        return found

    def image_figures(self) -> dict[str, Estimate]:
        """Return the figures that need labels of pictures only."""
        p, y = self._p, self._y
        figures = {
            "auroc": self._over(self._ranking),
            "auprc": self._over(lambda i: average_precision(y[i], p[i])),
            "ece": self._over(lambda i: expected_calibration_error(p[i], y[i])),
            "sensitivity_at_specificity_80": self._over(
                lambda i: sensitivity_at_specificity(y[i], p[i], 0.8)
            ),
        }
        points = (("suspicion", self._suspicion), ("definite", self._definite))
        kinds = (
            ("sensitivity", sensitivity),
            ("specificity", specificity),
            ("f1", f1),
            ("accuracy", accuracy),
        )
        for point, limit in points:
            said = p >= limit
            for kind, statistic in kinds:

                def at_point(
                    rows: IntArray,
                    said: BoolArray = said,
                    statistic: Callable[..., float] = statistic,
                ) -> float:
                    return statistic(y[rows], said[rows])

                figures[f"{kind}_{point}"] = self._over(at_point)
        return figures

    def places(self, iou: float) -> Places:
        """Return the matched boxes of the assessed pictures at an overlap limit."""
        truth = [[f.box for f in record.sample.fractures] for record in self._records]
        return Places(truth, [record.places for record in self._records], iou=iou)

    def _place_figures(self) -> dict[str, Estimate]:
        steps = [self.places(0.5 + 0.05 * k).average_precision for k in range(10)]
        froc = self.places(FROC_IOU)

        def mean_precision(rows: IntArray) -> float:
            return float(np.mean([step(rows) for step in steps]))

        def has_boxes(record: Record) -> bool:
            return record.pointing is not None

        pointing = np.array([float(record.pointing or 0) for record in self._records])
        energy = np.array([record.energy or 0.0 for record in self._records])
        figures = {
            "ap10": self._over(self.places(0.1).average_precision),
            "ap30": self._over(self.places(0.3).average_precision),
            "ap50": self._over(steps[0]),
            "ap50_95": self._over(mean_precision, draws=min(self._draws, _GROUP_DRAWS)),
            "pointing_game": self._over(lambda i: _mean(pointing[i]), has_boxes),
            "energy_in_boxes": self._over(lambda i: _mean(energy[i]), has_boxes),
        }
        for limit in FALSE_BOXES:

            def found(rows: IntArray, limit: float = limit) -> float:
                return froc.sensitivity_at(rows, limit)

            figures[f"froc_sensitivity_at_{limit:g}"] = self._over(found)
        return figures

    def _part(self, records: Sequence[Record]) -> "Evaluation":
        return Evaluation(
            records,
            suspicion=self._suspicion,
            definite=self._definite,
            draws=min(self._draws, _GROUP_DRAWS),
            columns=self._columns,
        )

    def _has(self, needed: frozenset[str] | None) -> bool:
        return needed is None or self._columns is None or bool(needed & frozenset(self._columns))

    def _over(
        self,
        statistic: Callable[[IntArray], float],
        keep: Callable[[Record], bool] = lambda _record: True,
        draws: int | None = None,
    ) -> Estimate:
        """Bootstrap a statistic of the indexes of the records that are kept."""
        rows = np.array([i for i, r in enumerate(self._records) if keep(r)], np.int64)
        return _estimate(
            lambda chosen: statistic(rows[chosen]),
            [self._records[i] for i in rows],
            draws or self._draws,
        )

    def _ranking(self, rows: IntArray) -> float:
        return auroc(self._y[rows], self._p[rows])

    def _body_regions(self, rows: IntArray) -> float:
        chosen = [self._records[i] for i in rows]
        return macro_f1([r.sample.body_region for r in chosen], [r.body_region for r in chosen])

    def _regions(self, rows: IntArray) -> float:
        chosen = [self._records[i] for i in rows]
        return macro_f1([r.sample.region for r in chosen], [r.region for r in chosen])

    def _readings(self, kind: str) -> Estimate:
        def known(record: Record) -> bool:
            return bool(getattr(record, kind))

        def statistic(rows: IntArray) -> float:
            pairs = [pair for i in rows for pair in getattr(self._records[i], kind)]
            return balanced_accuracy([a for a, _ in pairs], [b for _, b in pairs])

        return self._over(statistic, known)

    def _rate(self) -> Estimate:
        refused = np.array([bool(record.reasons) for record in self._all], np.float64)
        return _estimate(lambda rows: _mean(refused[rows]), self._all, self._draws)


def size_of(record: Record) -> str:
    """Return the size of the largest fracture as a share of the picture's side, ``""`` if none."""
    boxes = [fracture.box for fracture in record.sample.fractures]
    if not boxes or not record.longer_side:
        return ""
    side = math.sqrt(max(box.width * box.height for box in boxes)) / record.longer_side
    return next(name for name, limit in SIZES.items() if side < limit)


def _estimate(
    statistic: Callable[[IntArray], float], records: Sequence[Record], draws: int
) -> Estimate:
    """Estimate a figure; there is no interval where a label comes from one block alone."""
    blocks = [record.sample.block for record in records]
    labels = [record.sample.fractured for record in records]
    seen = Counter(label for _, label in set(zip(blocks, labels, strict=True)))
    if not seen or min(seen.values()) < 2:
        value = statistic(np.arange(len(records))) if records else math.nan
        return Estimate(float(value), math.nan, math.nan, len(records))
    return bootstrap(statistic, blocks=blocks, labels=labels, draws=draws)


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if values.size else math.nan


def _body_region_name(record: Record) -> str:
    index = record.sample.body_region
    return BODY_REGIONS[index] if index >= 0 else ""


__all__ = ["Evaluation", "Record", "run_model", "size_of"]
