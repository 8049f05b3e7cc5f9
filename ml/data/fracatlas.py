"""Read the FracAtlas manifest and boxes as prepared for this project (CSV files and a folder)."""

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from ml.contracts import Box
from ml.labels import (
    BODY_REGIONS,
    COARSE_REGION,
    DISPLACEMENT_OF_LABEL,
    PATTERN_OF_LABEL,
    REGION_OF_LABEL,
    SEVERITIES,
)


@dataclass(frozen=True, slots=True)
class Fracture:
    """One annotated fracture; readings are indexes, -1 where the readers did not agree."""

    box: Box
    displacement: int
    severity: int
    pattern: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One radiograph with its labels; pixels stay in the file."""

    image_id: str
    path: Path
    fractured: bool
    region: str
    body_region: int
    hardware: bool
    cast: bool
    view: str
    group: str
    block: str
    label_conflict: bool
    truncated: bool
    fractures: tuple[Fracture, ...]


def read_samples(folder: Path) -> list[Sample]:
    """Read ``manifest.csv`` and ``boxes.csv`` of a folder, sorted by image id."""
    return read_manifest(folder / "manifest.csv", folder / "images", folder / "boxes.csv")


def read_manifest(manifest: Path, images: Path, boxes: Path | None = None) -> list[Sample]:
    """Read a manifest; columns that a smaller manifest lacks become unknown.

    Raises:
        ValueError: the manifest has no ``image_id`` or ``fractured`` column.
    """
    fractures: dict[str, list[Fracture]] = defaultdict(list)
    if boxes is not None and boxes.is_file():
        for row in _rows(boxes):
            fractures[row["image_id"]].append(_fracture(row))
    samples = [_sample(row, images, tuple(fractures[row["image_id"]])) for row in _rows(manifest)]
    return sorted(samples, key=lambda sample: sample.image_id)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if "image_id" not in (reader.fieldnames or ()):
            raise ValueError(f"{path} has no column 'image_id'")
        return list(reader)


def _fracture(row: dict[str, str]) -> Fracture:
    severity = row.get("severity", "")
    return Fracture(
        box=Box(float(row["x"]), float(row["y"]), float(row["w"]), float(row["h"])),
        displacement=DISPLACEMENT_OF_LABEL.get(row.get("displacement", ""), -1),
        severity=SEVERITIES.index(severity) if severity in SEVERITIES else -1,
        pattern=PATTERN_OF_LABEL.get(row.get("pattern", ""), -1),
    )


def _sample(row: dict[str, str], images: Path, fractures: tuple[Fracture, ...]) -> Sample:
    if "fractured" not in row:
        raise ValueError("the manifest has no column 'fractured'")
    fine = row.get("body_region", "")
    body_region = BODY_REGIONS.index(fine) if fine in BODY_REGIONS else -1
    views = [name for name in ("frontal", "lateral", "oblique") if row.get(name) == "1"]
    return Sample(
        image_id=row["image_id"],
        path=images / row["image_id"],
        fractured=row["fractured"] == "1",
        region=REGION_OF_LABEL.get(row.get("region", "")) or COARSE_REGION.get(fine, ""),
        body_region=body_region,
        hardware=row.get("hardware") == "1",
        cast=row.get("cast") == "1",
        view="+".join(views),
        group=row.get("group") or row["image_id"],
        block=row.get("block") or row["image_id"],
        label_conflict=row.get("label_conflict") == "1",
        truncated=row.get("truncated") == "1",
        fractures=fractures,
    )
