"""One training run of the detector and its folder: batches, steps, rounds, resume."""

import argparse
import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ml.architectures.classifiers import load_backbone
from ml.architectures.detector import build_detector
from ml.calibration import sigmoid
from ml.classification import IMAGENET, NO_WEIGHTS, WeightsUnavailableError, local_imagenet_weights
from ml.classification_report import Answer, write_answers
from ml.classification_report import figures as test_figures
from ml.data.augmentation import Habits
from ml.data.batches import BatchPlan, batches
from ml.data.cache import PictureCache
from ml.data.fracatlas import Sample, read_samples
from ml.data.splits import read_split
from ml.labels import DISPLACEMENTS, PATTERNS, SEVERITIES
from ml.losses import LossWeights
from ml.scoring import score, summary
from ml.training import MovingAverage, RatePlan, in_background, make_step

logger = logging.getLogger("ml.train")


def set_precision(choice: str) -> None:
    """Compute in bfloat16 where that is faster: on a GPU; on CPUs it was slower than float32."""
    if choice == "auto":
        choice = "mixed_bfloat16" if tf.config.list_physical_devices("GPU") else "float32"
    keras.mixed_precision.set_global_policy(choice)


def backbone_file(choice: str, folder: Path, cache: Path) -> Path | None:
    """Return the weight file to start the backbone from; ``None`` starts from nothing.

    Args:
        choice: ``none``, ``imagenet`` or a file.
        folder: where ImageNet weights are looked for.
        cache: where fetched ones are kept.

    Raises:
        WeightsUnavailableError: there is no such file, or it cannot be fetched.
    """
    if choice == NO_WEIGHTS:
        return None
    if choice != IMAGENET:
        if not Path(choice).is_file():
            raise WeightsUnavailableError(f"there is no weight file {choice}")
        return Path(choice)
    found = local_imagenet_weights("mobilenetv2", folder) or local_imagenet_weights(
        "mobilenetv2", cache
    )
    if found is None:
        fetched = load_backbone("mobilenetv2", 224, IMAGENET, None)
        cache.mkdir(parents=True, exist_ok=True)
        found = cache / "mobilenetv2_imagenet.weights.h5"
        fetched.save_weights(found)
    return found


class Run:
    """One training run and its folder."""

    def __init__(self, arguments: argparse.Namespace, config: Mapping[str, Any]) -> None:
        self.arguments = arguments
        self.config = config
        self.folder: Path = arguments.out
        self.folder.mkdir(parents=True, exist_ok=True)
        samples = read_samples(arguments.data)
        parts = read_split(arguments.split)
        doubtful = set(config["data"]["doubtful"])
        self.training = [
            sample
            for sample in samples
            if parts.get(sample.image_id) == "train" and Path(sample.image_id).stem not in doubtful
        ]
        self.training = share_of(self.training, config["data"].get("share", 1.0))
        self.held_back = {
            part: [s for s in samples if parts.get(s.image_id) == part]
            for part in ("validation", "test")
        }
        cache = PictureCache(arguments.cache, samples)
        options = dict(config["model"])
        self.model = build_detector(backbone_weights=arguments.weights, **options)
        if arguments.start_from is not None:
            self.model.load_weights(str(arguments.start_from))
        self.shadow = build_detector(backbone_weights=None, **options)
        self.average = MovingAverage(self.model, config["optimizer"]["average_decay"])
        self.optimizer = keras.optimizers.AdamW(
            1e-6, weight_decay=config["optimizer"]["weight_decay"]
        )
        self.optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        self.optimizer.build(self.model.trainable_variables)
        plan = BatchPlan(
            input_size=options["input_size"],
            batch_size=config["data"]["batch_size"],
            positives=config["data"]["positives"],
            matched_negatives=config["data"]["matched_negatives"],
            habits=Habits(
                crop=config["data"].get("crop_to_limb", True),
                geometry=config["data"].get("augment_geometry", True),
                appearance=config["data"].get("augment_appearance", True),
            ),
        )
        self.rate = RatePlan(config["optimizer"]["peak_rate"])
        self.steps = arguments.steps
        if arguments.epochs:
            self.steps = max(1, round(arguments.epochs * len(self.training) / plan.batch_size))
        self.curves = tf.summary.create_file_writer(str(self.folder / "tensorboard"))
        self.rounds_without_gain = 0
        self.step_count = 0
        self.round = 0
        self.seconds = 0.0
        self.progress = 0.0
        self.best = 0.0
        if arguments.resume:
            self._restore()
        seed = arguments.seed + self.step_count  # a resumed run draws new views
        self.stream = in_background(batches(self.training, cache, plan, seed=seed))
        weights = LossWeights(
            **config["loss"], attribute_classes=attribute_class_weights(self.training)
        )
        self.step = make_step(self.model, self.optimizer, weights)

    def train(self) -> None:
        """Run until the budget is used up."""
        arguments = self.arguments
        started, start_progress = time.monotonic(), self.progress
        seconds = arguments.minutes * 60.0
        sums: dict[str, float] = {}
        while self.progress < 1.0:
            batch = next(self.stream)
            self.optimizer.learning_rate = self.rate.at(self.progress)
            losses = self.step({name: tf.constant(value) for name, value in batch.items()})
            self.average.update()
            self.step_count += 1
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value)
            by_clock = (
                start_progress + (1 - start_progress) * (time.monotonic() - started) / seconds
            )
            by_steps = self.step_count / self.steps if self.steps else 0.0
            self.progress = max(by_clock, by_steps)
            if self.step_count % arguments.log_every == 0:
                self._log(sums, arguments.log_every, time.monotonic() - started)
                sums = {}
            if self.step_count % arguments.round_steps == 0 or self.progress >= 1.0:
                self._finish_round()
                if arguments.patience and self.rounds_without_gain >= arguments.patience:
                    logger.info("no better AUROC in %d rounds: stopped", arguments.patience)
                    break
        self.seconds = time.monotonic() - started

    def answer(self) -> None:
        """Write what the averaged network says about the pictures it did not learn from.

        The files are those of the classifiers' training: ``predictions.csv``, ``result.json``.
        """
        crop = self.config["data"].get("crop_to_limb", True)
        answers = [
            Answer.of(found.sample, part, float(sigmoid(found.logit)))
            for part, samples in self.held_back.items()
            for found in score(self.shadow, samples, crop_to_limb=crop)
        ]
        write_answers(answers, self.folder / "predictions.csv")
        test = test_figures([answer for answer in answers if answer.part == "test"])
        size = self.config["data"]["batch_size"]
        result = {
            "architecture": "detector",
            "parameters": self.model.count_params(),
            "epochs_run": round(self.step_count * size / len(self.training), 2),
            "seconds": round(self.seconds, 1),
            "dry_run": self.arguments.dry_run,
            "test": {name: figure.as_json() for name, figure in test.items()},
        }
        (self.folder / "result.json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")

    def _log(self, sums: Mapping[str, float], count: int, seconds: float) -> None:
        line: dict[str, Any] = {
            "step": self.step_count,
            "progress": round(self.progress, 4),
            "seconds": round(seconds),
            "rate": round(self.rate.at(self.progress), 7),
            "loss": {name: round(value / count, 4) for name, value in sums.items()},
        }
        self._write_line(line)
        self._draw({f"loss/{name}": value for name, value in line["loss"].items()})

    def _write_line(self, line: Mapping[str, Any]) -> None:
        logger.info("%s", json.dumps(line))
        with (self.folder / "history.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _draw(self, values: Mapping[str, float]) -> None:
        """Add points to the curves that TensorBoard shows."""
        with self.curves.as_default(step=self.step_count):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        self.curves.flush()

    def _finish_round(self) -> None:
        self._save_state()
        self.average.copy_to(self.shadow)
        self.shadow.save_weights(self.folder / "average_last.weights.h5")
        self.round += 1
        every = self.arguments.validate_every
        if every == 0 or self.round % every:
            return
        crop = self.config["data"].get("crop_to_limb", True)
        figures = summary(list(score(self.shadow, self.held_back["validation"], crop_to_limb=crop)))
        self._write_line({"step": self.step_count, "validation": figures})
        self._draw({f"validation/{name}": value for name, value in figures.items()})
        self.rounds_without_gain += 1
        if figures["auroc"] >= self.best:
            self.best = figures["auroc"]
            self.rounds_without_gain = 0
            self.shadow.save_weights(self.folder / "average_best.weights.h5")

    def _save_state(self) -> None:
        count, average = self.average.state()
        arrays = {f"m{i:04d}": value for i, value in enumerate(self.model.get_weights())}
        arrays |= {f"o{i:04d}": np.array(v) for i, v in enumerate(self.optimizer.variables)}
        arrays |= {f"a{i:04d}": value for i, value in enumerate(average)}
        numbers = np.array([self.step_count, self.progress, self.best, count], np.float64)
        unfinished = self.folder / "state.tmp.npz"
        np.savez(unfinished, numbers=numbers, **arrays)
        unfinished.replace(self.folder / "state.npz")

    def _restore(self) -> None:
        with np.load(self.folder / "state.npz") as state:
            names = sorted(state.files)
            self.model.set_weights([state[name] for name in names if name[0] == "m"])
            values = [state[name] for name in names if name[0] == "o"]
            for variable, value in zip(self.optimizer.variables, values, strict=True):
                variable.assign(value)
            numbers = state["numbers"]
            averages = [state[name] for name in names if name[0] == "a"]
        self.step_count, self.progress, self.best = int(numbers[0]), numbers[1], numbers[2]
        self.average.restore(int(numbers[3]), averages)


def attribute_class_weights(samples: Sequence[Sample]) -> tuple[tuple[float, ...], ...]:
    """Return how much each severity, displacement and pattern counts: rare ones more, mean 1."""
    fractures = [fracture for sample in samples for fracture in sample.fractures]
    weights = []
    for name, classes in (
        ("severity", SEVERITIES),
        ("displacement", DISPLACEMENTS),
        ("pattern", PATTERNS),
    ):
        known = [getattr(fracture, name) for fracture in fractures]
        counts = np.array([max(1, known.count(index)) for index in range(len(classes))])
        inverse = 1.0 / np.sqrt(counts)
        weights.append(tuple(float(v) for v in inverse / np.average(inverse, weights=counts)))
    return tuple(weights)


def share_of(samples: Sequence[Sample], share: float) -> list[Sample]:
    """Return about this share of the pictures, whole blocks (patients), each label alike."""
    generator = np.random.default_rng(0)
    kept = set[str]()
    for label in (True, False):
        blocks = sorted({s.block for s in samples if s.fractured is label})
        count = max(1, round(share * len(blocks)))
        kept.update(generator.permutation(blocks)[:count].tolist())
    return [sample for sample in samples if sample.block in kept]
