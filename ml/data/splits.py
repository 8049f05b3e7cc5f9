"""Divide images into parts so that no patient and no near-duplicate is on two sides.

Usage: ``python -m ml.data.splits --data DIR --out ml/data/splits/fracatlas_v1.csv``
"""

import argparse
import csv
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from ml.data.fracatlas import Sample, read_samples

PARTS = ("train", "validation", "test")
EXCLUDED = "excluded"
_FRACTIONS = {"train": 0.66, "validation": 0.16, "test": 0.18}
_DRAWS = 3000


def make_split(samples: Sequence[Sample], *, seed: int) -> dict[str, str]:
    """Return image id -> part, whole blocks together, stratified by label and region.

    Of many random divisions of the block clusters the one closest to the wanted share of every
    (label, region) is taken. Images with contradictory labels are ``excluded``.
    """
    clusters = [c for c in _clusters(samples) if c]
    strata = [Counter((s.fractured, s.region) for s in cluster) for cluster in clusters]
    totals: Counter[tuple[bool, str]] = Counter()
    for stratum in strata:
        totals.update(stratum)
    generator = random.Random(seed)  # noqa: S311 - a reproducible division, not a secret
    weights = [_FRACTIONS[part] for part in PARTS]
    best: list[str] = []
    best_error = float("inf")
    for _ in range(_DRAWS):
        draw = generator.choices(PARTS, weights, k=len(clusters))
        error = _error(draw, strata, totals)
        if error < best_error:
            best, best_error = draw, error
    parts = {s.image_id: EXCLUDED for s in samples if s.label_conflict}
    for part, cluster in zip(best, clusters, strict=True):
        parts.update({sample.image_id: part for sample in cluster})
    return parts


def read_split(path: Path) -> dict[str, str]:
    """Read image id -> part from a committed split file."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["image_id"]: row["part"] for row in csv.DictReader(file)}


def write_split(parts: dict[str, str], path: Path) -> None:
    """Write a split file, sorted by image id."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image_id", "part"])
        writer.writerows(sorted(parts.items()))


def _clusters(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Join samples that share a block or a duplicate group, directly or through others."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    for sample in samples:
        parent[root(f"group:{sample.group}")] = root(f"block:{sample.block}")
    found: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if not sample.label_conflict:
            found[root(f"block:{sample.block}")].append(sample)
    return [found[key] for key in sorted(found)]


def _error(
    draw: Sequence[str],
    strata: Sequence[Counter[tuple[bool, str]]],
    totals: Counter[tuple[bool, str]],
) -> float:
    counts: dict[str, Counter[tuple[bool, str]]] = {part: Counter() for part in PARTS}
    for part, stratum in zip(draw, strata, strict=True):
        counts[part].update(stratum)
    return float(
        sum(
            abs(counts[part][key] / total - _FRACTIONS[part]) * min(total, 300) ** 0.5
            for key, total in totals.items()
            for part in PARTS
        )
    )


def main() -> None:
    """Write the split file and print what is in each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()
    samples = read_samples(arguments.data)
    parts = make_split(samples, seed=arguments.seed)
    write_split(parts, arguments.out)
    for part in (*PARTS, EXCLUDED):
        inside = [s for s in samples if parts[s.image_id] == part]
        by_label = Counter((s.fractured, s.region) for s in inside)
        blocks = len({s.block for s in inside if s.fractured})
        print(f"{part}: {len(inside)} images, {blocks} fractured blocks, {dict(by_label)}")  # noqa: T201


if __name__ == "__main__":
    main()
