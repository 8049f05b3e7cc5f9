"""The detector trains on what the platform exports; needs TensorFlow."""

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from ml.data import split
from ml.data.synthetic import synthetic_radiograph, to_png

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = (
    "image_id", "fractured", "region", "body_region", "frontal", "lateral", "hardware", "cast",
    "fracture_count", "group", "block", "label_conflict", "truncated", "width", "height",
)  # fmt: skip


def export(folder, *, patients=12):
    """Write an export as ``diagnosis.services.training_sets`` does, two images a patient."""
    (folder / "images").mkdir(parents=True)
    rows, boxes, hashes = [], [], {}
    for patient in range(patients):
        for view in range(2):
            drawn = synthetic_radiograph(patient * 2 + view, fractured=patient % 2 == 0)
            name, data = f"{patient:02}-{view}.png", to_png(drawn.pixels)
            (folder / "images" / name).write_bytes(data)
            hashes[name] = hashlib.sha256(data).hexdigest()
            row = dict.fromkeys(COLUMNS, 0) | {
                "image_id": name,
                "group": name,
                "region": "hand_arm",
            }
            row |= {"region": "hand_arm", "body_region": "wrist", "block": f"p{patient}"}
            row |= {"fractured": int(drawn.box is not None), "width": 373, "height": 454}
            rows.append(row)
            if drawn.box is not None:
                box = drawn.box
                boxes.append([name, box.x, box.y, box.width, box.height, "displaced", "added"])
    for file, head, lines in (
        ("manifest", COLUMNS, [list(row.values()) for row in rows]),
        ("boxes", ("image_id", "x", "y", "w", "h", "displacement", "decision"), boxes),
        ("rejected", ("image_id", "x", "y", "w", "h", "reason"), []),
    ):
        with (folder / f"{file}.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([head, *lines])
    (folder / "export.json").write_text(json.dumps({"schema": 1, "images": hashes}))


def test_an_export_is_divided_by_patient_and_trained_on(tmp_path):
    data, parts = tmp_path / "set", tmp_path / "split.csv"
    export(data)

    assert split.main(["--format", "platform", str(data), "--out", str(parts), "--seed", "1"]) == 0
    command = [
        *(sys.executable, "-m", "ml.train", "--data", str(data), "--split", str(parts)),
        *("--out", str(tmp_path / "run"), "--cache", str(tmp_path / "cache")),
        *("--set", "model.input_size = 64", "--set", "data.batch_size = 4"),
        *("--set", "data.positives = 2", "--dry-run"),
    ]
    # A process of its own: TensorFlow takes its number of threads only once.
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]

    with parts.open() as stream:
        part_of = {row["image_id"]: row["part"] for row in csv.DictReader(stream)}
    assert all(part_of[name] == part_of[name.replace("-0", "-1")] for name in part_of)
    assert np.unique(list(part_of.values())).tolist() == ["test", "train", "validation"]
    assert any((tmp_path / "run").iterdir())
