"""Whether a stated probability happens as often as it says; pure.

Counts by bins of the probability are enough: the expected calibration error is the mean gap
between what was stated and what the signed reports say, over ten bins of equal width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from diagnosis.selectors.proportions import Share

MINIMUM: Final = 50  # studies; of fewer the error is mostly chance
_DRAWS: Final = 300


@dataclass(slots=True)
class BinCount:
    """Studies of one bin: by the report's answer, and the sum of their stated probabilities."""

    fractured: int = 0
    sound: int = 0
    stated_fractured: float = 0.0
    stated_sound: float = 0.0

    @property
    def count(self) -> int:
        """Both together."""
        return self.fractured + self.sound

    @property
    def stated(self) -> float:
        """The mean stated probability; the bin is not empty."""
        return (self.stated_fractured + self.stated_sound) / self.count

    @property
    def observed(self) -> Share:
        """How often the reports say fracture."""
        return Share(self.fractured, self.count)

    def add(self, *, is_fracture: bool, count: int, stated: float) -> None:
        """Count further studies."""
        if is_fracture:
            self.fractured += count
            self.stated_fractured += stated
        else:
            self.sound += count
            self.stated_sound += stated


@dataclass(frozen=True, slots=True)
class CalibrationError:
    """The expected calibration error with its 95 % interval; ``None`` of too few studies."""

    count: int
    value: float | None = None
    low: float | None = None
    high: float | None = None


def calibration_error(bins: Mapping[int, BinCount]) -> CalibrationError:
    """Return the error of some studies.

    The interval is a bootstrap over studies: of each bin and answer, how many are drawn again.
    """
    filled = [each for each in bins.values() if each.count]
    count = sum(each.count for each in filled)
    if count < MINIMUM:
        return CalibrationError(count)
    cells = np.array([[each.fractured, each.sound] for each in filled], np.float64)
    stated = np.array([[e.stated_fractured, e.stated_sound] for e in filled], np.float64)
    mean = stated / np.maximum(cells, 1.0)
    drawn = np.random.default_rng(0).multinomial(count, (cells / count).ravel(), _DRAWS)
    errors = _errors(drawn.reshape(_DRAWS, *cells.shape), mean)
    low, high = np.percentile(errors, [2.5, 97.5])
    value = float(_errors(cells[None], mean)[0])
    # A bootstrap of an absolute gap lies above it; the interval has to hold the value.
    return CalibrationError(count, value, min(float(low), value), max(float(high), value))


def _errors(cells: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the error of each draw; ``cells`` is draws x bins x (fractured, sound)."""
    gaps = np.abs((cells * mean).sum(axis=2) - cells[:, :, 0])
    return np.asarray(gaps.sum(axis=1) / cells.sum(axis=(1, 2)))
