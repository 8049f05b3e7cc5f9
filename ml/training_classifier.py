"""The classification loop: losses, one compiled step, phases, checkpoints and exact resume."""

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf

from ml.architectures.classifiers import set_frozen
from ml.classification import (
    TYPES,
    EarlyStopping,
    Phase,
    Settings,
    class_weights,
    fracture_probability,
    type_index,
)
from ml.data.classification import Views, prepared_pixels
from ml.data.fracatlas import Sample
from ml.labels import BODY_REGIONS
from ml.metrics import auroc
from ml.training import RatePlan, in_background

logger = logging.getLogger("ml.train_classifier")
STATE_NAME, BEST_NAME = "state.npz", "best.weights.h5"
_EVALUATION_BATCH = 16
Tensors = dict[str, tf.Tensor]


@dataclass(frozen=True, slots=True)
class Weighting:
    """What a class counts in the loss; ``focal`` is 0 without focal loss."""

    fracture: tuple[float, ...]
    region: tuple[float, ...]
    types: tuple[float, ...]
    focal: float


def weighting_of(samples: Sequence[Sample], settings: Settings) -> Weighting:
    """Return the class weights that the settings ask for."""
    focal = settings.focal_gamma if settings.loss == "focal" else 0.0
    if settings.loss != "weighted":
        ones = (1.0,) * max(len(BODY_REGIONS), len(TYPES))
        return Weighting(ones[:2], ones[: len(BODY_REGIONS)], ones[: len(TYPES)], focal)
    columns = (
        ([int(s.fractured) for s in samples], 2),
        ([s.body_region for s in samples], len(BODY_REGIONS)),
        ([type_index(s) for s in samples], len(TYPES)),
    )
    limit = settings.max_class_weight
    fracture, region, types = (
        tuple(class_weights(classes, n, limit=limit).tolist()) for classes, n in columns
    )
    return Weighting(fracture, region, types, focal)


def classification_loss(
    head: str, truth: Tensors, output: Tensors, weighting: Weighting
) -> tf.Tensor:
    """Return the mean loss of a batch; labels that are not known cost nothing."""
    fractured = truth["fractured"]
    weight = tf.gather(tf.constant(weighting.fracture), tf.cast(fractured, tf.int32))
    if head == "binary":
        return _mean(_binary_log(fractured, output["fracture"][:, 0]), weight, weighting.focal)
    if head == "region":
        index = tf.cast(truth["region"], tf.int32)
        known = tf.cast(index >= 0, tf.float32)
        index = tf.maximum(index, 0)
        region_log = tf.gather(tf.nn.log_softmax(output["region"]), index, batch_dims=1)
        fracture_log = _binary_log(fractured, tf.gather(output["fracture"], index, batch_dims=1))
        region_weight = known * tf.gather(tf.constant(weighting.region), index)
        return _mean(region_log, region_weight, weighting.focal) + _mean(
            fracture_log, known * weight, weighting.focal
        )
    index = tf.cast(truth["type"], tf.int32)
    logs = tf.nn.log_softmax(output["type"])
    exact = tf.gather(logs, tf.maximum(index, 0), batch_dims=1)
    # Fractured, but the readers did not agree on the type: any type is right.
    any_type = tf.reduce_logsumexp(logs[:, 1:], axis=-1)
    known_type = index >= 0
    type_weight = tf.gather(tf.constant(weighting.types), tf.maximum(index, 0))
    return _mean(
        tf.where(known_type, exact, any_type),
        tf.where(known_type, type_weight, weight),
        weighting.focal,
    )


def _binary_log(truth: tf.Tensor, logit: tf.Tensor) -> tf.Tensor:
    return -tf.nn.sigmoid_cross_entropy_with_logits(truth, logit)


def _mean(log_probability: tf.Tensor, weight: tf.Tensor, focal: float) -> tf.Tensor:
    """Return the weighted mean cost of the true classes' log probabilities."""
    cost = -log_probability
    if focal:
        # Near certainty the derivative of x ** gamma is not defined: keep away from 0.
        easy = tf.maximum(1.0 - tf.exp(log_probability), 1e-6)
        cost *= easy**focal
    return tf.reduce_sum(cost * weight) / tf.maximum(tf.reduce_sum(tf.sign(weight)), 1.0)


class Trainer:
    """One run: its network, optimizer and place in the plan, all of it in the state file."""

    def __init__(
        self,
        model: keras.Model,
        head: str,
        settings: Settings,
        plan: Sequence[Phase],
        folder: Path,
        *,
        fingerprint: str,
    ) -> None:
        self.model, self.head, self.settings = model, head, settings
        self.plan, self.folder, self.fingerprint = plan, folder, fingerprint
        self.epoch = self.step = 0
        self.seconds = 0.0
        self.stopping = EarlyStopping(settings.patience)
        self.finished = False
        self.forward = compiled_forward(model)
        self._optimizer_of(self._phase())

    def _phase(self) -> Phase:
        return next(p for p in reversed(self.plan) if p.first_epoch <= self.epoch)

    def _optimizer_of(self, phase: Phase) -> None:
        self.phase = phase
        set_frozen(self.model, frozen=phase.frozen)
        self.rates = RatePlan(phase.rate)
        self.optimizer = keras.optimizers.AdamW(
            phase.rate, weight_decay=self.settings.weight_decay, global_clipnorm=5.0
        )
        self.optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        self.applier = self.optimizer
        if keras.mixed_precision.global_policy().compute_dtype == "float16":
            self.applier = keras.optimizers.LossScaleOptimizer(self.optimizer)
        self.applier.build(self.model.trainable_variables)

    def _compiled(self, weighting: Weighting) -> Callable[[Tensors], tf.Tensor]:
        variables = self.model.trainable_variables

        @tf.function(jit_compile=False)  # type: ignore[untyped-decorator]
        def step(batch: Tensors) -> tf.Tensor:
            with tf.GradientTape() as tape:
                output = self.model(batch["pixels"], training=True)
                loss = classification_loss(self.head, batch, output, weighting)
                scaled = self.applier.scale_loss(loss)
            gradients = tape.gradient(scaled, variables)
            # A head's unused outputs have no gradient in some batches; the optimizer wants zeros.
            gradients = [
                tf.zeros_like(v) if g is None else g
                for g, v in zip(gradients, variables, strict=True)
            ]
            self.applier.apply_gradients(zip(gradients, variables, strict=True))
            return loss

        return cast("Callable[[Tensors], tf.Tensor]", step)

    def train(
        self,
        views: Views,
        validation: Sequence[Sample],
        weighting: Weighting,
        *,
        steps: int,
        checkpoint_steps: int,
        stop_after: int = 0,
    ) -> None:
        """Run to the end of the plan or until early stopping.

        Args:
            views: training batches.
            validation: pictures that decide on the best epoch and on stopping.
            weighting: class weights.
            steps: batches of an epoch.
            checkpoint_steps: batches between states within an epoch, 0: at its end only.
            stop_after: leave after so many batches, as an interruption would; 0: never.
        """
        done = 0
        last_epoch = self.plan[-1].first_epoch + self.plan[-1].epochs
        writer = tf.summary.create_file_writer(str(self.folder / "tensorboard"))
        stream = in_background(views.stream(self.epoch, self.step, steps))
        compiled = self._compiled(weighting)
        started, before, losses = time.monotonic(), self.seconds, []
        while not self.finished and self.epoch < last_epoch:
            if self._phase() != self.phase:
                self._optimizer_of(self._phase())
                compiled = self._compiled(weighting)
            while self.step < steps:
                place = (self.epoch - self.phase.first_epoch) * steps + self.step
                self.optimizer.learning_rate = self.rates.at(place / (self.phase.epochs * steps))
                batch = next(stream)
                losses.append(float(compiled({k: tf.constant(v) for k, v in batch.items()})))
                self.step += 1
                done += 1
                if checkpoint_steps and self.step % checkpoint_steps == 0 and self.step < steps:
                    self.seconds = before + time.monotonic() - started
                    self.save_state()
                if stop_after and done >= stop_after:
                    return
            score = self._end_epoch(validation, losses, writer)
            self.seconds = before + time.monotonic() - started
            logger.info("epoch %s: %s", self.epoch, json.dumps(score))
            losses = []
            self.save_state()

    def _end_epoch(
        self, validation: Sequence[Sample], losses: Sequence[float], writer: Any
    ) -> dict[str, Any]:
        probabilities = self.predict(validation)
        score = auroc([sample.fractured for sample in validation], probabilities)
        if self.stopping.update(score, counts=not self.phase.frozen):
            self.model.save_weights(self.folder / BEST_NAME)
        loss = float(np.mean(losses)) if losses else float("nan")
        rate = float(self.optimizer.learning_rate)
        with writer.as_default(step=self.epoch):
            tf.summary.scalar("loss/train", loss)
            tf.summary.scalar("auroc/validation", score)
            tf.summary.scalar("learning_rate", rate)
        writer.flush()
        self.epoch, self.step = self.epoch + 1, 0
        self.finished = self.stopping.is_over
        line = {
            "epoch": self.epoch,
            "frozen": self.phase.frozen,
            "loss": round(loss, 5),
            "validation_auroc": None if np.isnan(score) else round(score, 4),
            "rate": rate,
        }
        with (self.folder / "history.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        return line

    def predict(self, samples: Sequence[Sample]) -> list[float]:
        """Return the probability of a fracture of each picture, prepared as at run time."""
        found: list[float] = []
        for start in range(0, len(samples), _EVALUATION_BATCH):
            chunk = samples[start : start + _EVALUATION_BATCH]
            output = self.forward(tf.constant(prepared_pixels(chunk, self.settings.image_size)))
            logits = {name: np.asarray(value) for name, value in output.items()}
            found.extend(fracture_probability(self.head, logits).tolist())
        return found

    def save_state(self) -> None:
        """Write all that an exact resume needs; the file is whole or it is the one before."""
        # model.variables holds the random states of dropout too, model.weights does not.
        arrays: dict[str, Any] = {
            f"m{i:04d}": keras.ops.convert_to_numpy(v) for i, v in enumerate(self.model.variables)
        }
        arrays |= {
            f"o{i:04d}": keras.ops.convert_to_numpy(v) for i, v in enumerate(self.applier.variables)
        }
        place = {
            "fingerprint": self.fingerprint,
            "epoch": self.epoch,
            "step": self.step,
            "phase": self.plan.index(self.phase),
            "seconds": self.seconds,
            "best": self.stopping.best,
            "waited": self.stopping.waited,
            "finished": self.finished,
        }
        unfinished = self.folder / "state.tmp.npz"
        np.savez(unfinished, place=np.array(json.dumps(place)), **arrays)
        unfinished.replace(self.folder / STATE_NAME)

    def restore(self) -> None:
        """Continue from the state file.

        Raises:
            ValueError: the state belongs to a run with other settings or other data.
        """
        with np.load(self.folder / STATE_NAME) as state:
            place = json.loads(str(state["place"]))
            if place["fingerprint"] != self.fingerprint:
                raise ValueError(f"{self.folder} holds a run with other settings or data")
            self.epoch, self.step = place["epoch"], place["step"]
            self.seconds, self.finished = place["seconds"], place["finished"]
            self.stopping.best, self.stopping.waited = place["best"], place["waited"]
            self._optimizer_of(self.plan[place["phase"]])
            for kind, variables in (("m", self.model.variables), ("o", self.applier.variables)):
                names = sorted(name for name in state.files if name[0] == kind and name != "place")
                for name, variable in zip(names, variables, strict=True):
                    variable.assign(state[name])


def compiled_forward(model: keras.Model) -> Callable[[tf.Tensor], Tensors]:
    """Return the network in inference mode, traced once for any number of pictures."""
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def forward(pixels: tf.Tensor) -> Tensors:
        return cast("Tensors", model(pixels, training=False))

    return cast("Callable[[tf.Tensor], Tensors]", forward)
