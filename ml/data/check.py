"""Report what is wrong with a data set before anything is trained on it.

Usage: ``python -m ml.data.check --format FORMAT PATH [--json OUT]``. Exit status: 0 when nothing
was found, 1 when something was, 2 when the data set cannot be read.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from tqdm import tqdm

from ml.data.integrity import Report, check
from ml.data.readers import add_dataset_arguments, read_dataset
from ml.data.records import DatasetError

_SHOWN: Final = 5


def main(argv: list[str] | None = None) -> int:
    """Check one data set; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ml.data.check", description=__doc__)
    add_dataset_arguments(parser)
    parser.add_argument("--json", type=Path, help="write all findings to this file")
    options = parser.parse_args(argv)
    try:
        reading = read_dataset(options.format, options.path, options.fracture_class)
        report = check(reading, tqdm(reading.records, unit="picture", disable=None))
        if options.json:
            text = json.dumps(report.as_json(), indent=2, ensure_ascii=False)
            options.json.write_text(text + "\n", encoding="utf-8")
    except DatasetError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return 2
    sys.stdout.write(summary(report))
    return 0 if report.sound else 1


def summary(report: Report) -> str:
    """Return the findings as lines for a terminal, with some examples of each."""
    lines = [f"{report.pictures} pictures"]
    for name, counts in report.counts.items():
        if counts:
            values = ", ".join(f"{key or '(none)'} {count}" for key, count in counts.items())
            lines.append(f"  {name}: {values}")
    unreadable = [f"{image_id} ({code})" for image_id, code in report.unreadable.items()]
    for title, found in (
        ("unreadable", unreadable),
        ("cut off at the end", report.damaged),
        ("exact duplicates", [" = ".join(group) for group in report.exact_duplicates]),
        ("near duplicates", [" ~ ".join(group) for group in report.near_duplicates]),
        ("label conflicts", [" / ".join(group) for group in report.label_conflicts]),
        ("boxes outside", report.boxes_outside),
        ("boxes on pictures that EXIF turns", report.turned_boxes),
    ):
        lines.extend(_examples(title, found))
    kinds = Counter(problem.code for problem in report.label_problems)
    for code in sorted(kinds):
        found = [f"{p.where} {p.detail}".rstrip() for p in report.label_problems if p.code == code]
        lines.extend(_examples(code.replace("_", " "), found))
    return "\n".join(lines) + "\n"


def _examples(title: str, found: list[str]) -> list[str]:
    lines = [f"{title}: {len(found)}", *(f"  {one}" for one in found[:_SHOWN])]
    return [*lines, f"  and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else lines


if __name__ == "__main__":
    sys.exit(main())
