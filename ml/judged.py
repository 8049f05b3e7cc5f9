"""What a model says about labelled pictures, asked exactly as in the product."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.contracts import Box, Prediction, UnreadableImageError
from ml.data.fracatlas import Sample
from ml.decoding import decode_image
from ml.detection import overlap
from ml.explain import energy_in_boxes, pointing_hit
from ml.predictor import Examination, FracturePredictor
from ml.stopwatch import Stopwatch

_READING_IOU = 0.3
UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Record:
    """What the model said about one labelled picture.

    Attributes:
        sample: the labels.
        reasons: why the gate refused it (``unreadable``: it could not be decoded), empty when it
            was assessed.
        probability: calibrated, NaN when refused.
        places: every candidate with its probability, strongest first, in image pixels.
        region: coarse code.
        body_region: index into ``BODY_REGIONS``, -1 when refused.
        pointing: the hottest place of the heatmap is in a true box; ``None`` without boxes.
        energy: share of the heat in the true boxes; ``None`` without boxes.
        severity, pattern: (true, said) indexes of matched places with a known reading.
        milliseconds: time of the whole prediction.
        longer_side: of the decoded picture in pixels, 0 when unreadable.
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
    longer_side: int = 0


def run_model(predictor: FracturePredictor, samples: Sequence[Sample]) -> Iterator[Record]:
    """Yield a record for each picture, decoded and judged exactly as in the product.

    Raises:
        OSError: a file cannot be read.
    """
    for sample in samples:
        watch = Stopwatch()
        encoded = sample.path.read_bytes()
        try:
            with watch.stage("decode"):
                decoded = decode_image(encoded)
                pixels = decoded.frames[0]
        except UnreadableImageError:
            yield _refused(sample, (UNREADABLE,), watch.timings_ms()["total"], 0)
            continue
        prediction, examination = predictor.judge(decoded, pixels, watch)
        if examination is None or prediction.heatmap is None:
            side = max(prediction.image_width, prediction.image_height)
            yield _refused(sample, prediction.reasons, prediction.timings_ms["total"], side)
        else:
            yield _assessed(sample, prediction, examination, prediction.heatmap)


def _refused(
    sample: Sample, reasons: tuple[str, ...], milliseconds: float, longer_side: int
) -> Record:
    return Record(
        sample=sample,
        reasons=reasons,
        probability=float("nan"),
        places=(),
        region="",
        body_region=-1,
        pointing=None,
        energy=None,
        severity=(),
        pattern=(),
        milliseconds=milliseconds,
        longer_side=longer_side,
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
        longer_side=max(size),
    )
