"""Read drawn annotations: COCO json, VGG json and YOLO text files."""

import ast
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml.contracts import Box
from ml.data.records import (
    DatasetError,
    PictureIndex,
    Problem,
    Reading,
    StoredSize,
    find_pictures,
    fracture_classes,
    part_of,
    reading,
    record,
    stored_size,
    to_stored,
)

Drawn = dict[str, list[tuple[Box, str]]]


def read_coco(path: Path, chosen: Collection[str] = ()) -> Reading:
    """Read COCO json files: ``path`` is one, or a folder with some anywhere below.

    Raises:
        DatasetError: there is no COCO json file.
    """
    root = path.parent if path.is_file() else path
    index = PictureIndex(find_pictures(root))
    files = [path] if path.is_file() else _json_files(root)
    problems: list[Problem] = []
    drawn: Drawn = {}
    found = False
    for file in files:
        content = read_json(file)
        if {"images", "annotations"} <= content.keys():
            found = True
            near = file.parent.relative_to(root).as_posix()
            drawn.update(coco_boxes(content, index, problems, near="" if near == "." else near))
    if not found:
        raise DatasetError(f"{path}: no COCO json file with images and annotations")
    problems.extend(Problem("not_annotated", i) for i in index.pictures if i not in drawn)
    return drawn_reading(drawn, index, problems, chosen, path)


def _json_files(root: Path) -> list[Path]:
    return [file for file in sorted(root.rglob("*.json")) if not file.name.startswith(".")]


def coco_boxes(
    content: Mapping[str, Any], index: PictureIndex, problems: list[Problem], *, near: str = ""
) -> Drawn:
    """Return image id -> boxes in stored pixels, also for pictures without a box."""
    names = {str(c.get("id")): str(c.get("name", "")) for c in _entries(content, "categories")}
    drawn: Drawn = {}
    pictures: dict[str, tuple[str, bool]] = {}
    sizes: dict[str, StoredSize | None] = {}
    for entry in _entries(content, "images"):
        name = str(entry.get("file_name", ""))
        image_id = index.find(name, near=near)
        if image_id is None:
            problems.append(Problem("missing_file", name))
            continue
        sizes[image_id] = size = stored_size(index.pictures[image_id])
        declared = (entry.get("width"), entry.get("height"))
        if size and all(declared) and declared not in {size.upright, (size.width, size.height)}:
            problems.append(Problem("size_differs", image_id, f"{declared} is declared"))
        # Drawing tools show pictures upright, unless the declared size says otherwise.
        as_stored = size is None or declared == (size.width, size.height) != size.upright
        pictures[str(entry.get("id"))] = (image_id, as_stored)
        drawn.setdefault(image_id, [])
    for entry in _entries(content, "annotations"):
        if str(entry.get("image_id")) not in pictures:
            problems.append(Problem("annotation_of_no_image", str(entry.get("image_id"))))
            continue
        image_id, as_stored = pictures[str(entry.get("image_id"))]
        box = _box(entry.get("bbox"))
        if box is None:
            problems.append(Problem("bad_line", image_id, "bbox is not four numbers"))
            continue
        held = sizes[image_id]
        label = names.get(str(entry.get("category_id")), str(entry.get("category_id")))
        drawn[image_id].append((box if as_stored or held is None else to_stored(box, held), label))
    return drawn


def vgg_boxes(content: Mapping[str, Any], index: PictureIndex, problems: list[Problem]) -> Drawn:
    """Return image id -> boxes around the outlines of a VGG Image Annotator file."""
    drawn: Drawn = {}
    for entry in _entries(content, "_via_img_metadata") or _entries({"": content}, ""):
        image_id = index.find(str(entry.get("filename", "")))
        if image_id is None:
            problems.append(Problem("missing_file", str(entry.get("filename", ""))))
            continue
        size = stored_size(index.pictures[image_id])
        drawn[image_id] = []
        for region in _entries(entry, "regions"):
            box = _vgg_box(region.get("shape_attributes"))
            if box is None:
                problems.append(Problem("bad_line", image_id, "outline without points"))
                continue
            attributes = region.get("region_attributes")
            label = next(map(str, attributes.values()), "") if isinstance(attributes, dict) else ""
            drawn[image_id].append((to_stored(box, size) if size else box, label))
    return drawn


def _vgg_box(shape: object) -> Box | None:
    if not isinstance(shape, dict):
        return None
    if "all_points_x" in shape:
        return _around(shape["all_points_x"], shape.get("all_points_y"))
    return _box([shape.get(key) for key in ("x", "y", "width", "height")])


def read_yolo(path: Path, chosen: Collection[str] = ()) -> Reading:
    """Read YOLO text files beside the pictures or in ``labels`` where those are in ``images``.

    A picture without a text file, or with an empty one, has no fracture, as YOLO trains it.

    Raises:
        DatasetError: there is no label file at all.
    """
    index = PictureIndex(find_pictures(path))
    names = _yolo_names(path)
    problems: list[Problem] = []
    drawn: Drawn = {}
    files = {i: _yolo_file(file, path) for i, file in index.pictures.items()}
    if not any(file.is_file() for file in files.values()):
        raise DatasetError(f"{path}: no YOLO label files beside the pictures or in 'labels'")
    for image_id, file in files.items():
        drawn[image_id] = []
        if file.is_file():
            drawn[image_id] = yolo_boxes(
                file, stored_size(index.pictures[image_id]), names, problems
            )
    return drawn_reading(drawn, index, problems, chosen, path)


def yolo_boxes(
    file: Path, size: StoredSize | None, names: Sequence[str], problems: list[Problem]
) -> list[tuple[Box, str]]:
    """Read one label file; outlines become the boxes around them."""
    boxes: list[tuple[Box, str]] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        box = _yolo_box(line.split()[1:])
        kind = line.split()[0]
        if box is None or not kind.isdecimal():
            problems.append(Problem("bad_line", file.name, f"line {number}"))
        elif size is not None:
            width, height = size.upright  # YOLO trainers turn pictures upright first
            upright = Box(box.x * width, box.y * height, box.width * width, box.height * height)
            label = names[int(kind)] if int(kind) < len(names) else kind
            boxes.append((to_stored(upright, size), label))
    return boxes


def _yolo_box(words: Sequence[str]) -> Box | None:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return None
    if len(numbers) in {4, 5} and all(map(math.isfinite, numbers)):  # the fifth is a confidence
        x, y, width, height = numbers[:4]
        return Box(x - width / 2, y - height / 2, width, height)
    return _around(numbers[0::2], numbers[1::2]) if len(numbers) >= 6 else None


def _yolo_file(picture: Path, root: Path) -> Path:
    parts = list(picture.relative_to(root).with_suffix(".txt").parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return root.joinpath(*parts)


def _yolo_names(root: Path) -> list[str]:
    """Return class names from ``classes.txt``, ``obj.names`` or the ``names`` of a YAML file."""
    for name in ("classes.txt", "obj.names"):
        if (root / name).is_file():
            return (root / name).read_text(encoding="utf-8").split("\n")
    for file in (*sorted(root.glob("*.yaml")), *sorted(root.glob("*.yml"))):
        text = file.read_text(encoding="utf-8")
        flow = re.search(r"^names:\s*(\[[^\]]*\])", text, re.MULTILINE)
        if flow:
            try:
                return [str(name) for name in ast.literal_eval(flow[1])]
            except (ValueError, SyntaxError):
                return [name.strip(" '\"\n") for name in flow[1].strip("[]").split(",")]
        block = re.search(r"^names:[ \t]*\n((?:[ \t]*(?:-|\d+:).*\n?)+)", text, re.MULTILINE)
        if block:
            lines = block[1].splitlines()
            return [re.sub(r"^\s*(?:-|\d+:)\s*", "", line).strip(" '\"") for line in lines]
    return []


def drawn_reading(
    drawn: Drawn,
    index: PictureIndex,
    problems: list[Problem],
    chosen: Collection[str],
    path: Path,
) -> Reading:
    """Turn boxes into records: a picture is fractured when it has a box of a fracture class."""
    names = {label for boxes in drawn.values() for _, label in boxes}
    fractures = fracture_classes(names, chosen, drawn=True)
    records = []
    for image_id, boxes in drawn.items():
        broken = [(box, label) for box, label in boxes if label in fractures]
        records.append(
            record(
                image_id,
                index.pictures[image_id],
                fractured=bool(broken),
                boxes=broken,
                label="+".join(sorted({label for _, label in boxes})),
                published_part=part_of(Path(image_id)),
            )
        )
    return reading(records, problems, path)


def read_json(file: Path) -> dict[str, Any]:
    """Return the object in a json file, empty for any other json value.

    Raises:
        DatasetError: the file is not json.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{file}: not readable as json") from error
    return content if isinstance(content, dict) else {}


def _entries(content: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the objects of a list or object; whatever else a file holds there is left out."""
    held = content.get(key)
    values = held.values() if isinstance(held, dict) else held if isinstance(held, list) else ()
    return [value for value in values if isinstance(value, dict)]


def _numbers(values: object) -> list[float] | None:
    if not isinstance(values, list) or not all(isinstance(v, int | float) for v in values):
        return None
    return [float(v) for v in values] if all(map(math.isfinite, values)) else None


def _box(values: object) -> Box | None:
    numbers = _numbers(values)
    return Box(*numbers) if numbers and len(numbers) == 4 else None


def _around(xs: object, ys: object) -> Box | None:
    across, down = _numbers(xs), _numbers(ys)
    if not across or not down or len(across) != len(down):
        return None
    left, top = min(across), min(down)
    return Box(left, top, max(across) - left, max(down) - top)
