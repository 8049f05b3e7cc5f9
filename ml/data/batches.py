"""Training batches: which pictures, and the dense targets that their boxes stand for."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ml.contracts import Box
from ml.data.augmentation import Habits, augment
from ml.data.cache import PictureCache
from ml.data.fracatlas import Fracture, Sample
from ml.labels import COARSE_REGIONS

Array = npt.NDArray[np.float32]
Batch = dict[str, Array]

_SIGMA_OF_SIZE = 0.25  # of the box side; wide enough that a box of six cells teaches several
_MIN_SIGMA_CELLS = 1.4
_BOX_CELL_LEVEL = 0.4  # cells above this value of the Gaussian learn the box


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What a batch is made of."""

    input_size: int
    batch_size: int = 16
    positives: int = 5
    matched_negatives: int = 4
    map_stride: int = 4
    attribute_stride: int = 8
    habits: Habits = field(default_factory=Habits)


def batches(
    samples: Sequence[Sample], cache: PictureCache, plan: BatchPlan, *, seed: int
) -> Iterator[Batch]:
    """Yield endless batches: positives drawn up, some negatives of the same body region."""
    generator = np.random.default_rng(seed)
    positives = [sample for sample in samples if sample.fractured]
    negatives = [sample for sample in samples if not sample.fractured]
    by_region: dict[int, list[Sample]] = defaultdict(list)
    for sample in negatives:
        by_region[sample.body_region].append(sample)
    positive_stream = _endless(positives, generator)
    negative_stream = _endless(negatives, generator)
    while True:
        chosen = [next(positive_stream) for _ in range(plan.positives)]
        for sample in chosen[: plan.matched_negatives]:
            pool = by_region.get(sample.body_region) or negatives
            chosen.append(pool[int(generator.integers(len(pool)))])
        while len(chosen) < plan.batch_size:
            chosen.append(next(negative_stream))
        yield _assemble(chosen, cache, plan, generator)


def gaussian_targets(
    boxes: Sequence[Box], *, input_size: int, stride: int
) -> tuple[Array, Array, npt.NDArray[np.int64]]:
    """Return the map target ``(h, w)``, the box target ``(h, w, 4)`` and each cell's owner.

    The map holds one Gaussian a box with peak 1; boxes are distances from the cell centre to
    left, top, right, bottom in input pixels; the owner is the index of the box whose Gaussian is
    highest, -1 where none exceeds the level from which a cell learns its box.
    """
    cells = input_size // stride
    centres = (np.arange(cells, dtype=np.float32) + 0.5) * stride
    heat = np.zeros((cells, cells), np.float32)
    reach = np.ones((cells, cells, 4), np.float32)
    owner = np.full((cells, cells), -1, np.int64)
    for index in sorted(range(len(boxes)), key=lambda i: -boxes[i].width * boxes[i].height):
        box = boxes[index]
        # The peak sits on a cell centre, so that the cell nearest to the middle learns a full 1.
        x = (np.floor((box.x + box.width / 2) / stride) + 0.5) * stride
        y = (np.floor((box.y + box.height / 2) / stride) + 0.5) * stride
        sigma_x = max(_MIN_SIGMA_CELLS * stride, box.width * _SIGMA_OF_SIZE)
        sigma_y = max(_MIN_SIGMA_CELLS * stride, box.height * _SIGMA_OF_SIZE)
        blob = np.exp(
            -(((centres[None, :] - x) / sigma_x) ** 2 + ((centres[:, None] - y) / sigma_y) ** 2) / 2
        ).astype(np.float32)
        mine = (blob > _BOX_CELL_LEVEL) & (blob >= heat)
        owner[mine] = index
        distances = np.stack(
            np.broadcast_arrays(
                centres[None, :] - box.x,
                centres[:, None] - box.y,
                box.x + box.width - centres[None, :],
                box.y + box.height - centres[:, None],
            ),
            axis=-1,
        )
        reach[mine] = np.maximum(distances, 0.5)[mine]
        heat = np.maximum(heat, blob)
    return heat, reach, owner


def _endless(samples: Sequence[Sample], generator: np.random.Generator) -> Iterator[Sample]:
    while True:
        for index in generator.permutation(len(samples)):
            yield samples[int(index)]


def _assemble(
    chosen: Sequence[Sample],
    cache: PictureCache,
    plan: BatchPlan,
    generator: np.random.Generator,
) -> Batch:
    parts: dict[str, list[object]] = defaultdict(list)
    for sample in chosen:
        boxes = tuple(fracture.box for fracture in sample.fractures)
        view = augment(cache[sample.image_id], boxes, plan.input_size, generator, plan.habits)
        pairs = [
            (box, fracture)
            for box, fracture in zip(view.boxes, sample.fractures, strict=True)
            if box is not None
        ]
        heat, reach, owner = gaussian_targets(
            [box for box, _ in pairs], input_size=plan.input_size, stride=plan.map_stride
        )
        _, _, attribute_owner = gaussian_targets(
            [box for box, _ in pairs], input_size=plan.input_size, stride=plan.attribute_stride
        )
        parts["pixels"].append(view.pixels[..., None])
        parts["image"].append(float(sample.fractured))
        parts["region"].append(_coarse_index(sample))
        parts["body_region"].append(sample.body_region)
        parts["flags"].append(
            [-1.0 if view.metal_drawn else float(sample.hardware), float(sample.cast)]
        )
        parts["map"].append(heat[..., None])
        parts["boxes"].append(reach)
        parts["box_weight"].append(np.where(owner >= 0, heat, 0.0)[..., None])
        parts["attributes"].append(
            _attribute_targets(attribute_owner, [fracture for _, fracture in pairs])
        )
    return {name: np.asarray(values, np.float32) for name, values in parts.items()}


def _coarse_index(sample: Sample) -> int:
    return COARSE_REGIONS.index(sample.region) if sample.region in COARSE_REGIONS else -1


def _attribute_targets(owner: npt.NDArray[np.int64], fractures: Sequence[Fracture]) -> Array:
    """Return ``(h, w, 3)`` class indexes of severity, displacement, pattern; -1 = unknown."""
    table = np.array([[f.severity, f.displacement, f.pattern] for f in fractures] + [[-1] * 3])
    return table[owner].astype(np.float32)  # owner -1 picks the last row
