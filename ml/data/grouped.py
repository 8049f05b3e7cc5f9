"""Divide pictures into groups of chosen sizes so that no known patient is in two of them."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from ml.data.duplicates import joined
from ml.data.fracatlas import Sample
from ml.data.records import DatasetError
from ml.data.splits import EXCLUDED

Stratum = tuple[bool, str]


def grouped_split(
    records: Sequence[Sample],
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


def _stratum(record: Sample) -> Stratum:
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
