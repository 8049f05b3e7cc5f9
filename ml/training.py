"""The optimisation loop: one step, the learning-rate plan, the moving average, a batch thread."""

import math
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ml.data.batches import Batch
from ml.losses import LossWeights, Tensors, detector_losses


@dataclass(frozen=True, slots=True)
class RatePlan:
    """Warm-up, then a cosine down to a fraction of the peak, over progress 0 to 1."""

    peak: float
    warm_up: float = 0.04
    floor: float = 0.01

    def at(self, progress: float) -> float:
        """Return the learning rate at a progress of 0 (start) to 1 (end)."""
        if progress < self.warm_up:
            return self.peak * max(0.02, progress / self.warm_up)
        angle = math.pi * min(1.0, (progress - self.warm_up) / (1.0 - self.warm_up))
        return self.peak * (self.floor + (1.0 - self.floor) * 0.5 * (1.0 + math.cos(angle)))


class MovingAverage:
    """Exponential moving average of all weights, batch-norm statistics included."""

    def __init__(self, model: keras.Model, decay: float) -> None:
        self._model = model
        self._decay = decay
        self._count = 0
        self._average = [np.array(value) for value in model.get_weights()]

    def update(self) -> None:
        """Blend in the current weights; early updates count more."""
        self._count += 1
        decay = min(self._decay, (1 + self._count) / (10 + self._count))
        for average, value in zip(self._average, self._model.get_weights(), strict=True):
            average *= decay
            average += (1.0 - decay) * value

    def copy_to(self, model: keras.Model) -> None:
        """Set the average as the weights of another model of the same build."""
        model.set_weights(self._average)

    def state(self) -> tuple[int, list[npt.NDArray[np.float32]]]:
        """Return what an exact resume needs."""
        return self._count, self._average

    def restore(self, count: int, average: list[npt.NDArray[np.float32]]) -> None:
        """Continue from a saved state."""
        self._count, self._average = count, [np.array(value) for value in average]


def make_step(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    weights: LossWeights,
) -> Callable[[Tensors], Tensors]:
    """Return the compiled training step (no XLA: it was 19 times slower on the CPU)."""

    @tf.function(jit_compile=False)  # type: ignore[untyped-decorator]
    def step(batch: Tensors) -> Tensors:
        with tf.GradientTape() as tape:
            output = model(batch["pixels"], training=True)
            losses = detector_losses(batch, output, weights)
        gradients = tape.gradient(losses["total"], model.trainable_variables)
        gradients, _ = tf.clip_by_global_norm(gradients, 10.0)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return losses

    return cast("Callable[[Tensors], Tensors]", step)


def in_background(source: Iterator[Batch], depth: int = 6) -> Iterator[Batch]:
    """Compute batches in a thread while the network works on the one before."""
    ready: queue.Queue[Batch | BaseException] = queue.Queue(depth)

    def work() -> None:
        try:
            for batch in source:
                ready.put(batch)
        except BaseException as error:  # noqa: BLE001 - handed to the consumer, which raises it
            ready.put(error)

    threading.Thread(target=work, daemon=True, name="batches").start()
    while True:
        item = ready.get()
        if isinstance(item, BaseException):
            raise item
        yield item
