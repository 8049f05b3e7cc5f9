"""Readers of folders and CSV files, with the faults that published data sets have."""

import json

import pytest

from ml.contracts import Box
from ml.data.readers import FORMATS, read_dataset
from ml.data.records import DatasetError, fracture_classes
from tests.ml.datasets import coco, codes, picture, records_of, write_csv


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_an_empty_folder_is_refused_by_every_reader(name, tmp_path):
    with pytest.raises(DatasetError):
        read_dataset(name, tmp_path)
    with pytest.raises(DatasetError, match="no such"):
        read_dataset(name, tmp_path / "missing")


def test_mura_patients_are_one_block_over_regions_and_parts(tmp_path):
    root = tmp_path / "MURA-v1.1"
    picture(root / "train" / "XR_WRIST" / "patient00001" / "study1_positive" / "image1.png")
    picture(root / "valid" / "XR_FINGER" / "patient00001" / "study2_negative" / "image1.png")
    (root / "train" / "XR_WRIST" / "patient00001" / "study1_positive" / "._image1.png").touch()

    for start in (tmp_path, root):
        found = list(records_of("mura", start).values())
        assert [(r.fractured, r.label, r.region) for r in found] == [
            (True, "abnormal", "hand_arm"),
            (False, "normal", "hand_arm"),
        ]
        assert {r.block for r in found} == {"patient00001"}
        assert [r.published_part for r in found] == ["train", "validation"]


def test_rsna_rows_become_boxes_and_contradictions(tmp_path):
    for name in "abc":
        picture(tmp_path / "images" / f"{name}.png")
    box = {"x": 10, "y": 20, "width": 30, "height": 40}
    nothing = dict.fromkeys(box, "")
    write_csv(
        tmp_path / "labels.csv",
        [
            {"patientId": "a", **box, "Target": 1},
            {"patientId": "a", **box, "x": 50, "Target": 1},
            {"patientId": "b", **nothing, "Target": 0},
            {"patientId": "c", **box, "Target": 1},
            {"patientId": "c", **nothing, "Target": 0},
            {"patientId": "gone", **nothing, "Target": 0},
        ],
    )

    reading = read_dataset("rsna", tmp_path)

    a, b, c = reading.records
    assert [f.box.x for f in a.fractures] == [10, 50]
    assert (a.fractured, b.fractured) == (True, False)
    assert c.label_conflict
    assert codes(reading) == {"missing_file"}


def test_class_folders_below_published_parts(tmp_path):
    for part in ("train", "val"):
        picture(tmp_path / part / "Not Fractured" / "1.png")
        picture(tmp_path / part / "Fractured" / "1.png")

    found = records_of("folders", tmp_path)

    assert {i for i, r in found.items() if r.fractured} == {
        *("train/Fractured/1.png", "val/Fractured/1.png")
    }
    assert found["val/Fractured/1.png"].published_part == "validation"


def test_classes_that_do_not_tell_are_asked_for_and_not_guessed(tmp_path):
    picture(tmp_path / "group1" / "1.png")
    picture(tmp_path / "group2" / "1.png")
    with pytest.raises(DatasetError, match="--fracture-class"):
        read_dataset("folders", tmp_path)
    with pytest.raises(DatasetError, match="no such class"):
        read_dataset("folders", tmp_path, ["group3"])
    assert records_of("folders", tmp_path, "group2")["group2/1.png"].fractured


def test_fracture_types_are_fractures_where_a_normal_class_is_there():
    names = ["Normal", "Greenstick", "Oblique fracture"]
    assert fracture_classes(names) == {"Greenstick", "Oblique fracture"}


def published(tmp_path, annotations):
    """Write four pictures as FracAtlas publishes them; the CSV is wrong about F2 and N2."""
    images = tmp_path / "images"
    rows = []
    for name, folder, said in (
        ("F1", "Fractured", 1),
        ("F2", "Fractured", 0),
        ("N1", "Non_fractured", 0),
        ("N2", "Non_fractured", 1),
    ):
        picture(images / folder / f"{name}.jpg")
        flags = {"hand": 1, "leg": 0, "hip": 0, "shoulder": 0, "hardware": 0, "frontal": 1}
        rows.append({"image_id": f"{name}.jpg", **flags, "fractured": said})
    write_csv(tmp_path / "dataset.csv", rows)
    names = ["F1", "F2"]
    folder = tmp_path / "Annotations" / annotations
    folder.mkdir(parents=True)
    if annotations == "COCO JSON":
        entries = [{"id": i, "file_name": f"{n}.jpg"} for i, n in enumerate(names)]
        boxes = [{"image_id": i, "category_id": 0, "bbox": [24, 32, 48, 64]} for i in range(2)]
        (folder / "COCO_fracture_masks.json").write_text(coco(entries, boxes))
    elif annotations == "VGG JSON":
        shape = {"all_points_x": [24, 72, 72, 24], "all_points_y": [32, 32, 96, 96]}
        region = {"shape_attributes": shape, "region_attributes": {"label": "fractured"}}
        content = {n: {"filename": f"{n}.jpg", "regions": {"0": region}} for n in names}
        (folder / "VGG_fracture_masks.json").write_text(json.dumps(content))
    else:
        for name in names:
            (folder / f"{name}.txt").write_text("0 0.5 0.5 0.5 0.5\n")


@pytest.mark.parametrize("annotations", ["COCO JSON", "VGG JSON", "YOLO"])
def test_fracatlas_as_published_settles_a_wrong_csv_by_the_drawn_box(tmp_path, annotations):
    published(tmp_path, annotations)

    reading = read_dataset("fracatlas", tmp_path)

    found = {r.path.stem: r for r in reading.records}
    assert {n: (r.fractured, r.label_conflict) for n, r in found.items()} == {
        "F1": (True, False),
        "F2": (True, False),
        "N1": (False, False),
        "N2": (False, True),
    }
    assert found["F2"].fractures[0].box == Box(24, 32, 48, 64)
    assert found["F1"].region == "hand_arm"
    assert found["F1"].block != found["N1"].block
    assert found["F1"].block == found["F2"].block
    assert [p.where[-6:] for p in reading.problems if p.code == "labels_disagree"] == [
        *("F2.jpg", "N2.jpg")
    ]


def test_an_rsna_row_that_is_cut_off_is_a_conflict_and_not_a_negative(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("patientId,x,y,width,height,Target\na,1,2\n")

    reading = read_dataset("rsna", tmp_path)

    assert reading.records[0].label_conflict
    assert codes(reading) == {"bad_line"}
