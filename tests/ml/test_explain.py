"""The heatmap covers the whole image and points where the map points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.contracts import Box
from ml.explain import energy_in_boxes, heatmap_of_image, pointing_hit
from ml.preprocessing import Rect, letterbox_geometry

CROP = Rect(300, 100, 700, 700)


def geometry(width=1000, height=800, crop=CROP):
    return letterbox_geometry(crop, image_width=width, image_height=height, input_size=384)


def test_the_heatmap_has_the_aspect_of_the_image_and_is_small():
    heatmap = heatmap_of_image(np.zeros((96, 96), np.float32), geometry())
    assert heatmap.shape == (179, 224)
    assert heatmap.dtype == np.uint8


def test_a_small_image_is_not_enlarged():
    small = geometry(100, 80, Rect(0, 0, 100, 80))
    assert heatmap_of_image(np.zeros((96, 96), np.float32), small).shape == (80, 100)


def test_what_was_cropped_away_stays_cold():
    heatmap = heatmap_of_image(np.ones((96, 96), np.float32), geometry())
    columns = heatmap.shape[1]
    assert heatmap[:, : int(0.29 * columns)].max() == 0
    assert heatmap[:, int(0.71 * columns) :].max() == 0
    assert heatmap[90, columns // 2] == 255


@given(st.floats(310, 690), st.floats(110, 690))
@settings(deadline=None)
def test_a_hot_cell_lands_on_its_place_in_the_image(x, y):
    place = geometry()
    input_x, input_y = place.point_to_input(x, y)
    values = np.zeros((96, 96), np.float32)
    values[min(95, int(input_y // 4)), min(95, int(input_x // 4))] = 1.0
    heatmap = heatmap_of_image(values, place)
    row, column = np.unravel_index(int(np.argmax(heatmap)), heatmap.shape)
    scale = 1000 / heatmap.shape[1]
    assert (column + 0.5) * scale == pytest.approx(x, abs=2.5 * scale)
    assert (row + 0.5) * scale == pytest.approx(y, abs=2.5 * scale)


def test_the_pointing_game_and_energy_of_a_known_map():
    heatmap = np.zeros((10, 20), np.uint8)
    heatmap[5, 10], heatmap[0, 0] = 200, 50
    on_it, beside = Box(50, 25, 5, 5), Box(0, 25, 5, 5)
    assert pointing_hit(heatmap, [beside, on_it], 100, 50)
    assert not pointing_hit(heatmap, [beside], 100, 50)
    assert energy_in_boxes(heatmap, [on_it], 100, 50) == pytest.approx(0.8)
    assert energy_in_boxes(np.zeros((4, 4), np.uint8), [on_it], 100, 50) == 0.0
