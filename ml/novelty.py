"""How far a picture is from the radiographs of the training, in the model's own features.

A second gate after the pixel checks: a photograph, a chest film or a page of text may pass simple
statistics, but its features lie far away from those of limb radiographs.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.arrays import open_arrays, write_arrays

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class NoveltyModel:
    """Principal axes of the training features, and the spread along and beside them.

    Attributes:
        mean: ``(d,)`` mean feature.
        axes: ``(k, d)`` orthonormal.
        spread: ``(k,)`` standard deviation along each axis.
        residual: standard deviation of what the axes leave over.
    """

    mean: FloatArray
    axes: FloatArray
    spread: FloatArray
    residual: float

    def distance(self, features: npt.ArrayLike) -> float:
        """Return a scaled distance, about 1 for training pictures, larger the stranger."""
        centred = np.asarray(features, np.float64).ravel() - self.mean
        along = self.axes @ centred
        left_over = float(np.sum(centred**2) - np.sum(along**2))
        inside = float(np.mean((along / self.spread) ** 2))
        beside = max(left_over, 0.0) / self.residual**2
        return float(np.sqrt(0.5 * inside + 0.5 * beside))


def fit_novelty(features: npt.NDArray[np.floating], *, axes: int = 48) -> NoveltyModel:
    """Fit on features ``(n, d)`` of real training radiographs."""
    values = features.astype(np.float64)
    mean = values.mean(axis=0)
    centred = values - mean
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    along = centred @ directions[:axes].T
    left_over = np.sum(centred**2, axis=1) - np.sum(along**2, axis=1)
    return NoveltyModel(
        mean=mean,
        axes=directions[:axes],
        spread=singular[:axes] / np.sqrt(len(values)),
        residual=float(np.sqrt(max(float(left_over.mean()), 1e-12))),
    )


def save_novelty(model: NoveltyModel, path: Path) -> str:
    """Write a compact file (plain arrays, nothing that runs) and return its sha256."""
    return write_arrays(
        path,
        {
            "mean": model.mean.astype(np.float32),
            "axes": model.axes.astype(np.float16),
            "spread": model.spread.astype(np.float32),
            "residual": np.float32(model.residual),
        },
    )


def load_novelty(path: Path, *, sha256: str) -> NoveltyModel:
    """Read a file written by ``save_novelty``.

    Raises:
        ModelArtifactError: missing, altered or malformed.
    """
    with open_arrays(path, sha256=sha256) as arrays:
        return NoveltyModel(
            mean=arrays["mean"].astype(np.float64),
            axes=arrays["axes"].astype(np.float64),
            spread=arrays["spread"].astype(np.float64),
            residual=float(arrays["residual"]),
        )
