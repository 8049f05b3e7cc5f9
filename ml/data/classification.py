"""Batches for classification that depend on seed, epoch and position alone: resume is exact."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ml.classification import type_index
from ml.data.augmentation import augment
from ml.data.cache import PictureCache
from ml.data.fracatlas import Sample
from ml.data.pictures import read_grey
from ml.preprocessing import prepare

Batch = dict[str, npt.NDArray[np.float32]]


class Views:
    """Augmented training batches with random access by epoch and step."""

    def __init__(
        self,
        samples: Sequence[Sample],
        cache: PictureCache,
        *,
        image_size: int,
        batch_size: int,
        seed: int,
    ) -> None:
        self._samples = samples
        self._cache = cache
        self._image_size = image_size
        self._batch_size = batch_size
        self._seed = seed

    @property
    def steps(self) -> int:
        """How many batches an epoch has."""
        return math.ceil(len(self._samples) / self._batch_size)

    def batch(self, epoch: int, step: int) -> Batch:
        """Return one batch, the same one every time."""
        order = np.random.default_rng((self._seed, epoch)).permutation(len(self._samples))
        start = step * self._batch_size
        # The last batch is filled from the start of the order: its size never changes.
        places = np.arange(start, start + self._batch_size) % len(order)
        generator = np.random.default_rng((self._seed, epoch, step))
        chosen = [self._samples[int(index)] for index in order[places]]
        pixels = [
            augment(
                self._cache[sample.image_id],
                tuple(fracture.box for fracture in sample.fractures),
                self._image_size,
                generator,
            ).pixels
            for sample in chosen
        ]
        return {
            "pixels": np.stack(pixels)[..., None].astype(np.float32),
            "fractured": np.array([sample.fractured for sample in chosen], np.float32),
            "region": np.array([sample.body_region for sample in chosen], np.float32),
            "type": np.array([type_index(sample) for sample in chosen], np.float32),
        }

    def stream(self, epoch: int, step: int, steps: int) -> Iterator[Batch]:
        """Yield batches without end from a place on, ``steps`` to an epoch."""
        while True:
            while step < steps:
                yield self.batch(epoch, step)
                step += 1
            epoch, step = epoch + 1, 0


def prepared_pixels(samples: Sequence[Sample], image_size: int) -> npt.NDArray[np.float32]:
    """Return ``(n, size, size, 1)`` pixels, prepared as at run time."""
    pixels = [prepare(read_grey(s.path), input_size=image_size).pixels for s in samples]
    return np.stack(pixels)[..., None]
