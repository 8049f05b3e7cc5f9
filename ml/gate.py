"""The learned part of the quality gate: limb radiograph, photo of one, or what else is it?

Two linear classifiers. The first tells limbs from strangers by the network's pooled features and
the numbers of ``ml.appearance``; the second says which stranger a refused picture is, and reads
``ml.outline`` too. They belong to one model file, because other weights have other features:
``python -m ml.fit_gate`` makes them again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.arrays import open_arrays, write_arrays
from ml.contracts import ModelArtifactError

FloatArray = npt.NDArray[np.float64]

LIMB, FILM_PHOTO = "limb", "film_photo"
# Stable reasons by class; every other class is a stranger with one of these reasons.
REASON_OF = {
    "trunk": "wrong_body_part",
    "head": "wrong_body_part",
    "slice": "cross_section",
    "picture": "not_a_radiograph",
}
STRANGERS = tuple(REASON_OF)
CLASSES = (LIMB, FILM_PHOTO, *STRANGERS)
PHOTO_WARNING = "photo_of_film"
_NAMES = ("mean", "scale", "weights", "bias")  # of either classifier, in the order of its fields
_REACH = 6.0  # standard deviations; beyond, a single odd number must not decide
_COLOR_SAYS_PICTURE = 3.0  # log odds: colour is rare in photos of films, usual in others


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the gate thinks of one picture.

    Attributes:
        reason: why it is refused, ``""`` when it is not.
        is_photo: it looks photographed; it is judged with a warning.
    """

    reason: str
    is_photo: bool


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Says which stranger a picture is, when it is one.

    Attributes:
        mean, scale: ``(d,)``, of features, appearance and outline together.
        weights, bias: ``(strangers, d)`` and ``(strangers,)``, in the order of ``STRANGERS``.
    """

    mean: FloatArray
    scale: FloatArray
    weights: FloatArray
    bias: FloatArray

    def reasons(self, values: npt.ArrayLike, has_color: npt.ArrayLike) -> list[str]:
        """Return the likeliest reason of each of ``(n, d)`` pictures, ``(n,)`` of them coloured.

        Classes that share a reason are added up: whether a brain is a slice does not depend on
        which radiograph it would be otherwise.
        """
        centred = (np.asarray(values, np.float64) - self.mean) / self.scale
        logits = np.clip(centred, -_REACH, _REACH) @ self.weights.T + self.bias
        logits[:, -1] += _COLOR_SAYS_PICTURE * np.asarray(has_color, np.float64)
        known = list(dict.fromkeys(REASON_OF.values()))
        together = [
            np.logaddexp.reduce(
                logits[:, [REASON_OF[kind] == reason for kind in STRANGERS]], axis=1
            )
            for reason in known
        ]
        return [known[int(k)] for k in np.argmax(together, axis=0)]


@dataclass(frozen=True, slots=True)
class Gate:
    """A fitted gate.

    Attributes:
        mean, scale: ``(d,)``, of the features and the appearance together.
        weights, bias: ``(classes, d)`` and ``(classes,)``, in the order of ``CLASSES``.
        limit: lowest log odds that pass; ``photo_limit`` holds for coloured pictures and those
            that look photographed.
        reasoning: the second classifier; a gate without one takes the first one's word.
    """

    mean: FloatArray
    scale: FloatArray
    weights: FloatArray
    bias: FloatArray
    limit: float
    photo_limit: float
    reasoning: Reasoning | None = None

    def logits(self, values: npt.ArrayLike) -> FloatArray:
        """Return ``(n, classes)`` for features with appearance ``(n, d)``."""
        centred = (np.asarray(values, np.float64) - self.mean) / self.scale
        found = np.clip(centred, -_REACH, _REACH) @ self.weights.T + self.bias
        return np.asarray(found, np.float64)

    def judge(
        self,
        features: npt.ArrayLike,
        appearance: npt.ArrayLike,
        outline: Callable[[], npt.ArrayLike],
        *,
        has_color: bool,
        is_stranger: bool = False,
        photographed: bool = False,
    ) -> Opinion:
        """Return whether a picture may be judged, and if not, why.

        Args:
            features: pooled, of the network.
            appearance: of ``ml.appearance``.
            outline: gives that of ``ml.outline``; only asked for what is refused.
            has_color: the source had real chroma.
            is_stranger: refused in any case; only the reason is asked for.
            photographed: whoever sent it says that it is a photo of a film.
        """
        values = np.concatenate([np.ravel(features), np.ravel(appearance)])
        logits = self.logits(values[None])[0]
        score = float(scores(logits[None])[0])
        is_photo = photographed or has_color or bool(logits[1] > logits[0])
        passes = score >= (self.photo_limit if is_photo else self.limit)
        if passes and not is_stranger:
            return Opinion("", is_photo)
        if passes and self.reasoning is None:
            return Opinion("not_a_radiograph", is_photo)
        return Opinion(self.reason(values, outline, has_color=has_color), is_photo)

    def reason(
        self, values: FloatArray, outline: Callable[[], npt.ArrayLike], *, has_color: bool
    ) -> str:
        """Return the likeliest reason of a picture that is refused, by features and appearance."""
        if self.reasoning is not None:
            everything = np.concatenate([values, np.ravel(outline())])
            return self.reasoning.reasons(everything[None], [has_color])[0]
        strangers = self.logits(values[None])[0, 2:]
        strangers[-1] += _COLOR_SAYS_PICTURE * has_color
        return REASON_OF[STRANGERS[int(strangers.argmax())]]


def scores(logits: FloatArray) -> FloatArray:
    """Return the log odds of limb or photo of a limb against all strangers, ``(n,)``."""
    known = np.logaddexp(logits[:, 0], logits[:, 1])
    return np.asarray(known - np.logaddexp.reduce(logits[:, 2:], axis=1), np.float64)


def save_gate(gate: Gate, path: Path) -> str:
    """Write a compact file (plain arrays, nothing that runs) and return its sha256."""
    arrays: dict[str, Any] = {"limits": np.array([gate.limit, gate.photo_limit], np.float32)}
    parts: dict[str, Gate | Reasoning | None] = {"": gate, "reason_": gate.reasoning}
    for prefix, part in parts.items():
        if part is not None:
            arrays |= {
                prefix + name: np.asarray(getattr(part, name), np.float32) for name in _NAMES
            }
    return write_arrays(path, arrays)


def load_gate(path: Path, *, sha256: str) -> Gate:
    """Read a file written by ``save_gate``.

    Raises:
        ModelArtifactError: missing, altered or malformed.
    """
    with open_arrays(path, sha256=sha256) as arrays:
        limit, photo_limit = (float(value) for value in arrays["limits"])
        first = _classifier(arrays, "")
        second = _classifier(arrays, "reason_") if "reason_mean" in arrays else None
    for classes, part in ((CLASSES, first), (STRANGERS, second)):
        if part is not None and part[2].shape != (len(classes), part[0].size):
            raise ModelArtifactError(f"{path.name} was made for other classes")
    return Gate(*first, limit, photo_limit, Reasoning(*second) if second is not None else None)


def _classifier(
    arrays: Mapping[str, npt.NDArray[Any]], prefix: str
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    mean, scale, weights, bias = (arrays[prefix + name].astype(np.float64) for name in _NAMES)
    return mean, scale, weights, bias
