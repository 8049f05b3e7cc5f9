"""Figures of merit against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.contracts import Box
from ml.metrics import (
    auroc,
    average_precision,
    balanced_accuracy,
    bootstrap,
    detection_average_precision,
    macro_f1,
    sensitivity,
    sensitivity_at_specificity,
    specificity,
)


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], 1.0),
        ([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9], 0.0),
        ([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5], 0.5),
        ([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 0.75),
    ],
)
def test_auroc_of_known_orders(labels, scores, expected):
    assert auroc(labels, scores) == pytest.approx(expected)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=30))
def test_auroc_is_the_chance_that_a_positive_ranks_higher(pairs):
    positives = [score for label, score in pairs if label]
    negatives = [score for label, score in pairs if not label]
    found = auroc([label for label, _ in pairs], [score for _, score in pairs])
    if not positives or not negatives:
        assert np.isnan(found)
        return
    wins = [(p > n) + 0.5 * (p == n) for p in positives for n in negatives]
    assert found == pytest.approx(np.mean(wins))


def test_average_precision_of_a_known_order():
    # hits at ranks 1 and 3: recall 1/2 at precision 1, recall 1 at precision 2/3
    assert average_precision([1, 0, 1], [0.9, 0.8, 0.7]) == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_sensitivity_and_specificity_count_their_own_class_only():
    assert sensitivity([1, 1, 0, 0], [1, 0, 1, 1]) == 0.5
    assert specificity([1, 1, 0, 0], [1, 0, 1, 0]) == 0.5
    assert np.isnan(sensitivity([0, 0], [1, 1]))


def test_sensitivity_at_a_specificity_cuts_above_the_allowed_false_alarms():
    labels = [0] * 5 + [1] * 2
    scores = [0.1, 0.2, 0.3, 0.4, 0.9, 0.5, 0.95]
    assert sensitivity_at_specificity(labels, scores, 0.8) == 1.0
    assert sensitivity_at_specificity(labels, scores, 1.0) == 0.5


def test_class_figures_of_known_confusions():
    assert macro_f1([0, 0, 1, 1], [0, 1, 1, 1]) == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert balanced_accuracy([0, 0, 0, 1], [0, 0, 1, 1]) == pytest.approx((2 / 3 + 1) / 2)


TRUE = Box(10, 10, 20, 20)


def test_a_box_on_the_fracture_counts_once():
    found = [[(TRUE, 0.9), (Box(11, 10, 20, 20), 0.8)], []]
    truth = [[TRUE], []]
    assert detection_average_precision(truth, found, iou=0.5) == pytest.approx(1.0)


def test_a_false_box_on_a_normal_picture_costs_precision():
    found = [[(TRUE, 0.5)], [(TRUE, 0.9)]]
    assert detection_average_precision([[TRUE], []], found, iou=0.5) == pytest.approx(0.5)


def test_a_box_that_overlaps_too_little_is_wrong():
    found = [[(Box(25, 25, 20, 20), 0.9)]]
    assert detection_average_precision([[TRUE]], found, iou=0.3) == 0.0


def test_detection_without_answers_or_without_truth():
    assert detection_average_precision([[TRUE]], [[]], iou=0.5) == 0.0
    assert np.isnan(detection_average_precision([[]], [[(TRUE, 0.5)]], iou=0.5))


def test_the_interval_holds_the_value_and_repeats_with_its_seed():
    generator = np.random.default_rng(2)
    labels = [index % 4 == 0 for index in range(200)]
    scores = generator.normal(size=200) + np.array(labels) * 1.5
    blocks = [f"{'P' if label else 'N'}{index // 20}" for index, label in enumerate(labels)]

    def statistic(rows):
        return auroc(np.array(labels)[rows], scores[rows])

    first = bootstrap(statistic, blocks=blocks, labels=labels, draws=200)
    again = bootstrap(statistic, blocks=blocks, labels=labels, draws=200)
    assert first == again
    assert first.low < first.value < first.high
    assert first.count == 200


def test_blocks_that_move_together_widen_the_interval():
    """Ten copies of each picture in one block tell no more than one copy."""
    generator = np.random.default_rng(3)
    base = generator.random(20)
    scores = np.repeat(base, 10)
    labels = [True] * 200

    def statistic(rows):
        return float(scores[rows].mean())

    blocked = bootstrap(
        statistic, blocks=[str(i // 10) for i in range(200)], labels=labels, draws=300
    )
    single = bootstrap(statistic, blocks=[str(i) for i in range(200)], labels=labels, draws=300)
    assert blocked.high - blocked.low > 2 * (single.high - single.low)


def test_an_estimate_that_cannot_be_computed_is_null_in_json():
    estimate = bootstrap(lambda _rows: float("nan"), blocks=["a"], labels=[True], draws=5)
    assert estimate.as_json() == {"value": None, "ci95": [None, None], "n": 1}
