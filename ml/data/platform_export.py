"""Read a training set that the platform exported, after checking that it is whole.

It is laid out as ``ml.data.layouts.read_manifest_folder`` reads; ``export.json`` names each
picture's sha256. ``block`` is the patient's pseudonym: ``ml.data.split`` keeps it on one side.
``rejected.csv`` holds what the AI marked and a doctor refused.
"""

import csv
import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ml.contracts import Box
from ml.data.layouts import read_manifest_folder
from ml.data.records import DatasetError, Problem, Reading, reading

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Rejected:
    """A place that the AI took for a fracture and a doctor did not; pixels of the picture."""

    image_id: str
    box: Box
    reason: str


def read_platform_export(path: Path, classes: Collection[str] = ()) -> Reading:
    """Read an export; pictures that are not what ``export.json`` says are left out and told.

    Raises:
        DatasetError: it is no export, or one of another schema.
    """
    hashes = _hashes(path)
    found = read_manifest_folder(path, classes)
    problems = list(found.problems)
    records = []
    for record in found.records:
        digest = hashlib.sha256(record.path.read_bytes()).hexdigest()
        if digest == hashes.get(record.image_id):
            records.append(record)
        else:
            problems.append(Problem("altered_file", record.image_id))
    return reading(records, problems, path)


def read_rejected(path: Path) -> list[Rejected]:
    """Read what doctors refused, for hard negatives."""
    with (path / "rejected.csv").open(encoding="utf-8", newline="") as stream:
        return [
            Rejected(
                image_id=row["image_id"],
                box=Box(*(float(row[side]) for side in ("x", "y", "w", "h"))),
                reason=row["reason"],
            )
            for row in csv.DictReader(stream)
        ]


def _hashes(path: Path) -> dict[str, str]:
    try:
        about = json.loads((path / "export.json").read_text(encoding="utf-8"))
        schema, images = about["schema"], dict(about["images"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path / 'export.json'}: not an export of the platform") from error
    if schema != SCHEMA:
        raise DatasetError(f"{path / 'export.json'}: schema {schema} is unknown")
    return images
