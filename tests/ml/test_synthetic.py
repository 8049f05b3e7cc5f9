"""Synthetic radiographs: deterministic, marked, with a true box; plumbing only."""

import numpy as np
import pytest

from ml.data.synthetic import main, synthetic_radiograph, to_dicom, to_jpeg, to_png
from ml.data.synthetic_anatomy import REGIONS
from ml.decoding import decode_image


@pytest.mark.parametrize("region", REGIONS)
def test_same_seed_gives_the_same_picture_and_another_seed_another(region):
    first, again, other = (synthetic_radiograph(seed, region=region) for seed in (7, 7, 8))
    assert np.array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.pixels, other.pixels)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("region", REGIONS)
def test_box_is_inside_the_picture_and_holds_what_the_fracture_changed(region, seed):
    intact = synthetic_radiograph(seed, region=region)
    broken = synthetic_radiograph(seed, region=region, fractured=True)
    assert intact.box is None
    box = broken.box
    assert box is not None
    height, width = broken.pixels.shape
    assert 0 <= box.x < box.x + box.width <= width
    assert 0 <= box.y < box.y + box.height <= height
    assert box.width * box.height < 0.1 * width * height
    changed = np.abs(broken.pixels.astype(int) - intact.pixels)
    inside = changed[int(box.y) : int(box.y + box.height), int(box.x) : int(box.x + box.width)]
    assert inside.mean() > 2.5 * changed.mean()


def test_bone_is_brighter_than_flesh_and_flesh_than_air():
    pixels = synthetic_radiograph(3, region="leg").pixels
    assert np.percentile(pixels, 97) > 1.5 * np.percentile(pixels, 75) > 0
    assert np.percentile(pixels, 20) < 40


def test_sizes_and_bits_are_as_asked():
    drawn = synthetic_radiograph(1, size=(300, 420), bits=12)
    assert drawn.pixels.shape == (420, 300)
    assert drawn.pixels.dtype == np.uint16
    assert 2048 < drawn.pixels.max() <= 4095


@pytest.mark.parametrize("wrong", [{"region": "head"}, {"size": (20, 400)}, {"bits": 10}])
def test_what_cannot_be_drawn_is_refused(wrong):
    with pytest.raises(ValueError, match="cannot draw"):
        synthetic_radiograph(1, **wrong)


@pytest.mark.parametrize("encode", [to_png, to_jpeg, to_dicom])
@pytest.mark.parametrize("bits", [8, 12])
def test_every_encoder_gives_a_file_that_shows_the_picture(encode, bits):
    pixels = synthetic_radiograph(2, bits=bits).pixels
    frame = decode_image(encode(pixels)).frames[0]
    assert frame.shape == pixels.shape
    assert np.corrcoef(frame.ravel().astype(float), pixels.ravel().astype(float))[0, 1] > 0.99


def test_command_writes_a_folder_of_readable_files(tmp_path):
    assert main(["--out", str(tmp_path), "--count", "6", "--seed", "3"]) == 0
    files = sorted(tmp_path.iterdir())
    assert len(files) == 6
    assert {path.suffix for path in files} == {".png", ".jpg", ".dcm"}
    assert sum("fractured" in path.name for path in files) == 3
    for path in files:
        decode_image(path.read_bytes())
