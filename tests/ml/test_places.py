"""Figures of boxes that can be drawn again agree with the plain ones."""

import numpy as np
import pytest

from ml.contracts import Box
from ml.metrics import detection_average_precision, roc
from ml.places import Places

TRUE = Box(10, 10, 20, 20)
AWAY = Box(100, 100, 20, 20)


def random_pictures(seed):
    """Return true boxes and answers of 30 pictures, with ties among the scores."""
    generator = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(30):
        boxes = [Box(*generator.integers(0, 60, 2), 20, 20) for _ in range(generator.integers(3))]
        answers = [
            (Box(*(generator.integers(0, 60, 2)), 20, 20), float(generator.integers(1, 6)) / 6)
            for _ in range(generator.integers(4))
        ]
        answers += [(Box(b.x + 1, b.y, 20, 20), 0.7) for b in boxes if generator.random() < 0.6]
        truth.append(boxes)
        found.append(answers)
    return truth, found


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_the_plain_one_also_for_drawn_pictures(seed):
    truth, found = random_pictures(seed)
    places = Places(truth, found, iou=0.5)
    generator = np.random.default_rng(seed)
    for rows in (np.arange(30), generator.integers(30, size=30), np.arange(10)):
        expected = detection_average_precision(
            [truth[i] for i in rows], [found[i] for i in rows], iou=0.5
        )
        assert places.average_precision(rows) == pytest.approx(expected)


def test_froc_counts_false_boxes_a_picture():
    truth = [[TRUE], [TRUE], [], []]
    found = [[(TRUE, 0.9)], [(AWAY, 0.8), (TRUE, 0.5)], [(AWAY, 0.7)], []]
    places = Places(truth, found, iou=0.5)
    rows = np.arange(4)
    assert places.sensitivity_at(rows, 0.0) == 0.5
    assert places.sensitivity_at(rows, 0.25) == 0.5
    assert places.sensitivity_at(rows, 0.5) == 1.0
    wrong, right = places.froc()
    assert (wrong[-1], right[-1]) == (0.5, 1.0)


def test_no_boxes_at_all_is_no_figure_and_no_answers_is_zero():
    assert np.isnan(Places([[]], [[(TRUE, 0.5)]], iou=0.5).average_precision(np.array([0])))
    assert np.isnan(Places([[]], [[]], iou=0.5).sensitivity_at(np.array([0]), 1.0))
    assert Places([[TRUE]], [[]], iou=0.5).average_precision(np.array([0])) == 0.0
    assert Places([[TRUE]], [[]], iou=0.5).sensitivity_at(np.array([0]), 1.0) == 0.0


def test_the_roc_runs_from_corner_to_corner_and_takes_ties_together():
    wrong, right = roc([1, 0, 1, 0], [0.9, 0.5, 0.5, 0.1])
    assert wrong.tolist() == [0.0, 0.0, 0.5, 1.0]
    assert right.tolist() == [0.0, 0.5, 1.0, 1.0]
