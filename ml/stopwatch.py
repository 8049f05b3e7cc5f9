"""Milliseconds a stage, for results that say where their time went."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Stopwatch:
    """Adds up the time of named stages; ``total`` runs from the creation."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of a block towards a stage, also when it fails."""
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = (time.perf_counter() - started) * 1000.0
            self._stages[name] = self._stages.get(name, 0.0) + spent

    def timings_ms(self) -> Mapping[str, float]:
        """Return milliseconds by stage, and ``total`` so far."""
        total = (time.perf_counter() - self._started) * 1000.0
        known = sum(self._stages.values())
        # The stage that builds the answer is still running when its result is written.
        open_stage = max(0.0, total - known)
        stages = dict(self._stages)
        stages["postprocess"] = stages.get("postprocess", 0.0) + open_stage
        return {name: round(value, 3) for name, value in {**stages, "total": total}.items()}
