"""Figures of merit, each a plain function of arrays; intervals by bootstrap over blocks."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def auroc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Return the area under the ROC curve (ties count half); NaN when one class is missing."""
    truth = np.asarray(labels).astype(bool)
    values = np.asarray(scores, np.float64)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if positives == 0 or negatives == 0:
        return float("nan")
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_ranks = last - (counts - 1) / 2.0
    rank_sum = float(mean_ranks[inverse][truth].sum())
    return (rank_sum - positives * (positives + 1) / 2.0) / (positives * negatives)
