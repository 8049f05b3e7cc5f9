"""The learned part of the quality gate: limb radiograph, photo of one, or what else is it?

A linear classifier over the network's pooled features and the numbers of ``ml.appearance``. It
belongs to one model file, because other weights have other features: ``python -m ml.fit_gate``
makes it again.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

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
CLASSES = (LIMB, FILM_PHOTO, *REASON_OF)
PHOTO_WARNING = "photo_of_film"
_REACH = 6.0  # standard deviations; beyond, a single odd number must not decide
_COLOR_SAYS_PICTURE = 2.0  # log odds: colour is rare in photos of films, usual in others


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
class Gate:
    """A fitted gate.

    Attributes:
        mean, scale: ``(d,)``, of the features and the appearance together.
        weights, bias: ``(classes, d)`` and ``(classes,)``, in the order of ``CLASSES``.
        limit: lowest log odds that pass; ``photo_limit`` holds for coloured pictures and those
            that look photographed.
    """

    mean: FloatArray
    scale: FloatArray
    weights: FloatArray
    bias: FloatArray
    limit: float
    photo_limit: float

    def logits(self, values: npt.ArrayLike) -> FloatArray:
        """Return ``(n, classes)`` for features with appearance ``(n, d)``."""
        centred = (np.asarray(values, np.float64) - self.mean) / self.scale
        found = np.clip(centred, -_REACH, _REACH) @ self.weights.T + self.bias
        return np.asarray(found, np.float64)

    def judge(
        self, features: npt.ArrayLike, appearance: npt.ArrayLike, *, has_color: bool
    ) -> Opinion:
        """Return whether a picture may be judged, and if not, why."""
        values = np.concatenate([np.ravel(features), np.ravel(appearance)])
        logits = self.logits(values[None])[0]
        score = float(scores(logits[None])[0])
        is_photo = has_color or bool(logits[1] > logits[0])
        if score >= (self.photo_limit if is_photo else self.limit):
            return Opinion("", is_photo)
        return Opinion(self.reasons(logits[None], [has_color])[0], is_photo)

    def reasons(self, logits: FloatArray, has_color: npt.ArrayLike) -> list[str]:
        """Return the likeliest reason of each picture, if it is to be refused."""
        strangers = logits[:, 2:].copy()
        strangers[np.asarray(has_color, bool), -1] += _COLOR_SAYS_PICTURE
        return [REASON_OF[CLASSES[2 + int(k)]] for k in strangers.argmax(axis=1)]


def scores(logits: FloatArray) -> FloatArray:
    """Return the log odds of limb or photo of a limb against all strangers, ``(n,)``."""
    known = np.logaddexp(logits[:, 0], logits[:, 1])
    return np.asarray(known - np.logaddexp.reduce(logits[:, 2:], axis=1), np.float64)


def save_gate(gate: Gate, path: Path) -> str:
    """Write a compact file (plain arrays, nothing that runs) and return its sha256."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        mean=gate.mean.astype(np.float32),
        scale=gate.scale.astype(np.float32),
        weights=gate.weights.astype(np.float32),
        bias=gate.bias.astype(np.float32),
        limits=np.array([gate.limit, gate.photo_limit], np.float32),
    )
    path.write_bytes(buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def load_gate(path: Path, *, sha256: str) -> Gate:
    """Read a file written by ``save_gate``.

    Raises:
        ModelArtifactError: missing, altered or malformed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelArtifactError(f"cannot read {path.name}") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelArtifactError(f"{path.name} is not the file that the manifest names")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            limit, photo_limit = (float(value) for value in arrays["limits"])
            gate = Gate(
                mean=arrays["mean"].astype(np.float64),
                scale=arrays["scale"].astype(np.float64),
                weights=arrays["weights"].astype(np.float64),
                bias=arrays["bias"].astype(np.float64),
                limit=limit,
                photo_limit=photo_limit,
            )
    except (ValueError, KeyError, OSError) as error:
        raise ModelArtifactError(f"{path.name} is malformed") from error
    if gate.weights.shape != (len(CLASSES), gate.mean.size):
        raise ModelArtifactError(f"{path.name} was made for other classes")
    return gate
