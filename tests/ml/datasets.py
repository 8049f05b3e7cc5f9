"""Small data sets on disk for the tests of readers, checks and splits."""

import csv
import io
import json

from PIL import Image

from ml.data.readers import read_dataset
from ml.data.synthetic import synthetic_radiograph, to_jpeg, to_png

SIZE = (96, 128)


def picture(path, seed=0, *, orientation=1, fractured=False):
    """Write one synthetic radiograph of 96 x 128 stored pixels; return what was drawn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = synthetic_radiograph(seed, size=SIZE, fractured=fractured)
    if path.suffix == ".png":
        path.write_bytes(to_png(drawn.pixels))
    elif orientation == 1:
        path.write_bytes(to_jpeg(drawn.pixels))
    else:
        exif = Image.Exif()
        exif[274] = orientation
        Image.open(io.BytesIO(to_jpeg(drawn.pixels))).save(path, exif=exif)
    return drawn


def records_of(name, path, *chosen):
    return {r.image_id: r for r in read_dataset(name, path, chosen).records}


def codes(reading):
    return {problem.code for problem in reading.problems}


def write_csv(path, rows):
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def coco(images, annotations, name="fractured"):
    return json.dumps(
        {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 0, "name": name}],
        }
    )
