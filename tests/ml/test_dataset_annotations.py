"""Readers of drawn boxes: COCO and YOLO, EXIF turns, files of another shape."""

import json

import numpy as np
import pytest
from PIL import Image, ImageOps

from ml.contracts import Box
from ml.data.readers import read_dataset
from ml.data.records import DatasetError, StoredSize, stored_size, to_stored
from tests.ml.datasets import coco, codes, picture, records_of


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_on_the_upright_picture_covers_the_same_pixels_as_stored(orientation):
    stored = np.zeros((40, 60), np.uint8)
    stored[5:12, 20:40] = 255
    upright_of = Image.fromarray(stored)
    upright_of.getexif()[274] = orientation
    rows, columns = np.nonzero(np.asarray(ImageOps.exif_transpose(upright_of)))
    box = Box(
        float(columns.min()),
        float(rows.min()),
        float(np.ptp(columns) + 1),
        float(np.ptp(rows) + 1),
    )

    assert to_stored(box, StoredSize(60, 40, orientation)) == Box(20, 5, 20, 7)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_stored_size_does_not_depend_on_exif(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(tmp_path / f"a.{suffix}", exif=exif)

    assert stored_size(tmp_path / f"a.{suffix}") == StoredSize(60, 40, orientation)


def test_coco_boxes_follow_exif_unless_the_declared_size_is_the_stored_one(tmp_path):
    picture(tmp_path / "upright.jpg", orientation=6)
    picture(tmp_path / "stored.jpg", orientation=6)
    images = [
        {"id": 1, "file_name": "upright.jpg", "width": 128, "height": 96},
        {"id": 2, "file_name": "stored.jpg", "width": 96, "height": 128},
    ]
    boxes = [{"image_id": i, "category_id": 0, "bbox": [10, 20, 30, 40]} for i in (1, 2)]
    (tmp_path / "labels.json").write_text(coco(images, boxes))

    found = records_of("coco", tmp_path)

    assert found["upright.jpg"].fractures[0].box == Box(20, 88, 40, 30)
    assert found["stored.jpg"].fractures[0].box == Box(10, 20, 30, 40)


def test_coco_tells_what_leads_nowhere_and_keeps_the_rest(tmp_path):
    picture(tmp_path / "train" / "a.jpg")
    picture(tmp_path / "train" / "b.jpg")
    picture(tmp_path / "train" / "forgotten.jpg")
    images = [{"id": n, "file_name": f"{n}.jpg"} for n in "ab"]
    images.append({"id": "x", "file_name": "../../../etc/hostname"})
    boxes = [
        {"image_id": "a", "category_id": 0, "bbox": [1, 2, 3, 4]},
        {"image_id": "a", "category_id": 0, "bbox": [1, 2, "three", 4]},
        {"image_id": "gone", "category_id": 0, "bbox": [1, 2, 3, 4]},
    ]
    (tmp_path / "train" / "_annotations.coco.json").write_text(coco(images, boxes))

    reading = read_dataset("coco", tmp_path)

    found = {r.image_id: r for r in reading.records}
    assert set(found) == {"train/a.jpg", "train/b.jpg"}
    assert found["train/a.jpg"].fractured
    assert not found["train/b.jpg"].fractured
    assert found["train/a.jpg"].box_labels == ("fractured",)
    assert found["train/a.jpg"].published_part == "train"
    assert codes(reading) == {
        *("annotation_of_no_image", "bad_line", "missing_file", "not_annotated")
    }


def test_a_json_file_that_is_cut_off_is_refused_clearly(tmp_path):
    picture(tmp_path / "a.jpg")
    (tmp_path / "labels.json").write_text('{"images": [')
    with pytest.raises(DatasetError, match="not readable as json"):
        read_dataset("coco", tmp_path)


def test_yolo_reads_boxes_outlines_and_classes_that_are_no_fracture(tmp_path):
    for name in ("box", "outline", "metal", "background", "broken"):
        picture(tmp_path / "train" / "images" / f"{name}.png")
    labels = tmp_path / "train" / "labels"
    labels.mkdir()
    (labels / "box.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    (labels / "outline.txt").write_text("0 0.25 0.25 0.75 0.25 0.5 0.5\n")
    (labels / "metal.txt").write_text("1 0.5 0.5 0.25 0.5\n")
    (labels / "broken.txt").write_text("0 0.5 nan 0.25 0.5\nzero\n")
    (tmp_path / "data.yaml").write_text("nc: 2\nnames:\n  0: fracture\n  1: metal\n")

    reading = read_dataset("yolo", tmp_path)

    found = {r.path.stem: r for r in reading.records}
    assert found["box"].fractures[0].box == Box(36, 32, 24, 64)
    assert found["outline"].fractures[0].box == Box(24, 32, 48, 32)
    assert found["metal"].label == "metal"
    assert [n for n in found if found[n].fractured] == ["box", "outline"]
    assert [p.detail for p in reading.problems] == ["line 1", "line 2"]


def test_yolo_boxes_are_turned_back_on_a_picture_that_exif_turns(tmp_path):
    picture(tmp_path / "a.jpg", orientation=8)
    (tmp_path / "a.txt").write_text("0 0.25 0.5 0.1 0.2\n")
    (tmp_path / "classes.txt").write_text("fracture\n")

    box = records_of("yolo", tmp_path)["a.jpg"].fractures[0].box

    assert (box.width, box.height) == pytest.approx((19.2, 12.8))
    assert (box.x + box.width / 2, box.y + box.height / 2) == pytest.approx((48, 32))


def test_augmented_copies_of_one_picture_share_a_group(tmp_path):
    for part, mark in (("train", "1f"), ("train", "2e"), ("valid", "3d")):
        picture(tmp_path / part / "images" / f"wrist_jpg.rf.{mark}.jpg")
    (tmp_path / "train" / "labels").mkdir()
    (tmp_path / "train" / "labels" / "wrist_jpg.rf.1f.txt").write_text("0 0.5 0.5 0.2 0.2\n")

    assert len({r.group for r in records_of("yolo", tmp_path).values()}) == 1


@pytest.mark.parametrize(
    "content",
    [
        {"images": {"a": {"file_name": "a.jpg"}}, "annotations": [{"image_id": {}, "bbox": 7}]},
        {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [7], "categories": [3]},
    ],
)
def test_what_is_no_annotation_in_a_json_file_is_left_out(tmp_path, content):
    picture(tmp_path / "a.jpg")
    (tmp_path / "labels.json").write_text(json.dumps(content))
    (tmp_path / "._labels.json").write_bytes(b"\x00\x05\x16\x07")

    assert [r.fractured for r in records_of("coco", tmp_path).values()] == [False]


def test_a_json_file_that_names_no_picture_is_refused(tmp_path):
    picture(tmp_path / "a.jpg")
    content = {"images": [1, None, {"id": [2], "file_name": None}], "annotations": "none"}
    (tmp_path / "labels.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="no labelled pictures"):
        read_dataset("coco", tmp_path)
