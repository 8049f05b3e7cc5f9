"""Whether what comes in today looks like what came in during a baseline; pure.

The population stability index is the usual figure: below 0.1 little, above 0.25 much has changed.
It is never zero: two samples of the same clinic differ by chance, small ones by a lot. So that
chance is not taken for drift, each value comes with the index that chance alone exceeds once in
twenty times (the index times n·m / (n + m) is about chi-squared with one degree of freedom less
than there are categories; Yurdakul and Naranjo, Journal of Risk Model Validation 14 (2020)).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

K = TypeVar("K")

MINIMUM: Final = 50  # studies or images on either side
MUCH: Final = 0.25
_PRIOR: Final = 0.5  # added to each category, so that one that is new does not weigh infinitely


@dataclass(frozen=True, slots=True)
class Drift:
    """The index of a sample against the baseline; ``None`` when one of them is too small."""

    count: int
    baseline: int
    index: float | None
    by_chance: float | None

    @property
    def is_much(self) -> bool:
        """Whether the sample differs much from the baseline, and not by chance."""
        if self.index is None or self.by_chance is None:
            return False
        return self.index > max(MUCH, self.by_chance)


def drift(baseline: Mapping[K, int], sample: Mapping[K, int]) -> Drift:
    """Compare counts by category."""
    n, m = sum(sample.values()), sum(baseline.values())
    kinds = {kind for counts in (baseline, sample) for kind, count in counts.items() if count}
    if min(n, m) < MINIMUM:
        return Drift(n, m, None, None)
    if len(kinds) < 2:
        return Drift(n, m, 0.0, 0.0)
    index = 0.0
    for kind in kinds:
        now = (sample.get(kind, 0) + _PRIOR) / (n + _PRIOR * len(kinds))
        then = (baseline.get(kind, 0) + _PRIOR) / (m + _PRIOR * len(kinds))
        index += (now - then) * math.log(now / then)
    return Drift(n, m, index, _chi_squared_95(len(kinds) - 1) * (1 / n + 1 / m))


def _chi_squared_95(freedom: int) -> float:
    """Return the 95th percentile (Wilson and Hilferty's approximation, within 3 %)."""
    part = 2.0 / (9.0 * freedom)
    return float(freedom * (1.0 - part + 1.6449 * math.sqrt(part)) ** 3)
