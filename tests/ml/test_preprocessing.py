"""Cropping, letterboxing and the way back to image pixels."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.contracts import Box
from ml.preprocessing import (
    Rect,
    find_content,
    find_limb,
    letterbox_geometry,
    prepare,
    window_limits,
)

sizes = st.integers(64, 4000)


@st.composite
def geometries(draw):
    width, height = draw(sizes), draw(sizes)
    left = draw(st.integers(0, width - 32))
    top = draw(st.integers(0, height - 32))
    right = draw(st.integers(left + 16, width))
    bottom = draw(st.integers(top + 16, height))
    return letterbox_geometry(
        Rect(left, top, right, bottom), image_width=width, image_height=height, input_size=384
    )


@given(geometries(), st.floats(0, 1), st.floats(0, 1))
def test_a_point_survives_the_way_to_the_input_and_back(geometry, u, v):
    x = geometry.crop.left + u * geometry.crop.width
    y = geometry.crop.top + v * geometry.crop.height
    there = geometry.point_to_input(x, y)
    assert geometry.point_to_image(*there) == pytest.approx((x, y), abs=1e-6)


@given(geometries(), st.floats(0, 1), st.floats(0, 1))
def test_the_crop_lies_within_the_input_square(geometry, u, v):
    x, y = geometry.point_to_input(
        geometry.crop.left + u * geometry.crop.width, geometry.crop.top + v * geometry.crop.height
    )
    # Half a pixel of slack: the short side is rounded to whole pixels.
    assert -0.51 <= x <= geometry.input_size + 0.51
    assert -0.51 <= y <= geometry.input_size + 0.51


@given(geometries())
def test_a_box_survives_the_way_to_the_input_and_back(geometry):
    crop = geometry.crop
    box = Box(crop.left + 1, crop.top + 2, crop.width / 2, crop.height / 3)
    back = geometry.box_to_image(geometry.box_to_input(box))
    assert (back.x, back.y, back.width, back.height) == pytest.approx(
        (box.x, box.y, box.width, box.height), abs=1e-6
    )


@given(geometries(), st.floats(-500, 900), st.floats(-500, 900), st.floats(0, 900))
def test_a_box_never_leaves_the_image(geometry, x, y, side):
    box = geometry.box_to_image(Box(x, y, side, side))
    assert box.x >= 0
    assert box.y >= 0
    assert box.x + box.width <= geometry.image_width + 1e-6
    assert box.y + box.height <= geometry.image_height + 1e-6
    assert box.width >= 0
    assert box.height >= 0


def limb(height=454, width=373, *, dtype=np.uint8):
    """Draw a bright bar with an edge on a dark plate, bar at columns 150 to 220."""
    canvas = np.full((height, width), 25, np.uint8)
    cv2.rectangle(canvas, (150, 60), (220, height - 80), 90, -1)
    cv2.rectangle(canvas, (172, 60), (198, height - 80), 200, 4)
    noise = np.random.default_rng(0).integers(0, 4, canvas.shape, dtype=np.uint8)
    canvas = canvas + noise
    return canvas if dtype == np.uint8 else canvas.astype(np.uint16) * 257


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_crop_holds_the_limb_and_leaves_out_the_empty_plate(dtype):
    crop = find_limb(limb(dtype=dtype))
    assert crop.left <= 150
    assert crop.right >= 221
    assert crop.top <= 60
    assert crop.bottom >= 454 - 80
    assert crop.width < 373 * 0.6


def test_a_bright_strip_at_the_plate_edge_does_not_widen_the_crop():
    picture = limb()
    picture[:, :9] = 250
    assert find_limb(picture).left > 60


def test_an_inverted_film_is_cropped_alike():
    assert find_limb(255 - limb()).width == pytest.approx(find_limb(limb()).width, abs=60)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_picture_without_structure_is_kept_whole(value):
    picture = np.full((200, 300), value, np.uint8)
    assert find_limb(picture) == Rect(0, 0, 300, 200)


def test_the_grey_fill_of_a_cut_off_jpeg_is_left_out():
    picture = limb()
    picture[400:] = 128
    content, found = find_content(picture)
    assert found
    assert content.bottom == 400


def test_a_half_filled_row_of_blocks_is_left_out_too():
    picture = limb()
    picture[400:] = 128
    picture[392:400, 200:] = 128
    assert find_content(picture)[0].bottom == 392


def test_a_complete_picture_loses_nothing():
    picture = limb()
    assert find_content(picture) == (Rect(0, 0, 373, 454), False)


@given(
    st.integers(40, 900),
    st.integers(40, 900),
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=30, deadline=None)
def test_the_input_is_always_finite_and_in_range(width, height, dtype, seed):
    generator = np.random.default_rng(seed)
    picture = generator.integers(0, np.iinfo(dtype).max, (height, width), dtype=dtype)
    prepared = prepare(picture, input_size=128)
    assert prepared.pixels.shape == (128, 128)
    assert prepared.pixels.dtype == np.float32
    assert np.isfinite(prepared.pixels).all()
    assert prepared.pixels.min() >= -1.0
    assert prepared.pixels.max() <= 1.0


def test_the_same_picture_in_8_and_16_bits_gives_the_same_input():
    eight, sixteen = prepare(limb()).pixels, prepare(limb(dtype=np.uint16)).pixels
    assert np.abs(eight - sixteen).max() < 0.02


def test_the_aspect_is_kept_and_the_rest_is_padding():
    prepared = prepare(limb())
    geometry = prepared.geometry
    assert geometry.pad_x > 0 or geometry.pad_y > 0
    assert (prepared.pixels[:, : int(geometry.pad_x)] == -1.0).all()


def test_a_constant_picture_has_a_window_of_some_width():
    low, high = window_limits(np.full((5, 5), 7, np.uint8))
    assert high > low
