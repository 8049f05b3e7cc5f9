"""What a Keras detector in training says about labelled pictures, without export or calibration."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from ml.contracts import Box
from ml.data.fracatlas import Sample
from ml.data.pictures import read_grey
from ml.detection import find_candidates
from ml.metrics import auroc
from ml.preprocessing import prepare

_BATCH = 16


@dataclass(frozen=True, slots=True)
class Score:
    """The raw answer for one picture.

    Attributes:
        sample: the labels.
        logit: evidence for a fracture, not calibrated.
        body_region: index into ``BODY_REGIONS``.
        places: boxes in pixels of the picture with their logits, strongest first.
        pointing: the hottest cell of the map is in a true box; ``None`` without boxes.
    """

    sample: Sample
    logit: float
    body_region: int
    places: tuple[tuple[Box, float], ...]
    pointing: bool | None


def score(
    model: keras.Model, samples: Sequence[Sample], *, crop_to_limb: bool = True
) -> Iterator[Score]:
    """Yield the answer for each picture, prepared as at run time, without the mirror image."""
    size = int(model.input_shape[1])
    forward = tf.function(lambda pixels: model(pixels, training=False))
    for start in range(0, len(samples), _BATCH):
        chunk = samples[start : start + _BATCH]
        prepared = [
            prepare(read_grey(s.path), input_size=size, crop_to_limb=crop_to_limb) for s in chunk
        ]
        pixels = tf.constant(np.stack([p.pixels for p in prepared])[..., None])
        output = {name: np.asarray(value) for name, value in forward(pixels).items()}
        for index, (sample, ready) in enumerate(zip(chunk, prepared, strict=True)):
            heat = output["map"][index, ..., 0]
            row, column = np.unravel_index(int(np.argmax(heat)), heat.shape)
            stride = size / heat.shape[0]
            hottest = ready.geometry.point_to_image((column + 0.5) * stride, (row + 0.5) * stride)
            found = find_candidates(
                heat, output["boxes"][index], output["attributes"][index], input_size=size
            )
            yield Score(
                sample=sample,
                logit=float(output["image"][index]),
                body_region=int(np.argmax(output["body_region"][index])),
                places=tuple((ready.geometry.box_to_image(c.box), c.logit) for c in found),
                pointing=_inside(sample, hottest) if sample.fractures else None,
            )


def _inside(sample: Sample, point: tuple[float, float]) -> bool:
    x, y = point
    return any(
        f.box.x <= x <= f.box.x + f.box.width and f.box.y <= y <= f.box.y + f.box.height
        for f in sample.fractures
    )


def summary(scores: Sequence[Score]) -> dict[str, float]:
    """Return AUROC, the pointing game and the share of right body regions, 0 to 1 each."""
    hits = [score.pointing for score in scores if score.pointing is not None]
    right = [score.body_region == score.sample.body_region for score in scores]
    return {
        "auroc": round(auroc([s.sample.fractured for s in scores], [s.logit for s in scores]), 4),
        "pointing": round(float(np.mean(hits)), 4) if hits else 0.0,
        "body_region": round(float(np.mean(right)), 4),
    }
