"""What is behind the figures: confusion matrices, reliability, and the worst mistakes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.judged import Record
from ml.labels import BODY_REGIONS, COARSE_REGIONS, PATTERNS, SEVERITIES
from ml.metrics import IntArray

_BINS = 10


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often each true class (rows) was said to be each class (columns)."""

    labels: tuple[str, ...]
    counts: IntArray

    def as_json(self) -> dict[str, Any]:
        """Return the matrix as plain values."""
        return {"labels": list(self.labels), "rows_true": self.counts.tolist()}


def confusions(records: Sequence[Record]) -> dict[str, Confusion]:
    """Return the matrices of region, body region, severity and pattern that have anything in them.

    Severity and pattern are experimental readings of places that the model found.
    """
    regions = [
        (COARSE_REGIONS.index(r.sample.region), COARSE_REGIONS.index(r.region))
        for r in records
        if r.sample.region in COARSE_REGIONS and r.region in COARSE_REGIONS
    ]
    bodies = [
        (r.sample.body_region, r.body_region)
        for r in records
        if r.sample.body_region >= 0 and r.body_region >= 0
    ]
    pairs = {
        "region": (COARSE_REGIONS, regions),
        "body_region": (BODY_REGIONS, bodies),
        "severity": (SEVERITIES, [pair for r in records for pair in r.severity]),
        "pattern": (PATTERNS, [pair for r in records for pair in r.pattern]),
    }
    found = {}
    for name, (labels, said) in pairs.items():
        if said:
            counts = np.zeros((len(labels), len(labels)), np.int64)
            np.add.at(counts, tuple(np.array(said).T), 1)
            found[name] = Confusion(labels, counts)
    return found


def reliability(records: Sequence[Record]) -> list[dict[str, float]]:
    """Return bins of equal count: mean stated probability and observed share of fractures."""
    assessed = sorted((r for r in records if not r.reasons), key=lambda r: r.probability)
    bins = []
    for part in np.array_split(np.arange(len(assessed)), _BINS):
        inside = [assessed[i] for i in part]
        if inside:
            bins.append(
                {
                    "stated": round(float(np.mean([r.probability for r in inside])), 4),
                    "observed": round(float(np.mean([r.sample.fractured for r in inside])), 4),
                    "n": len(inside),
                }
            )
    return bins


def worst_misses(records: Sequence[Record], limit: int) -> list[Record]:
    """Return the fractures with the lowest probability, worst first."""
    missed = [r for r in records if not r.reasons and r.sample.fractured]
    return sorted(missed, key=lambda r: (r.probability, r.sample.image_id))[:limit]


def worst_alarms(records: Sequence[Record], limit: int) -> list[Record]:
    """Return the pictures without fracture that have the highest probability, worst first."""
    alarms = [r for r in records if not r.reasons and not r.sample.fractured]
    return sorted(alarms, key=lambda r: (-r.probability, r.sample.image_id))[:limit]
