"""Divide any data set into parts so that no known patient is on two sides.

Usage: ``python -m ml.data.split --format FORMAT PATH --out CSV --by group --test 0.2
--validation 0.1 --seed S``; ``--validation 0`` gives the plain 80/20. With ``--report`` (the json
of ``ml.data.check``) duplicates stay together, and unreadable or contradictory pictures are left
out. ``--folds K`` writes ``image_id,fold`` for cross-validation instead, and ``--folds-file CSV
--held-out N`` the parts of one of its folds: the fold is the test part, ``--validation`` a share
of the rest. The same data, shares and seed give the same file. Exit status 2: it cannot be done.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ml.data.folds import held_out_parts, make_folds, read_folds, write_folds
from ml.data.grouped import grouped_split
from ml.data.readers import add_dataset_arguments, read_dataset
from ml.data.records import DatasetError, Record
from ml.data.splits import EXCLUDED, PARTS, write_split


def main(argv: list[str] | None = None) -> int:
    """Write the split file and tell what is in each part; return the exit status."""
    options = _parser().parse_args(argv)
    try:
        records = read_dataset(options.format, options.path, options.fracture_class).records
        duplicates, excluded = _report(options.report)
        if options.folds is not None:
            folds = make_folds(
                records,
                options.folds,
                seed=options.seed,
                duplicates=duplicates,
                excluded=excluded,
            )
            write_folds(folds, options.out)
            parts = {r.image_id: _fold_name(folds.get(r.image_id)) for r in records}
        else:
            parts = _parts(records, options, duplicates, excluded)
            write_split(parts, options.out)
    except DatasetError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return 2
    sys.stdout.write(_summary(records, parts))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml.data.split", description=__doc__)
    add_dataset_arguments(parser)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--by", choices=("group",), default="group")
    parser.add_argument("--test", type=float, default=0.2)
    parser.add_argument("--validation", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=Path, help="json of ml.data.check")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--folds", type=int, metavar="K", help="write K folds instead of parts")
    kind.add_argument("--folds-file", type=Path, metavar="CSV", help="a file made with --folds")
    parser.add_argument("--held-out", type=int, default=0, metavar="N", help="with --folds-file")
    return parser


def _parts(
    records: Sequence[Record],
    options: argparse.Namespace,
    duplicates: Sequence[Sequence[str]],
    excluded: frozenset[str],
) -> dict[str, str]:
    if options.folds_file is None:
        shares = _shares(options.test, options.validation)
        return grouped_split(
            records, shares, seed=options.seed, duplicates=duplicates, excluded=excluded
        )
    folds = read_folds(options.folds_file)
    return held_out_parts(
        records,
        {image_id: fold for image_id, fold in folds.items() if image_id not in excluded},
        options.held_out,
        validation=options.validation,
        seed=options.seed,
        duplicates=duplicates,
    )


def _fold_name(fold: int | None) -> str:
    return EXCLUDED if fold is None else f"fold {fold}"


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
    names = [part for part in PARTS if part in parts.values()]
    names += sorted(set(parts.values()) - {*PARTS, EXCLUDED})
    for part in (*names, EXCLUDED):
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
