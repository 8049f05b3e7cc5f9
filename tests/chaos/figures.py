"""Figures as JSON lines, each against its bar; the exit status tells whether all were met."""

import json
import sys
from collections.abc import Callable
from typing import Any


class Figures:
    """Prints one line a figure at once, so that a run that breaks off has told what it saw."""

    def __init__(self, *, n: int, seed: int = 0) -> None:
        self._n, self._seed = n, seed
        self.missed: list[str] = []

    def tell(self, name: str, value: Any, unit: str, bar: Callable[[Any], bool] | None = None):
        """Print a figure; ``bar`` says whether it is good enough, none that it only informs."""
        ok = bar is None or bool(bar(value))
        if not ok:
            self.missed.append(name)
        line = {"name": name, "value": value, "unit": unit, "n": self._n, "seed": self._seed}
        sys.stdout.write(json.dumps(line | {"ok": ok}) + "\n")
        sys.stdout.flush()

    def leave(self) -> int:
        """Return the exit status: 1 when a bar was missed."""
        if self.missed:
            sys.stderr.write(f"missed: {', '.join(self.missed)}\n")
        return 1 if self.missed else 0


def note(text: str) -> None:
    """Tell a person at the terminal how far it is."""
    sys.stderr.write(f"  {text}\n")
    sys.stderr.flush()


def nothing(value: Any) -> bool:
    """The bar of what must never happen."""
    return value == 0
