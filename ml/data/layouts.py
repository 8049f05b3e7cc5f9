"""Read data sets whose labels are in folder names or in one CSV file."""

import csv
import dataclasses
import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Final

from ml.contracts import Box
from ml.data.fracatlas import read_samples
from ml.data.records import (
    DatasetError,
    PictureIndex,
    Problem,
    Reading,
    Record,
    find_pictures,
    fracture_classes,
    part_of,
    reading,
    record,
)
from ml.labels import BODY_REGIONS, COARSE_REGION

_MURA_PATH: Final = re.compile(
    r"(?:^|/)(train|valid)/XR_([A-Z]+)/(patient\d+)/(study\d+)_(positive|negative)/[^/]+$"
)
_MURA_REGION: Final = {"finger": "hand"}  # the others have our names
_CSV_IMAGE: Final = ("patientId", "image_id", "imageId", "filename")
_CSV_PATIENT: Final = ("patient", "patient_id", "StudyInstanceUID")
_CSV_TARGET: Final = ("Target", "target", "fractured", "label")


def read_manifest_folder(path: Path, _: Collection[str] = ()) -> Reading:
    """Read ``manifest.csv``, ``boxes.csv`` and ``images`` as this project prepares them.

    Raises:
        DatasetError: there is no readable manifest.
    """
    try:
        samples = read_samples(path)
    except OSError as error:
        raise DatasetError(f"{path / 'manifest.csv'}: cannot be read") from error
    except ValueError as error:
        raise DatasetError(f"{path}: {error}") from error
    except KeyError as error:
        raise DatasetError(f"{path / 'boxes.csv'}: no column {error}") from error
    problems = []
    records = []
    for sample in samples:
        values = {f.name: getattr(sample, f.name) for f in dataclasses.fields(sample)}
        label = "fractured" if sample.fractured else "not fractured"
        records.append(Record(**values, label=label, box_labels=("",) * len(sample.fractures)))
        if not sample.path.is_file():
            problems.append(Problem("missing_file", sample.image_id))
    present = [r for r in records if r.path.is_file()]
    return reading(present, problems, path)


def read_mura(path: Path, _: Collection[str] = ()) -> Reading:
    """Read the MURA v1.1 folders; a patient is one block, over both parts and all regions.

    Its positive studies are *abnormal*, which is a fracture, hardware or a diseased joint: good
    for learning bones, not for measuring fractures.
    """
    problems, records = [], []
    for image_id, file in find_pictures(path).items():
        match = _MURA_PATH.search(f"{path.name}/{image_id}")
        if match is None:
            problems.append(Problem("not_in_layout", image_id))
            continue
        part, bones, patient, _study, outcome = match.groups()
        fine = _MURA_REGION.get(bones.lower(), bones.lower())
        records.append(
            record(
                image_id,
                file,
                fractured=outcome == "positive",
                block=patient,
                region=COARSE_REGION.get(fine, ""),
                body_region=BODY_REGIONS.index(fine) if fine in BODY_REGIONS else -1,
                label="abnormal" if outcome == "positive" else "normal",
                published_part="train" if part == "train" else "validation",
            )
        )
    return reading(records, problems, path)


def read_class_folders(path: Path, chosen: Collection[str] = ()) -> Reading:
    """Read one folder a class, directly or within folders ``train``, ``val`` and ``test``.

    Raises:
        DatasetError: no class folders, or their names do not tell which mean a fracture.
    """
    pictures = find_pictures(path)
    labels = {image_id: _class_folder(Path(image_id)) for image_id in pictures}
    classes = {label for label in labels.values() if label}
    if not classes:
        raise DatasetError(f"{path}: pictures lie in no class folders")
    fractures = fracture_classes(classes, chosen)
    problems = [Problem("not_in_layout", i) for i, label in labels.items() if not label]
    records = [
        record(
            image_id,
            file,
            fractured=labels[image_id] in fractures,
            label=labels[image_id],
            published_part=part_of(Path(image_id)),
        )
        for image_id, file in pictures.items()
        if labels[image_id]
    ]
    return reading(records, problems, path)


def _class_folder(relative: Path) -> str:
    folders = [p for p in relative.parts[:-1] if not part_of(Path(p) / "x")]
    return folders[0] if folders else ""


def read_rsna(path: Path, _: Collection[str] = ()) -> Reading:
    """Read a CSV of the RSNA challenges: one row a box, ``patientId,x,y,width,height,Target``.

    Rows of one picture may contradict each other: it is then a label conflict. The picture is
    found by its name without suffix. The columns ``patient`` or ``patient_id`` give the patient
    where ``patientId`` or ``image_id`` names the picture.

    Raises:
        DatasetError: there is no such CSV file.
    """
    folder = path.parent if path.is_file() else path
    index = PictureIndex(find_pictures(folder))
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    problems: list[Problem] = []
    found = False
    for file in [path] if path.is_file() else sorted(folder.glob("*.csv")):
        for name, row in _rsna_rows(file):
            found = True
            image_id = index.find(name)
            if image_id is None:
                problems.append(Problem("missing_file", name, file.name))
            else:
                rows[image_id].append(row)
    if not found:
        raise DatasetError(f"{folder}: no CSV file with columns patientId and Target")
    records = [_rsna_record(i, index.pictures[i], r, problems) for i, r in rows.items()]
    return reading(records, problems, path)


def _rsna_rows(file: Path) -> list[tuple[str, dict[str, str]]]:
    with file.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.DictReader(handle)
        image = next((c for c in _CSV_IMAGE if c in (reader.fieldnames or ())), None)
        target = next((c for c in _CSV_TARGET if c in (reader.fieldnames or ())), None)
        if image is None or target is None:
            return []
        return [(row[image] or "", {**row, "Target": row[target] or ""}) for row in reader]


def _rsna_record(
    image_id: str, file: Path, rows: list[dict[str, str]], problems: list[Problem]
) -> Record:
    boxes: list[tuple[Box, str]] = []
    targets = {row["Target"].strip() for row in rows}
    if not targets <= {"0", "1"}:
        problems.append(Problem("bad_line", image_id, "target is neither 0 nor 1"))
    for row in rows:
        numbers = [row.get(c) or row.get(c[0]) or "" for c in ("x", "y", "width", "height")]
        if not any(numbers):
            continue
        try:
            boxes.append((Box(*(float(n) for n in numbers)), ""))
        except ValueError:
            problems.append(Problem("bad_line", image_id, "box is not four numbers"))
    fractured = "1" in targets
    return record(
        image_id,
        file,
        fractured=fractured,
        boxes=boxes,
        block=next((v for c in _CSV_PATIENT if (v := rows[0].get(c) or "")), ""),
        label_conflict=len(targets) != 1 or not targets <= {"0", "1"},
        label="1" if fractured else "0",
        published_part=part_of(Path(image_id)),
    )
