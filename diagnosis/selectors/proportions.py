"""A share of cases with its interval; the one place where a rate is made."""

import math
from dataclasses import dataclass
from typing import Final

MINIMUM: Final = 10  # cases; a rate of fewer says nothing, so that none is shown


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % interval (Wilson); ``value`` is ``None`` without cases."""

    hits: int
    count: int

    @property
    def value(self) -> float | None:
        """Hits per case."""
        return self.hits / self.count if self.count else None

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound."""
        if not self.count:
            return 0.0, 1.0
        z, n, p = 1.96, self.count, self.hits / self.count
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return max(0.0, centre - half), min(1.0, centre + half)

    @property
    def is_enough(self) -> bool:
        """Whether there are cases enough to show a rate."""
        return self.count >= MINIMUM
