"""A small synthetic data set in the manifest format, for the tests of the classification tools."""

import csv
from pathlib import Path

import cv2
import numpy as np

_PARTS = ("train", "train", "validation", "test")


def write_data(folder: Path, *, count: int = 64) -> Path:
    """Write pictures, labels and a split file ``split.csv``; half of the pictures are broken."""
    (folder / "images").mkdir(parents=True)
    generator = np.random.default_rng(0)
    rows, boxes, parts = [], [], []
    for index in range(count):
        block, name = index // 2, f"P{index:04d}.jpg"
        broken = block % 2 == 0
        picture = np.full((160, 128), 20, np.uint8)
        cv2.rectangle(picture, (45, 20), (85, 140), 150, 6)
        picture += generator.integers(0, 20, picture.shape, dtype=np.uint8)
        cv2.imwrite(str(folder / "images" / name), picture)
        rows.append(
            {
                "image_id": name,
                "fractured": int(broken),
                "region": ["hand", "leg"][block % 3 % 2],
                "body_region": ["wrist", "knee", ""][block % 3],
                "hardware": 0,
                "block": block,
                "label_conflict": 0,
            }
        )
        parts.append({"image_id": name, "part": _PARTS[block // 2 % 4]})
        if broken:
            pattern = ["transverse", "undetermined"][block // 2 % 2]
            boxes.append({"image_id": name, "x": 50, "y": 60, "w": 20, "h": 16, "pattern": pattern})
    for file, content in (("manifest.csv", rows), ("boxes.csv", boxes), ("split.csv", parts)):
        with (folder / file).open("w", newline="") as handle:
            writer = csv.DictWriter(handle, content[0].keys())
            writer.writeheader()
            writer.writerows(content)
    return folder
