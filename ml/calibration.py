"""From raw logits to probabilities that mean what they say, and to operating points."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.contracts import Thresholds

FloatArray = npt.NDArray[np.float64]

_MAX_LOGIT = 30.0


@dataclass(frozen=True, slots=True)
class LogisticCalibration:
    """Temperature (``1 / slope``) and offset on the logit (Platt scaling).

    The offset is needed beside the temperature because training draws positives up.
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        """Refuse a calibration that would turn the order of scores round."""
        if not (np.isfinite(self.slope) and np.isfinite(self.intercept) and self.slope > 0.0):
            raise ValueError(f"slope must be positive and finite, got {self.slope}")

    def probability(self, logit: float) -> float:
        """Return the calibrated probability of one logit."""
        return float(self.probabilities(np.array([logit]))[0])

    def probabilities(self, logits: npt.ArrayLike) -> FloatArray:
        """Return calibrated probabilities, same shape, strictly within (0, 1)."""
        values = np.asarray(logits, np.float64) * self.slope + self.intercept
        return np.asarray(sigmoid(np.clip(values, -_MAX_LOGIT, _MAX_LOGIT)), np.float64)


def sigmoid(values: npt.ArrayLike) -> FloatArray:
    """Return the logistic function without overflow."""
    clipped = np.clip(np.asarray(values, np.float64), -500.0, 500.0)
    return np.asarray(1.0 / (1.0 + np.exp(-clipped)), np.float64)


def fit_logistic(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, ridge: float = 1e-3
) -> LogisticCalibration:
    """Fit slope and intercept by maximum likelihood on held-back pictures (Newton's method).

    Platt's smoothed targets keep a separable set from asking for infinite certainty.

    Raises:
        ValueError: one of the classes is missing, or higher logits mean fewer positives.
    """
    x, y = np.asarray(logits, np.float64).ravel(), np.asarray(labels).astype(bool).ravel()
    positives, negatives = int(y.sum()), int((~y).sum())
    if positives == 0 or negatives == 0:
        raise ValueError("calibration needs pictures of both classes")
    target = np.where(y, (positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0))
    design = np.stack([x, np.ones_like(x)], axis=1)
    weights = np.array([1.0, 0.0])
    prior = np.array([1.0, 0.0])
    for _ in range(100):
        probability = sigmoid(design @ weights)
        gradient = design.T @ (probability - target) + ridge * (weights - prior)
        curvature = design.T @ (design * (probability * (1.0 - probability))[:, None])
        step = np.linalg.solve(curvature + (ridge + 1e-9) * np.eye(2), gradient)
        length = float(np.abs(step).max())
        weights = weights - step * min(1.0, 2.0 / max(length, 1e-12))
        if length < 1e-9:
            break
    return LogisticCalibration(slope=float(weights[0]), intercept=float(weights[1]))


def choose_thresholds(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    sensitivity: float = 0.95,
    specificity: float = 0.95,
) -> Thresholds:
    """Return the highest cut with the wanted sensitivity and the lowest with the specificity.

    A picture is suspicious at ``p >= suspicion`` and definite at ``p >= definite``. Where the model
    is good enough that the two cross, both are set to the specific one's place below it.
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels).astype(bool)
    positives, negatives = np.sort(p[y]), np.sort(p[~y])
    if positives.size == 0 or negatives.size == 0:
        raise ValueError("thresholds need pictures of both classes")
    missed = int(np.floor((1.0 - sensitivity) * positives.size + 1e-9))
    suspicion = float(positives[missed])
    allowed = int(np.floor((1.0 - specificity) * negatives.size + 1e-9))
    definite = float(np.nextafter(negatives[negatives.size - 1 - allowed], 1.0))
    low, high = sorted((suspicion, definite))
    return Thresholds(
        suspicion=float(np.clip(low, 1e-4, 1 - 2e-4)), definite=float(np.clip(high, 2e-4, 1 - 1e-4))
    )


def expected_calibration_error(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, *, bins: int = 10
) -> float:
    """Return the mean gap between stated and observed rate over bins of equal count."""
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels, np.float64)
    if p.size == 0:
        return float("nan")
    order = np.argsort(p, kind="stable")
    gaps = [
        abs(p[part].mean() - y[part].mean()) * part.size
        for part in np.array_split(order, bins)
        if part.size
    ]
    return float(np.sum(gaps) / p.size)
