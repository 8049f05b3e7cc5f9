"""Read the FracAtlas manifest and boxes as prepared for this project (CSV files and a folder)."""

import csv
from collections import Counter, defaultdict
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

_LABELS = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}


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

    Without ``block`` the pictures of a ``group`` belong together, without both each stands alone.

    Raises:
        ValueError: a file lacks a column that is needed, or a value is not what it should be.
    """
    fractures: dict[str, list[Fracture]] = defaultdict(list)
    if boxes is not None and boxes.is_file():
        for row in _rows(boxes):
            try:
                fractures[row["image_id"]].append(_fracture(row))
            except (KeyError, ValueError) as error:
                where = f"{boxes}, a box of {row['image_id']}"
                raise ValueError(f"{where}: x, y, w and h must be numbers") from error
    rows = _rows(manifest)
    twice = [image_id for image_id, n in Counter(row["image_id"] for row in rows).items() if n > 1]
    if twice:
        raise ValueError(f"{manifest} names {twice[0]} more than once")
    samples = [_sample(row, images, tuple(fractures[row["image_id"]])) for row in rows]
    return sorted(samples, key=lambda sample: sample.image_id)


def read_columns(path: Path) -> frozenset[str]:
    """Return the names of the columns of a CSV file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return frozenset(csv.DictReader(file).fieldnames or ())


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restval="")
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
        fractured=_label(row),
        region=REGION_OF_LABEL.get(row.get("region", "")) or COARSE_REGION.get(fine, ""),
        body_region=body_region,
        hardware=row.get("hardware") == "1",
        cast=row.get("cast") == "1",
        view="+".join(views),
        group=row.get("group") or row["image_id"],
        block=row.get("block") or row.get("group") or row["image_id"],
        label_conflict=row.get("label_conflict") == "1",
        truncated=row.get("truncated") == "1",
        fractures=fractures,
    )


def _label(row: dict[str, str]) -> bool:
    value = row["fractured"].strip().lower()
    if value not in _LABELS:
        raise ValueError(f"{row['image_id']}: fractured is {value!r}, expected 0 or 1")
    return _LABELS[value]
