"""Measuring and calibrating a model folder on any folder of labelled pictures; plumbing only."""

import csv
import json
import shutil

import pytest

from ml import calibrate, evaluate
from ml.data.synthetic import synthetic_radiograph, to_png
from ml.predictor import WEIGHTS_FOLDER, load_predictor

FLAT_KEYS = {
    "auroc",
    "auroc_without_hardware",
    "auprc",
    "ece",
    "sensitivity_suspicion",
    "specificity_suspicion",
    "sensitivity_definite",
    "specificity_definite",
    "sensitivity_at_specificity_80",
    "ap30",
    "ap50",
    "ap50_95",
    "pointing_game",
    "region_macro_f1",
    "pattern_balanced_accuracy",
    "severity_balanced_accuracy",
    "cannot_assess_rate",
}


def write_csv(path, rows):
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write 24 synthetic pictures, half of them broken, and a black one that is refused."""
    root = tmp_path_factory.mktemp("data")
    (root / "images").mkdir()
    rows, boxes, parts = [], [], []
    for index in range(24):
        fractured = index % 2 == 0
        region = ["forearm", "hand", "leg"][index % 3]
        picture = synthetic_radiograph(index, region=region, fractured=fractured)
        name = f"S{index:02d}.png"
        pixels = picture.pixels * (0 if index == 23 else 1)
        (root / "images" / name).write_bytes(to_png(pixels))
        rows.append(
            {
                "image_id": name,
                "fractured": int(fractured),
                "region": "leg" if region == "leg" else "hand",
                "block": f"B{index // 4}{fractured}",
            }
        )
        if picture.box is not None:
            box = picture.box
            boxes.append(
                {"image_id": name, "x": box.x, "y": box.y, "w": box.width, "h": box.height}
            )
        parts.append({"image_id": name, "part": "train" if index < 8 else "validation"})
    write_csv(root / "manifest.csv", rows)
    write_csv(root / "boxes.csv", boxes)
    write_csv(root / "split.csv", parts)
    return root


def measured(folder, out, *options):
    evaluate.main(
        [
            *("--manifest", str(folder / "manifest.csv")),
            *("--images", str(folder / "images")),
            *("--json", str(out)),
            *("--draws", "20"),
            *options,
        ]
    )
    return json.loads(out.read_text())


def test_every_figure_comes_with_its_interval(folder, tmp_path):
    values = measured(folder, tmp_path / "out.json", "--boxes", str(folder / "boxes.csv"))
    assert set(values) >= FLAT_KEYS
    for key in FLAT_KEYS:
        assert set(values[key]) == {"value", "ci95", "n"}
    assert 0 <= values["auroc"]["value"] <= 1
    low, high = values["auroc"]["ci95"]
    assert low <= high
    assert values["pictures"] == 24
    assert values["fractured"] == 12


def test_a_refused_picture_counts_as_refused_and_not_as_negative(folder, tmp_path):
    values = measured(folder, tmp_path / "out.json")
    assert values["refusals"]["blank"] == 1
    assert values["cannot_assess_rate"]["value"] == pytest.approx(1 / 24, abs=1e-3)
    assert values["auroc"]["n"] == 23


def test_without_boxes_the_figures_of_places_are_left_out(folder, tmp_path):
    values = measured(folder, tmp_path / "out.json")
    assert "ap50" not in values
    assert "pointing_game" not in values


def test_only_the_asked_part_is_measured(folder, tmp_path):
    options = ("--split", str(folder / "split.csv"), "--part", "train")
    assert measured(folder, tmp_path / "out.json", *options)["pictures"] == 8


def test_an_empty_part_is_an_error(folder, tmp_path):
    with pytest.raises(SystemExit):
        measured(folder, tmp_path / "o", "--split", str(folder / "split.csv"), "--part", "none")


def test_calibration_writes_a_manifest_that_loads(folder, tmp_path):
    model = shutil.copytree(WEIGHTS_FOLDER, tmp_path / "model")
    before = json.loads((model / "manifest.json").read_text())
    calibrate.main(
        [
            *("--model", str(model)),
            *("--data", str(folder)),
            *("--split", str(folder / "split.csv")),
            *("--threads", "1"),
        ]
    )
    after = json.loads((model / "manifest.json").read_text())
    assert after["calibration"]["id"] != before["calibration"]["id"]
    assert after["sha256"] == before["sha256"]
    info = load_predictor(model).info
    assert 0 < info.thresholds.suspicion <= info.thresholds.definite < 1
