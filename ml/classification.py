"""What a classification run is: its settings, heads, class weights, phases and stopping rule.

Needs no TensorFlow, so that wrong arguments are found before it is loaded.
"""

import dataclasses
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml.data.fracatlas import Sample
from ml.labels import BODY_REGIONS, PATTERNS

ARCHITECTURES = (
    "custom_cnn",
    "vgg16",
    "resnet50",
    "densenet121",
    "densenet169",
    "mobilenetv2",
    "efficientnetv2b0",
)
HEADS = ("binary", "region", "type")
LOSSES = ("weighted", "focal", "plain")
TYPES = ("none", *PATTERNS)
UNKNOWN_TYPE = -1  # fractured, but the readers did not agree on the type
NO_WEIGHTS, IMAGENET = "none", "imagenet"
EXIT_WEIGHTS_UNAVAILABLE = 3  # of a training process
_STEP = 32  # every backbone halves the picture five times
_SMALLEST = 64

Array = npt.NDArray[np.float64]


class WeightsUnavailableError(ValueError):
    """Pretrained weights were asked for that are neither on this machine nor to be fetched."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides how a run goes, besides its data and its seed."""

    image_size: int
    dropout: float
    batch_norm_momentum: float
    epochs: int
    frozen_epochs: int
    batch_size: int
    frozen_rate: float
    peak_rate: float
    weight_decay: float
    loss: str
    focal_gamma: float
    max_class_weight: float
    patience: int

    def __post_init__(self) -> None:
        """Refuse values with which a run cannot work.

        Raises:
            ValueError: a value is out of its range; the message names it.
        """
        _require(
            self.image_size >= _SMALLEST and self.image_size % _STEP == 0,
            f"image_size must be a multiple of {_STEP}, at least {_SMALLEST}",
        )
        _require(0.0 <= self.dropout < 1.0, "dropout must be from 0 to below 1")
        _require(0.0 < self.batch_norm_momentum < 1.0, "batch_norm_momentum must be within 0 and 1")
        _require(self.epochs >= 1, "epochs must be at least 1")
        _require(self.frozen_epochs >= 0, "frozen_epochs must not be negative")
        _require(self.batch_size >= 1, "batch_size must be at least 1")
        _require(min(self.frozen_rate, self.peak_rate) > 0.0, "learning rates must be above 0")
        _require(self.weight_decay >= 0.0, "weight_decay must not be negative")
        _require(self.loss in LOSSES, f"loss must be one of {', '.join(LOSSES)}")
        _require(self.focal_gamma >= 0.0, "focal_gamma must not be negative")
        _require(self.max_class_weight >= 1.0, "max_class_weight must be at least 1")
        _require(self.patience >= 1, "patience must be at least 1")

    @classmethod
    def read(cls, path: Path, overrides: Mapping[str, Any] | None = None) -> Self:
        """Read a TOML file; overrides that are ``None`` were not given and change nothing.

        Raises:
            ValueError: a value is missing, unknown or out of range.
        """
        values: dict[str, Any] = {}
        for section in tomllib.loads(path.read_text(encoding="utf-8")).values():
            values |= section
        values |= {name: v for name, v in (overrides or {}).items() if v is not None}
        names = {field.name for field in dataclasses.fields(cls)}
        _require(not names - values.keys(), f"{path.name} lacks {sorted(names - values.keys())}")
        _require(not values.keys() - names, f"unknown: {sorted(values.keys() - names)}")
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of epochs with the backbone frozen or not."""

    frozen: bool
    first_epoch: int
    epochs: int
    rate: float


def phases(settings: Settings, *, pretrained: bool) -> list[Phase]:
    """Return the phases of a run; a backbone that knows nothing yet is never frozen."""
    frozen = min(settings.frozen_epochs, settings.epochs) if pretrained else 0
    plan = [Phase(True, 0, frozen, settings.frozen_rate)]  # noqa: FBT003 - the first field
    plan.append(Phase(False, frozen, settings.epochs - frozen, settings.peak_rate))  # noqa: FBT003
    return [phase for phase in plan if phase.epochs]


@dataclass(slots=True)
class EarlyStopping:
    """Remembers the best epoch and says when waiting for a better one is over."""

    patience: int
    best: float = float("-inf")
    waited: int = 0

    def update(self, score: float, *, counts: bool) -> bool:
        """Take in an epoch's score and return whether it is the best so far.

        Args:
            score: higher is better; NaN (one class missing) is better than nothing only.
            counts: whether an epoch without progress counts against the patience.
        """
        value = -1.0 if np.isnan(score) else score
        if value > self.best:
            self.best, self.waited = value, 0
            return True
        self.waited += int(counts)
        return False

    @property
    def is_over(self) -> bool:
        """Whether the patience is used up."""
        return self.waited >= self.patience


def type_index(sample: Sample) -> int:
    """Return the index into ``TYPES`` of the largest fracture with an agreed type."""
    if not sample.fractured:
        return 0
    known = [f for f in sample.fractures if f.pattern >= 0]
    if not known:
        return UNKNOWN_TYPE
    return 1 + max(known, key=lambda f: f.box.width * f.box.height).pattern


def class_weights(classes: Sequence[int], count: int, *, limit: float) -> Array:
    """Return a weight for each of ``count`` classes, rare ones more, mean 1 over the pictures.

    Unknown (negative) classes are left out; a class without pictures weighs 1.
    """
    counts = Counter(index for index in classes if index >= 0)
    seen = sum(counts.values())
    weights = np.ones(count)
    for index, number in counts.items():
        weights[index] = min(limit, seen / (len(counts) * number))
    mean = sum(weights[index] * number for index, number in counts.items()) / max(seen, 1)
    return weights / mean if seen else weights


def fracture_probability(head: str, logits: Mapping[str, npt.ArrayLike]) -> Array:
    """Return the probability of a fracture of each picture from the logits of a head."""
    if head == "binary":
        return _sigmoid(np.asarray(logits["fracture"], np.float64)[:, 0])
    if head == "region":
        regions = _softmax(np.asarray(logits["region"], np.float64))
        return np.asarray((regions * _sigmoid(np.asarray(logits["fracture"], np.float64))).sum(-1))
    return 1.0 - _softmax(np.asarray(logits["type"], np.float64))[:, 0]


def head_sizes(head: str) -> dict[str, int]:
    """Return the name and width of each output of a head.

    Raises:
        ValueError: there is no such head.
    """
    sizes = {
        "binary": {"fracture": 1},
        "region": {"region": len(BODY_REGIONS), "fracture": len(BODY_REGIONS)},
        "type": {"type": len(TYPES)},
    }
    if head not in sizes:
        raise ValueError(f"head must be one of {', '.join(HEADS)}, not {head!r}")
    return sizes[head]


def local_imagenet_weights(architecture: str, folder: Path) -> Path | None:
    """Return a weight file such as ``mobilenetv2_imagenet_224_notop.weights.h5`` of a folder."""
    found = sorted(folder.glob(f"{architecture}_imagenet*.weights.h5"))
    return found[0] if found else None


def pick(samples: Sequence[Sample], limit: int, *, seed: int) -> list[Sample]:
    """Return at most ``limit`` samples (0: all) with the same share of fractures, one at least."""
    if not limit or limit >= len(samples):
        return list(samples)
    generator = np.random.default_rng(seed)
    positives = [s for s in samples if s.fractured]
    negatives = [s for s in samples if not s.fractured]
    wanted = min(len(positives), max(1, round(limit * len(positives) / len(samples))))
    chosen = [
        pool[int(index)]
        for pool, number in ((positives, wanted), (negatives, min(len(negatives), limit - wanted)))
        for index in generator.choice(len(pool), size=number, replace=False)
    ]
    return sorted(chosen, key=lambda sample: sample.image_id)


def _require(holds: bool, message: str) -> None:  # noqa: FBT001 - reads like an assertion
    if not holds:
        raise ValueError(message)


def _sigmoid(logits: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))


def _softmax(logits: Array) -> Array:
    values = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(values / values.sum(axis=-1, keepdims=True))
