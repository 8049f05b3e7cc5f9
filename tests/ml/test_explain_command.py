"""Scores of heatmaps against boxes, and the bar that decides whether one is shown."""

import csv
import json
import shutil

import numpy as np
import pytest

from ml.contracts import Box
from ml.data.fracatlas import Fracture
from ml.data.records import record
from ml.data.synthetic import synthetic_radiograph, to_png
from ml.explain_command import main, write_score
from ml.explain_scores import _explained, laid, score
from ml.manifest import read_manifest
from ml.predictor import WEIGHTS_FOLDER
from ml.preprocessing import prepare

BOX = Box(40, 60, 30, 20)


@pytest.fixture
def samples(tmp_path):
    """Write three pictures of 200 x 160 with one box each."""
    found = []
    for index in range(3):
        path = tmp_path / f"{index}.png"
        path.write_bytes(to_png(synthetic_radiograph(index, size=(160, 200)).pixels))
        found.append(record(path.name, path, fractured=True, boxes=[(BOX, "")], block=str(index)))
    assert isinstance(found[0].fractures[0], Fracture)
    return found


def heat_at(box):
    def heat(pixels):
        found = np.zeros(pixels.shape, np.uint8)
        found[int(box.y) : int(box.y + box.height), int(box.x) : int(box.x + box.width)] = 200
        return found

    return heat


def test_a_map_that_is_hot_in_the_box_scores_1_and_one_elsewhere_0(samples):
    right = score(heat_at(BOX), samples, draws=20)
    assert (right.pointing_game.value, right.energy_in_boxes.value) == (1.0, 1.0)
    wrong = score(heat_at(Box(120, 10, 30, 20)), samples, draws=20)
    assert (wrong.pointing_game.value, wrong.energy_in_boxes.value) == (0.0, 0.0)


def test_a_cold_map_points_nowhere_even_if_the_box_holds_the_first_pixel(samples):
    corner = [
        record(s.image_id, s.path, fractured=True, boxes=[(Box(0, 0, 9, 9), "")], block=s.block)
        for s in samples
    ]
    cold = score(lambda pixels: np.zeros(pixels.shape, np.uint8), corner, draws=20)
    assert cold.pointing_game.value == 0.0


def test_a_class_map_is_laid_by_its_positive_part_only():
    prepared = prepare(synthetic_radiograph(0, size=(160, 200)).pixels, input_size=64)
    values = np.full((4, 4), -3.0, np.float32)
    assert not laid(values, prepared).any()
    values[1, 1] = 0.01
    assert laid(values, prepared).max() > 200


def test_the_class_that_speaks_for_a_fracture_depends_on_the_head():
    assert _explained("cam_fracture", np.zeros(1), {}) == 0
    regions = {"region": np.array([[0.0, 0.0, 5.0]])}
    assert _explained("cam_fracture", np.zeros(3), regions) == 2
    assert _explained("cam_type", np.array([9.0, 0.0, 1.0]), {}) == 2


@pytest.mark.parametrize(("bar", "shown"), [(0.5, True), (1.01, False)])
def test_the_manifest_gets_the_score_the_bar_and_what_follows(samples, tmp_path, bar, shown):
    model = shutil.copytree(WEIGHTS_FOLDER, tmp_path / "model")
    assert write_score(model, score(heat_at(BOX), samples, draws=20), bar=bar) is shown
    assert read_manifest(model).info.heatmap_shown is shown
    written = json.loads((model / "manifest.json").read_text())["heatmap"]
    assert written["bar"] == {"pointing_game": bar}
    assert written["pointing_game"]["value"] == 1.0


def write(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def options(root):
    return [
        *("--manifest", str(root / "manifest.csv"), "--boxes", str(root / "boxes.csv")),
        *("--images", str(root), "--draws", "20"),
    ]


def test_the_command_scores_the_map_of_the_product(tmp_path):
    rows = []
    for index in range(4):
        drawn = synthetic_radiograph(index, fractured=index < 3)
        (tmp_path / f"{index}.png").write_bytes(to_png(drawn.pixels))
        rows.append({"image_id": f"{index}.png", "fractured": int(index < 3)})
    write(tmp_path / "manifest.csv", rows)
    box = {"x": 1, "y": 2, "w": 400, "h": 400}
    write(tmp_path / "boxes.csv", [{"image_id": f"{i}.png", **box} for i in range(3)])
    main([*options(tmp_path), "--json", str(tmp_path / "out.json")])
    values = json.loads((tmp_path / "out.json").read_text())
    assert values["pictures"] == 3
    # The box covers nearly everything, so all heat lies in it.
    assert values["dense"]["pointing_game"]["value"] == 1.0
    assert values["dense"]["energy_in_boxes"]["value"] > 0.95


def test_no_boxes_or_a_file_without_class_map_ends_with_2(tmp_path, capsys):
    (tmp_path / "0.png").write_bytes(to_png(synthetic_radiograph(0).pixels))
    write(tmp_path / "manifest.csv", [{"image_id": "0.png", "fractured": 1}])
    write(tmp_path / "boxes.csv", [{"image_id": "other.png", "x": 1, "y": 2, "w": 3, "h": 4}])
    with pytest.raises(SystemExit) as stopped:
        main(options(tmp_path))
    assert stopped.value.code == 2
    assert "no pictures with boxes" in capsys.readouterr().err
    write(tmp_path / "boxes.csv", [{"image_id": "0.png", "x": 1, "y": 2, "w": 3, "h": 4}])
    with pytest.raises(SystemExit) as stopped:
        main([*options(tmp_path), "--cam", str(WEIGHTS_FOLDER / "fracture_detector.onnx")])
    assert stopped.value.code == 2
    assert "no class activation map" in capsys.readouterr().err
