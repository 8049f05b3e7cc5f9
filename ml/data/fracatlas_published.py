"""Read FracAtlas as its authors published it: two image folders, a CSV file and annotations."""

import csv
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from ml.contracts import Box
from ml.data.annotations import Drawn, coco_boxes, read_json, vgg_boxes, yolo_boxes
from ml.data.records import (
    DatasetError,
    PictureIndex,
    Problem,
    Reading,
    Record,
    find_pictures,
    reading,
    record,
    stored_size,
)
from ml.labels import REGION_OF_LABEL

_FOLDERS: Final = {"fractured": True, "non_fractured": False}
_REGIONS: Final = ("hand", "leg", "hip", "shoulder")
_VIEWS: Final = ("frontal", "lateral", "oblique")
_BLOCK_SIZE: Final = 16


def read_published_fracatlas(path: Path, _: Collection[str] = ()) -> Reading:
    """Read the unpacked archive; boxes come from COCO, else VGG, else YOLO files.

    No patient is published, and neighbouring numbers are views of one patient: 16 neighbours of
    one label are a block. Where ``dataset.csv`` and the folder disagree, a drawn box decides for
    *fractured*; without one the label is in conflict.

    Raises:
        DatasetError: it is not this data set.
    """
    pictures = {
        image_id: file
        for image_id, file in find_pictures(path).items()
        if file.parent.name.lower() in _FOLDERS
    }
    if not pictures:
        raise DatasetError(f"{path}: no folders Fractured and Non_fractured with pictures")
    problems: list[Problem] = []
    index = PictureIndex(pictures)
    rows = _rows(path, index, problems)
    drawn = _boxes(path, index, problems)
    records, places = [], {True: 0, False: 0}
    for image_id in sorted(pictures, key=lambda i: Path(i).name):
        folder = _FOLDERS[pictures[image_id].parent.name.lower()]
        block = f"{'F' if folder else 'N'}{places[folder] // _BLOCK_SIZE:03d}"
        places[folder] += 1
        boxes = drawn.get(image_id, [])
        row = rows.get(image_id, {})
        records.append(
            _record(image_id, pictures[image_id], row, boxes, block, problems, folder=folder)
        )
    return reading(records, problems, path)


def _record(
    image_id: str,
    file: Path,
    row: Mapping[str, str],
    boxes: list[tuple[Box, str]],
    block: str,
    problems: list[Problem],
    *,
    folder: bool,
) -> Record:
    said = {folder, bool(boxes)} if boxes else {folder}
    if "fractured" in row:
        said.add(row["fractured"] == "1")
    else:
        problems.append(Problem("not_in_csv", image_id))
    if len(said) > 1:
        problems.append(Problem("labels_disagree", image_id, "folder, dataset.csv and boxes"))
    elif folder and not boxes:
        problems.append(Problem("fracture_without_box", image_id))
    regions = [name for name in _REGIONS if row.get(name) == "1"]
    return record(
        image_id,
        file,
        fractured=folder or bool(boxes),
        boxes=boxes,
        block=block,
        region=REGION_OF_LABEL[regions[0]] if len(regions) == 1 else "",
        view="+".join(name for name in _VIEWS if row.get(name) == "1"),
        hardware=row.get("hardware") == "1",
        label_conflict=len(said) > 1 and not boxes,
        label="fractured" if folder else "not fractured",
    )


def _rows(path: Path, index: PictureIndex, problems: list[Problem]) -> dict[str, dict[str, str]]:
    file = next(iter(sorted(path.rglob("dataset.csv"))), None)
    if file is None:
        raise DatasetError(f"{path}: no dataset.csv")
    found: dict[str, dict[str, str]] = {}
    with file.open(encoding="utf-8-sig", newline="") as handle:
        for row in csv.DictReader(handle):
            name = row.get("image_id") or ""
            image_id = index.find(name)
            if image_id is None:
                problems.append(Problem("missing_file", name, "dataset.csv"))
            else:
                found[image_id] = row
    return found


def _boxes(path: Path, index: PictureIndex, problems: list[Problem]) -> Drawn:
    files = sorted((path / "Annotations").rglob("*.json"))
    for file in files:
        content = read_json(file)
        if {"images", "annotations"} <= content.keys():
            return coco_boxes(content, index, problems)
    for file in files:
        if "VGG" in file.name:
            return vgg_boxes(read_json(file), index, problems)
    drawn: Drawn = {}
    for file in sorted((path / "Annotations").rglob("*.txt")):
        image_id = index.find(file.stem)
        if image_id is not None:
            size = stored_size(index.pictures[image_id])
            drawn[image_id] = yolo_boxes(file, size, ["fractured"], problems)
    return drawn
