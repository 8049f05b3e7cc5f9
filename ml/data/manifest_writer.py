"""Write what a reader found as ``manifest.csv``, ``boxes.csv`` and ``images``."""

import csv
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ml.data.records import Record
from ml.labels import BODY_REGIONS

_VIEWS = ("frontal", "lateral", "oblique")
_LABEL_OF_REGION = {"hand_arm": "hand", "leg": "leg", "hip": "hip", "shoulder": "shoulder"}


def write_manifest_folder(records: Sequence[Record], folder: Path) -> None:
    """Write the folder that ``ml.train``, ``ml.evaluate`` and ``--format manifest`` read.

    Pictures are linked where the disk allows it and copied otherwise. A picture keeps its file
    name; where two have the same one in different folders, the labels contradict each other and
    both are marked so.
    """
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    names = Counter(record.path.name for record in records)
    rows, boxes = [], []
    for record in records:
        twice = names[record.path.name] > 1
        name = record.image_id.replace("/", "__") if twice else record.path.name
        _link(record.path, images / name)
        rows.append(_row(record, name, conflict=twice))
        boxes += [
            {"image_id": name, "x": b.x, "y": b.y, "w": b.width, "h": b.height}
            for b in (fracture.box for fracture in record.fractures)
        ]
    _write(folder / "manifest.csv", rows)
    _write(folder / "boxes.csv", boxes)


def _row(record: Record, name: str, *, conflict: bool) -> dict[str, object]:
    views = record.view.split("+")
    known = record.body_region >= 0
    return {
        "image_id": name,
        "fractured": int(record.fractured),
        "region": _LABEL_OF_REGION.get(record.region, ""),
        "body_region": BODY_REGIONS[record.body_region] if known else "",
        "hardware": int(record.hardware),
        "cast": int(record.cast),
        **{view: int(view in views) for view in _VIEWS},
        "fracture_count": len(record.fractures),
        "group": record.group,
        "block": record.block,
        "label_conflict": int(record.label_conflict or conflict),
        "truncated": int(record.truncated),
    }


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)


def _write(path: Path, rows: Sequence[dict[str, object]]) -> None:
    names = list(rows[0]) if rows else ["image_id", "x", "y", "w", "h"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
