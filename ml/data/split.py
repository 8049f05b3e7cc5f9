"""Divide any data set into parts so that no known patient is on two sides.

Usage: ``python -m ml.data.split --format FORMAT PATH --out CSV --by group --test 0.2
--validation 0.1 --seed S``; ``--validation 0`` gives the plain 80/20. With ``--report`` (the json
of ``ml.data.check``) duplicates stay together, and unreadable or contradictory pictures are left
out. The same data, shares and seed give the same file. Exit status 2: it cannot be done.
"""

import argparse
import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from ml.data.duplicates import joined
from ml.data.readers import add_dataset_arguments, read_dataset
from ml.data.records import DatasetError, Record
from ml.data.splits import EXCLUDED, PARTS, write_split

Stratum = tuple[bool, str]


def grouped_split(
    records: Sequence[Record],
    shares: Mapping[str, float],
    *,
    seed: int,
    duplicates: Sequence[Sequence[str]] = (),
    excluded: frozenset[str] = frozenset(),
) -> dict[str, str]:
    """Return image id -> part, stratified by label and region.

    Pictures that share a block (patient), a group (copies) or a list of ``duplicates`` stay
    together, directly or through others. Large clusters are placed first, each where its strata
    are furthest below their share.

    Args:
        records: what a reader gave.
        shares: part -> share above 0; they add up to 1.
        seed: another seed gives another division.
        duplicates: lists of image ids that must stay together.
        excluded: image ids to leave out, besides those with contradictory labels.

    Raises:
        DatasetError: fewer independent clusters than parts.
    """
    by_id = {r.image_id: r for r in records}
    left_out = excluded | {r.image_id for r in records if r.label_conflict}
    # A picture that is left out still ties its patient and its duplicates together.
    ties: list[Sequence[tuple[str, str]]] = [
        (("image", r.image_id), ("group", r.group), ("block", r.block)) for r in records
    ]
    ties += [[("image", i) for i in group if i in by_id] for group in duplicates]
    clusters = [
        sorted(name for kind, name in cluster if kind == "image" and name not in left_out)
        for cluster in joined(tie for tie in ties if tie)
    ]
    clusters = sorted(cluster for cluster in clusters if cluster)
    if len(clusters) < len(shares):
        raise DatasetError(f"{len(clusters)} patients or groups cannot fill {len(shares)} parts")
    generator = random.Random(seed)  # noqa: S311 - a reproducible division, not a secret
    generator.shuffle(clusters)
    clusters.sort(key=len, reverse=True)
    strata = [Counter(_stratum(by_id[i]) for i in cluster) for cluster in clusters]
    parts = {image_id: EXCLUDED for image_id in left_out if image_id in by_id}
    for cluster, part in zip(clusters, _place(strata, shares), strict=True):
        parts.update(dict.fromkeys(cluster, part))
    return parts


def _stratum(record: Record) -> Stratum:
    return record.fractured, record.region


def _place(strata: Sequence[Counter[Stratum]], shares: Mapping[str, float]) -> list[str]:
    totals: Counter[Stratum] = Counter()
    for stratum in strata:
        totals.update(stratum)
    held: dict[str, Counter[Stratum]] = defaultdict(Counter)

    def cost(part: str, stratum: Counter[Stratum]) -> float:
        share = shares[part]
        return sum(
            (count / totals[key])
            * (2 * (held[part][key] / totals[key] - share) + count / totals[key])
            / share
            for key, count in stratum.items()
        )

    placed = []
    for stratum in strata:
        costs = {part: cost(part, stratum) for part in shares}
        best = min(costs, key=costs.__getitem__)
        held[best].update(stratum)
        placed.append(best)
    return placed


def main(argv: list[str] | None = None) -> int:
    """Write the split file and tell what is in each part; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ml.data.split", description=__doc__)
    add_dataset_arguments(parser)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--by", choices=("group",), default="group")
    parser.add_argument("--test", type=float, default=0.2)
    parser.add_argument("--validation", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=Path, help="json of ml.data.check")
    options = parser.parse_args(argv)
    try:
        shares = _shares(options.test, options.validation)
        records = read_dataset(options.format, options.path, options.fracture_class).records
        duplicates, excluded = _report(options.report)
        parts = grouped_split(
            records, shares, seed=options.seed, duplicates=duplicates, excluded=excluded
        )
        write_split(parts, options.out)
    except DatasetError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return 2
    sys.stdout.write(_summary(records, parts))
    return 0


def _shares(test: float, validation: float) -> dict[str, float]:
    if not (0 < test < 1 and 0 <= validation < 1 and test + validation < 1):
        raise DatasetError("test must be above 0, validation not below 0, both together below 1")
    shares = {"train": 1 - test - validation, "validation": validation, "test": test}
    return {part: share for part, share in shares.items() if share > 0}


def _report(path: Path | None) -> tuple[list[list[str]], frozenset[str]]:
    if path is None:
        return [], frozenset()
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        same = [*report["exact_duplicates"], *report["near_duplicates"]]
        conflicts = {image_id for group in report["label_conflicts"] for image_id in group}
        return same, frozenset({*report["unreadable"], *conflicts})
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: not a report of ml.data.check") from error


def _summary(records: Sequence[Record], parts: Mapping[str, str]) -> str:
    lines = []
    for part in (*PARTS, EXCLUDED):
        inside = [r for r in records if parts[r.image_id] == part]
        if not inside:
            continue
        broken = sum(r.fractured for r in inside)
        share, blocks = len(inside) / len(records), len({r.block for r in inside})
        lines.append(
            f"{part}: {len(inside)} pictures ({share:.1%}), {broken} fractured, {blocks} groups"
        )
        if part != EXCLUDED and broken in {0, len(inside)}:
            lines.append(f"  warning: {part} has one label only; no figure can come out of it")
    if all(r.block == r.group for r in records):
        lines.append(
            "warning: this data set names no patients; the same bone may be on two sides. "
            "--report at least keeps copies together"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
