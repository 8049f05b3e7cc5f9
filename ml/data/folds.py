"""Folds for cross-validation: each picture is held out once, patients and copies stay together."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from ml.data.fracatlas import Sample
from ml.data.grouped import grouped_split
from ml.data.records import DatasetError
from ml.data.splits import EXCLUDED

VALIDATION_SHARE = 0.1


def make_folds(
    samples: Sequence[Sample],
    count: int,
    *,
    seed: int,
    duplicates: Sequence[Sequence[str]] = (),
    excluded: frozenset[str] = frozenset(),
) -> dict[str, int]:
    """Return image id -> fold, ``0`` to ``count - 1``, stratified by label and region.

    Pictures that are left out (``excluded`` and those with contradictory labels) have no fold.
    The same pictures, count and seed give the same folds.

    Raises:
        DatasetError: fewer than two folds, or fewer independent groups than folds.
    """
    if count < 2:
        raise DatasetError("cross-validation needs at least 2 folds")
    shares = {str(fold): 1.0 / count for fold in range(count)}
    parts = grouped_split(samples, shares, seed=seed, duplicates=duplicates, excluded=excluded)
    return {image_id: int(part) for image_id, part in parts.items() if part != EXCLUDED}


def held_out_parts(
    samples: Sequence[Sample],
    folds: Mapping[str, int],
    fold: int,
    *,
    validation: float = VALIDATION_SHARE,
    seed: int = 0,
    duplicates: Sequence[Sequence[str]] = (),
) -> dict[str, str]:
    """Return image id -> ``train``, ``validation``, ``test`` or ``excluded`` for one fold.

    The fold is the test part. Of the others, a grouped and stratified share is for validation
    (choosing weights, calibration); pictures without a fold are excluded.

    Args:
        samples: the pictures that the folds were made of.
        folds: what ``make_folds`` or ``read_folds`` gave.
        fold: which one is held out.
        validation: share of the other folds, 0 to below 1.
        seed: another seed gives another validation part.
        duplicates: lists of image ids that must stay together.

    Raises:
        DatasetError: there is no such fold, or too little is left to be divided.
    """
    if fold not in folds.values():
        raise DatasetError(f"there is no fold {fold}; there are {sorted(set(folds.values()))}")
    if not 0.0 <= validation < 1.0:
        raise DatasetError("the validation share must be at least 0 and below 1")
    parts = {s.image_id: "test" for s in samples if folds.get(s.image_id) == fold}
    learning = [s for s in samples if s.image_id not in parts]
    shares = {"train": 1.0 - validation, "validation": validation}
    shares = {part: share for part, share in shares.items() if share > 0.0}
    # Pictures without a fold are passed on: they still tie their patient together.
    without = frozenset(s.image_id for s in learning if s.image_id not in folds)
    return parts | grouped_split(
        learning, shares, seed=seed, duplicates=duplicates, excluded=without
    )


def write_folds(folds: Mapping[str, int], path: Path) -> None:
    """Write ``image_id,fold``, sorted by image id."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image_id", "fold"])
        writer.writerows(sorted(folds.items()))


def read_folds(path: Path) -> dict[str, int]:
    """Read image id -> fold.

    Raises:
        DatasetError: not a file of ``write_folds``.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["image_id"]: int(row["fold"]) for row in csv.DictReader(file)}
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: not a file of image_id and fold") from error
