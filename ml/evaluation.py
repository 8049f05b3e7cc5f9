"""Run a model over labelled pictures and measure it; runs on the run-time requirements alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.calibration import expected_calibration_error
from ml.contracts import Box, Prediction
from ml.data.fracatlas import Sample
from ml.decoding import decode_image
from ml.detection import overlap
from ml.explain import energy_in_boxes, pointing_hit
from ml.labels import BODY_REGIONS
from ml.metrics import (
    Estimate,
    IntArray,
    auroc,
    average_precision,
    balanced_accuracy,
    bootstrap,
    macro_f1,
    match_places,
    places_average_precision,
    sensitivity,
    sensitivity_at_specificity,
    specificity,
)
from ml.predictor import Examination, FracturePredictor
from ml.stopwatch import Stopwatch

_READING_IOU = 0.3
_MIN_GROUP = 8  # positives and negatives; below, an interval says nothing


@dataclass(frozen=True, slots=True)
class Record:
    """What the model said about one labelled picture.

    Attributes:
        sample: the labels.
        reasons: why the gate refused it, empty when it was assessed.
        probability: calibrated, NaN when refused.
        places: every candidate with its probability, strongest first, in image pixels.
        region: coarse code.
        body_region: index into ``BODY_REGIONS``, -1 when refused.
        pointing: the hottest place of the heatmap is in a true box; ``None`` without boxes.
        energy: share of the heat in the true boxes; ``None`` without boxes.
        severity, pattern: (true, said) indexes of matched places with a known reading.
        milliseconds: time of the whole prediction.
    """

    sample: Sample
    reasons: tuple[str, ...]
    probability: float
    places: tuple[tuple[Box, float], ...]
    region: str
    body_region: int
    pointing: bool | None
    energy: float | None
    severity: tuple[tuple[int, int], ...]
    pattern: tuple[tuple[int, int], ...]
    milliseconds: float


def run_model(predictor: FracturePredictor, samples: Sequence[Sample]) -> Iterator[Record]:
    """Yield a record for each picture, decoded and judged exactly as in the product."""
    for sample in samples:
        watch = Stopwatch()
        with watch.stage("decode"):
            decoded = decode_image(sample.path.read_bytes())
            pixels = decoded.frames[0]
        prediction, examination = predictor.judge(decoded, pixels, watch)
        if examination is None or prediction.heatmap is None:
            yield _refused(sample, prediction)
        else:
            yield _assessed(sample, prediction, examination, prediction.heatmap)


def _refused(sample: Sample, prediction: Prediction) -> Record:
    return Record(
        sample=sample,
        reasons=prediction.reasons,
        probability=float("nan"),
        places=(),
        region="",
        body_region=-1,
        pointing=None,
        energy=None,
        severity=(),
        pattern=(),
        milliseconds=prediction.timings_ms["total"],
    )


def _assessed(
    sample: Sample,
    prediction: Prediction,
    examination: Examination,
    heatmap: npt.NDArray[np.uint8],
) -> Record:
    truth = [fracture.box for fracture in sample.fractures]
    size = (prediction.image_width, prediction.image_height)
    severity, pattern = [], []
    for fracture in sample.fractures:
        place = next(
            (f for f in examination.findings if overlap(f.box, fracture.box) >= _READING_IOU), None
        )
        if place is not None and fracture.severity >= 0:
            severity.append((fracture.severity, int(np.argmax(place.candidate.severity))))
        if place is not None and fracture.pattern >= 0:
            pattern.append((fracture.pattern, int(np.argmax(place.candidate.pattern))))
    return Record(
        sample=sample,
        reasons=(),
        probability=examination.probability,
        places=tuple((f.box, f.probability) for f in examination.findings),
        region=prediction.region,
        body_region=int(np.argmax(examination.body_regions)),
        pointing=pointing_hit(heatmap, truth, *size) if truth else None,
        energy=energy_in_boxes(heatmap, truth, *size) if truth else None,
        severity=tuple(severity),
        pattern=tuple(pattern),
        milliseconds=prediction.timings_ms["total"],
    )


class Evaluation:
    """All figures over a list of records, with intervals over blocks."""

    def __init__(
        self, records: Sequence[Record], *, suspicion: float, definite: float, draws: int = 500
    ) -> None:
        self._all = list(records)
        self._records = [record for record in records if not record.reasons]
        self._suspicion, self._definite = suspicion, definite
        self._draws = draws
        self._p = np.array([record.probability for record in self._records])
        self._y = np.array([record.sample.fractured for record in self._records], bool)

    def figures(self) -> dict[str, Estimate]:
        """Return every figure of all pictures."""
        figures = self._image_figures()
        figures["auroc_without_hardware"] = self._over(
            self._ranking, lambda record: not record.sample.hardware
        )
        if any(record.sample.fractures for record in self._records):
            figures |= self._place_figures()
        figures["body_region_macro_f1"] = self._over(self._body_regions, _has_body_region)
        figures["region_macro_f1"] = self._over(self._regions, lambda r: bool(r.sample.region))
        figures["severity_balanced_accuracy"] = self._readings("severity")
        figures["pattern_balanced_accuracy"] = self._readings("pattern")
        figures["cannot_assess_rate"] = self._rate()
        return figures

    def groups(self) -> dict[str, dict[str, dict[str, Estimate]]]:
        """Return the image figures by region, view, hardware and size of the largest fracture."""
        keys: dict[str, Callable[[Record], str]] = {
            "region": lambda record: record.sample.region,
            "body_region": _body_region_name,
            "view": lambda record: record.sample.view,
            "hardware": lambda record: "with" if record.sample.hardware else "without",
        }
        found: dict[str, dict[str, dict[str, Estimate]]] = {}
        for name, key in keys.items():
            found[name] = {}
            for value in sorted({key(record) for record in self._all} - {""}):
                part = [record for record in self._all if key(record) == value]
                positives = sum(record.sample.fractured for record in part)
                if min(positives, len(part) - positives) < _MIN_GROUP:
                    continue
                found[name][value] = Evaluation(
                    part, suspicion=self._suspicion, definite=self._definite, draws=200
                ).image_figures()
        return found

    def image_figures(self) -> dict[str, Estimate]:
        """Return the figures that need labels of pictures only."""
        return self._image_figures()

    def _image_figures(self) -> dict[str, Estimate]:
        p, y, low, high = self._p, self._y, self._suspicion, self._definite
        return {
            "auroc": self._over(self._ranking),
            "auprc": self._over(lambda i: average_precision(y[i], p[i])),
            "ece": self._over(lambda i: expected_calibration_error(p[i], y[i])),
            "sensitivity_suspicion": self._over(lambda i: sensitivity(y[i], p[i] >= low)),
            "specificity_suspicion": self._over(lambda i: specificity(y[i], p[i] >= low)),
            "sensitivity_definite": self._over(lambda i: sensitivity(y[i], p[i] >= high)),
            "specificity_definite": self._over(lambda i: specificity(y[i], p[i] >= high)),
            "sensitivity_at_specificity_80": self._over(
                lambda i: sensitivity_at_specificity(y[i], p[i], 0.8)
            ),
        }

    def _place_figures(self) -> dict[str, Estimate]:
        truth = [[f.box for f in record.sample.fractures] for record in self._records]
        found = [record.places for record in self._records]

        counts = np.array([len(boxes) for boxes in truth], np.int64)

        def precision(limit: float) -> Callable[[IntArray], float]:
            # A picture's answers are matched once: drawing pictures again does not change them.
            matched = [match_places(t, f, iou=limit) for t, f in zip(truth, found, strict=True)]
            return lambda rows: places_average_precision(
                [matched[i] for i in rows], int(counts[rows].sum())
            )

        steps = [precision(0.5 + 0.05 * k) for k in range(10)]

        def mean_precision(rows: IntArray) -> float:
            return float(np.mean([step(rows) for step in steps]))

        def has_boxes(record: Record) -> bool:
            return record.pointing is not None

        pointing = np.array([float(record.pointing or 0) for record in self._records])
        energy = np.array([record.energy or 0.0 for record in self._records])
        return {
            "ap10": self._over(precision(0.1)),
            "ap30": self._over(precision(0.3)),
            "ap50": self._over(steps[0]),
            "ap50_95": self._over(mean_precision, draws=200),
            "pointing_game": self._over(lambda i: float(pointing[i].mean()), has_boxes),
            "energy_in_boxes": self._over(lambda i: float(energy[i].mean()), has_boxes),
        }

    def _over(
        self,
        statistic: Callable[[IntArray], float],
        keep: Callable[[Record], bool] = lambda _record: True,
        draws: int | None = None,
    ) -> Estimate:
        """Bootstrap a statistic of the indexes of the records that are kept."""
        rows = np.array([i for i, r in enumerate(self._records) if keep(r)], np.int64)
        return bootstrap(
            lambda chosen: statistic(rows[chosen]),
            blocks=[self._records[i].sample.block for i in rows],
            labels=[bool(self._y[i]) for i in rows],
            draws=draws or self._draws,
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
        return bootstrap(
            lambda rows: float(refused[rows].mean()),
            blocks=[record.sample.block for record in self._all],
            labels=[record.sample.fractured for record in self._all],
            draws=self._draws,
        )


def _has_body_region(record: Record) -> bool:
    return record.sample.body_region >= 0


def _body_region_name(record: Record) -> str:
    index = record.sample.body_region
    return BODY_REGIONS[index] if index >= 0 else ""
