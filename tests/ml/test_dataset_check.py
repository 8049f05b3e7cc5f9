"""The integrity report: damage, copies, contradictions and stray boxes are named."""

import json
import shutil

import cv2
import numpy as np
import pytest

from ml.data.check import main
from ml.data.synthetic import synthetic_radiograph, to_jpeg, to_png

SIZE = (160, 208)


@pytest.fixture
def folder(tmp_path):
    """Write three different pictures of each class, in class folders."""
    for number in range(6):
        place = tmp_path / "data" / ("fractured" if number < 3 else "normal")
        place.mkdir(parents=True, exist_ok=True)
        drawn = synthetic_radiograph(
            number, size=SIZE, region=("hand", "leg", "forearm")[number % 3]
        )
        (place / f"{number}.png").write_bytes(to_png(drawn.pixels))
    return tmp_path / "data"


def run(folder, tmp_path, *, name="folders"):
    status = main([str(folder), "--format", name, "--json", str(tmp_path / "report.json")])
    return status, json.loads((tmp_path / "report.json").read_text())


def test_different_pictures_of_one_region_are_no_duplicates(folder, tmp_path, capsys):
    status, report = run(folder, tmp_path)

    assert status == 0
    assert report["sound"]
    assert report["near_duplicates"] == []
    assert report["counts"]["fractured"] == {"no": 3, "yes": 3}
    assert "6 pictures" in capsys.readouterr().out


def test_the_same_pixels_in_both_classes_are_a_label_conflict(folder, tmp_path, capsys):
    pixels = cv2.imread(str(folder / "fractured" / "0.png"), cv2.IMREAD_GRAYSCALE)
    # Other bytes, same pixels: another compression of the file must not hide the copy.
    cv2.imwrite(str(folder / "normal" / "copy.png"), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 0])

    status, report = run(folder, tmp_path)

    assert status == 1
    assert report["exact_duplicates"] == [["fractured/0.png", "normal/copy.png"]]
    assert report["label_conflicts"] == [["fractured/0.png", "normal/copy.png"]]
    assert "label conflicts: 1" in capsys.readouterr().out


def test_a_smaller_brighter_recompressed_copy_is_a_near_duplicate(folder, tmp_path):
    pixels = cv2.imread(str(folder / "normal" / "4.png"), cv2.IMREAD_GRAYSCALE)
    small = cv2.resize(pixels, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    bright = np.clip(small * 1.1 + 6, 0, 255).astype(np.uint8)
    (folder / "fractured" / "again.jpg").write_bytes(to_jpeg(bright, quality=70))

    status, report = run(folder, tmp_path)

    assert status == 1
    assert report["exact_duplicates"] == []
    assert report["near_duplicates"] == [["fractured/again.jpg", "normal/4.png"]]
    assert report["label_conflicts"] == [["fractured/again.jpg", "normal/4.png"]]


def test_cut_off_empty_and_foreign_files_are_told_apart(folder, tmp_path):
    whole = to_jpeg(synthetic_radiograph(9, size=SIZE).pixels)
    (folder / "normal" / "cut.jpg").write_bytes(whole[: len(whole) * 4 // 5])
    (folder / "normal" / "empty.jpg").write_bytes(b"")
    (folder / "normal" / "page.jpg").write_bytes(b"<!doctype html><html></html>")

    status, report = run(folder, tmp_path)

    assert status == 1
    assert report["damaged"] == ["normal/cut.jpg"]
    assert report["unreadable"] == {
        "normal/empty.jpg": "empty_file",
        "normal/page.jpg": "svg_or_html",
    }


def test_boxes_that_leave_the_picture_or_are_empty_are_named(folder, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, line in enumerate(
        ("0 0.5 0.5 0.4 0.4", "0 0.9 0.5 0.4 0.4", "0 0.5 0.5 0 0.4"),
    ):
        shutil.copy(folder / "fractured" / f"{number}.png", flat / f"{number}.png")
        (flat / f"{number}.txt").write_text(line)

    status, report = run(flat, tmp_path, name="yolo")

    assert status == 1
    assert report["boxes_outside"] == ["1.png", "2.png"]


def test_an_empty_folder_ends_with_a_clear_message_and_status_2(tmp_path, capsys):
    (tmp_path / "empty").mkdir()

    assert main([str(tmp_path / "empty"), "--format", "folders"]) == 2

    assert "no pictures found" in capsys.readouterr().err
