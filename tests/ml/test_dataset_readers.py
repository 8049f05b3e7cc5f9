"""Readers: published layouts, with the faults that published data sets have."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image, ImageOps

from ml.contracts import Box
from ml.data.readers import FORMATS, read_dataset
from ml.data.records import DatasetError, StoredSize, fracture_classes, to_stored
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


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_an_empty_folder_is_refused_by_every_reader(name, tmp_path):
    with pytest.raises(DatasetError):
        read_dataset(name, tmp_path)
    with pytest.raises(DatasetError, match="no such"):
        read_dataset(name, tmp_path / "missing")


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
