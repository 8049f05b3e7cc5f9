"""Splits, targets and augmentation: what keeps the figures honest and the targets true."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

import ml
from ml.contracts import Box
from ml.data.augmentation import augment
from ml.data.batches import BatchPlan, batches, gaussian_targets
from ml.data.cache import CachedPicture, PictureCache
from ml.data.fracatlas import read_manifest, read_samples
from ml.data.splits import PARTS, make_split, read_split, write_split
from ml.labels import BODY_REGIONS, COARSE_REGION, COARSE_REGIONS
from ml.preprocessing import Rect
from tests.ml.pictures import REAL_FOLDER

SHIPPED_SPLIT = Path(ml.__file__).parent / "data" / "splits" / "fracatlas_v1.csv"


@pytest.fixture
def folder(tmp_path):
    """Write a small data set in the manifest format: 30 blocks of 4 pictures, 10 of them broken."""
    (tmp_path / "images").mkdir()
    generator = np.random.default_rng(0)
    rows, boxes = [], []
    for index in range(120):
        block = index // 4
        name = f"P{index:04d}.jpg"
        picture = np.full((160, 128), 20, np.uint8)
        cv2.rectangle(picture, (45, 20), (85, 140), 150, 6)
        picture += generator.integers(0, 20, picture.shape, dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "images" / name), picture)
        rows.append(
            {
                "image_id": name,
                "fractured": int(block < 10),
                "region": ["hand", "leg"][block % 2],
                "body_region": ["wrist", "knee"][block % 2],
                "hardware": 0,
                "cast": 0,
                "frontal": 1,
                "group": 7 if index in {0, 119} else f"g{index}",
                "block": block,
                "label_conflict": int(index == 50),
                "truncated": 0,
            }
        )
        if block < 10:
            boxes.append({"image_id": name, "x": 50, "y": 60, "w": 20, "h": 16})
    for file, content in (("manifest.csv", rows), ("boxes.csv", boxes)):
        with (tmp_path / file).open("w", newline="") as handle:
            writer = csv.DictWriter(handle, content[0].keys())
            writer.writeheader()
            writer.writerows(content)
    return tmp_path


def test_no_block_and_no_duplicate_group_is_on_two_sides(folder):
    samples = read_samples(folder)
    parts = make_split(samples, seed=1)
    for key in ("block", "group"):
        sides: dict[str, set[str]] = {}
        for sample in samples:
            if not sample.label_conflict:
                sides.setdefault(getattr(sample, key), set()).add(parts[sample.image_id])
        assert all(len(found) == 1 for found in sides.values())
    assert parts["P0000.jpg"] == parts["P0119.jpg"]


def test_a_contradictory_label_is_in_no_part(folder):
    parts = make_split(read_samples(folder), seed=1)
    assert parts["P0050.jpg"] == "excluded"


def test_a_split_is_repeatable_and_survives_its_file(folder, tmp_path):
    samples = read_samples(folder)
    parts = make_split(samples, seed=3)
    assert make_split(samples, seed=3) == parts
    write_split(parts, tmp_path / "split.csv")
    assert read_split(tmp_path / "split.csv") == parts


def test_every_part_has_both_labels(folder):
    samples = read_samples(folder)
    parts = make_split(samples, seed=1)
    for part in PARTS:
        assert {s.fractured for s in samples if parts[s.image_id] == part} == {True, False}


def test_the_shipped_split_keeps_real_patients_apart():
    if not REAL_FOLDER.is_dir():
        pytest.skip("the real radiographs are not on this machine")
    parts = read_split(SHIPPED_SPLIT)
    sides: dict[str, set[str]] = {}
    for sample in read_samples(REAL_FOLDER):
        if parts[sample.image_id] == "excluded":
            assert sample.label_conflict
            continue
        for key in (f"block {sample.block}", f"group {sample.group}"):
            sides.setdefault(key, set()).add(parts[sample.image_id])
    assert all(len(found) == 1 for found in sides.values())


def test_a_manifest_without_labels_is_refused(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("image_id,region\na.jpg,leg\n")
    with pytest.raises(ValueError, match="fractured"):
        read_manifest(path, tmp_path)
    path.write_text("name\na.jpg\n")
    with pytest.raises(ValueError, match="image_id"):
        read_manifest(path, tmp_path)


def test_every_body_region_has_a_coarse_one():
    assert set(COARSE_REGION) == set(BODY_REGIONS)
    assert set(COARSE_REGION.values()) == set(COARSE_REGIONS)


def test_the_target_peaks_at_the_fracture_and_its_cells_know_the_box():
    box = Box(100, 60, 40, 24)
    heat, reach, owner = gaussian_targets([box], input_size=192, stride=4)
    row, column = np.unravel_index(int(np.argmax(heat)), heat.shape)
    assert heat.max() == pytest.approx(1.0)
    assert (column + 0.5) * 4 == pytest.approx(120, abs=4)
    assert (row + 0.5) * 4 == pytest.approx(72, abs=4)
    left, top, right, bottom = reach[row, column]
    assert left + right == pytest.approx(40)
    assert top + bottom == pytest.approx(24)
    assert set(np.unique(owner)) == {-1, 0}


def test_a_small_fracture_is_not_drowned_by_a_large_one_around_it():
    boxes = [Box(40, 40, 100, 100), Box(82, 82, 16, 16)]
    _, _, owner = gaussian_targets(boxes, input_size=192, stride=4)
    assert owner[22, 22] == 1
    assert (owner == 0).any()


def picture_with_a_spot():
    """Return a picture whose only bright spot is the "fracture"."""
    pixels = np.full((220, 180), 20, np.uint8)
    cv2.rectangle(pixels, (80, 120), (99, 139), 250, -1)
    return CachedPicture(pixels, 0.5, Rect(20, 20, 160, 200), (20.0, 250.0))


def test_boxes_move_with_the_pixels():
    picture, inside = picture_with_a_spot(), []
    box = Box(160, 240, 40, 40)  # in pixels of the file, which is twice the cache
    for seed in range(60):
        view = augment(picture, (box,), 192, np.random.default_rng(seed))
        moved = view.boxes[0]
        assert moved is not None
        assert view.pixels.shape == (192, 192)
        assert view.pixels.min() >= -1.0
        assert view.pixels.max() <= 1.0
        centre = view.pixels[
            int(moved.y + moved.height * 0.35) : int(moved.y + moved.height * 0.65) + 1,
            int(moved.x + moved.width * 0.35) : int(moved.x + moved.width * 0.65) + 1,
        ]
        inside.append(abs(float(centre.mean()) - float(np.median(view.pixels))))
    # An inversion or drawn letter may hide the spot now and then; a wrong mapping would always.
    assert np.mean(np.array(inside) > 0.5) > 0.85


def test_a_batch_has_its_share_of_positives_and_fitting_shapes(folder, tmp_path):
    samples = read_samples(folder)
    cache = PictureCache(tmp_path / "cache", samples)
    plan = BatchPlan(input_size=128, batch_size=8, positives=3, matched_negatives=2)
    batch = next(batches(samples, cache, plan, seed=0))
    assert batch["pixels"].shape == (8, 128, 128, 1)
    assert batch["image"].sum() == 3
    assert batch["map"].shape == (8, 32, 32, 1)
    assert batch["attributes"].shape == (8, 16, 16, 3)
    assert all(np.isfinite(values).all() for values in batch.values())
    assert batch["map"][:3].max(axis=(1, 2, 3)).min() > 0.9
    assert batch["map"][3:].max() == 0.0


def test_the_cache_is_reused_and_gives_the_same_pixels(folder, tmp_path):
    samples = read_samples(folder)
    first = PictureCache(tmp_path / "cache", samples)["P0003.jpg"]
    (folder / "images" / "P0003.jpg").unlink()
    again = PictureCache(tmp_path / "cache", samples)["P0003.jpg"]
    assert np.array_equal(first.pixels, again.pixels)
    assert first.crop == again.crop
