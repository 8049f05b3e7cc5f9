"""Pictures with marks: where boxes are drawn, how sure they look, and what the footer says."""

import dataclasses

import numpy as np
import pytest

from ml.contracts import Box, Certainty, FindingPrediction
from ml.data.synthetic import synthetic_radiograph
from ml.data.synthetic_files import to_png
from ml.overlay import Mark, draw, marks_of
from ml.predict_output import overlay_of
from ml.predictor import load_predictor

RED = (255, 0, 0)
BOX = Box(100, 100, 200, 120)


def drawn(pixels, *marks, **options):
    return np.asarray(draw(pixels, marks, ["a line"], **options), int)


def red_share(picture):
    """Return how much of the box's top edge is red."""
    edge = picture[98:103, 110:290]
    return float(((edge[..., 0] > 200) & (edge[..., 1] < 60)).any(axis=0).mean())


def test_a_solid_box_is_unbroken_and_a_dashed_one_is_not():
    pixels = np.full((800, 700), 90, np.uint8)
    assert red_share(drawn(pixels, Mark(BOX, color=RED))) == 1.0
    assert 0.3 < red_share(drawn(pixels, Mark(BOX, color=RED, dashed=True))) < 0.7


@pytest.mark.parametrize("size", [(100, 60), (640, 640), (3000, 1200)])
def test_any_size_gives_a_readable_picture_with_its_words_below(size):
    picture = drawn(np.zeros(size, np.uint16), Mark(Box(0, 0, 5, 5), "long words" * 9))
    height = picture.shape[0]
    assert 640 <= max(height, picture.shape[1]) <= 1700
    assert picture[-26:].max() > 150  # the footer


def test_heat_colours_only_what_is_hot():
    pixels = np.full((640, 640), 100, np.uint8)
    heat = np.zeros((64, 64), np.uint8)
    heat[10:20, 10:20] = 255
    picture = drawn(pixels, heatmap=heat)
    assert np.ptp(picture[150, 150]) > 20
    assert np.ptp(picture[500, 500]) == 0


def test_the_marks_of_an_answer_are_solid_when_it_is_definite():
    film = to_png(synthetic_radiograph(2, fractured=True).pixels)
    prediction = load_predictor().predict(film)
    findings = tuple(FindingPrediction(BOX, 0.5, certainty) for certainty in Certainty)
    answer = dataclasses.replace(prediction, findings=findings)
    assert [mark.dashed for mark in marks_of(answer)] == [
        f.certainty is Certainty.SUSPICION for f in findings
    ]


def test_a_heatmap_that_is_not_to_be_shown_is_not_drawn():
    pixels = synthetic_radiograph(2, fractured=True).pixels
    prediction = load_predictor().predict(to_png(pixels))
    heat = np.full_like(prediction.heatmap, 255)
    shown = dataclasses.replace(prediction, heatmap=heat, findings=())
    hidden = dataclasses.replace(shown, model=dataclasses.replace(shown.model, heatmap_shown=False))
    colours = [
        np.ptp(np.asarray(overlay_of(pixels, p), int)[:300], axis=-1).max() for p in (shown, hidden)
    ]
    assert colours[0] > 20
    assert colours[1] == 0
