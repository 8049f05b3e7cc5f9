"""Probabilities that mean what they say, and operating points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.calibration import (
    LogisticCalibration,
    choose_thresholds,
    expected_calibration_error,
    fit_logistic,
    sigmoid,
)


def drawn(slope, intercept, count=20_000):
    generator = np.random.default_rng(1)
    logits = generator.normal(0.0, 2.0, count)
    labels = generator.random(count) < sigmoid(slope * logits + intercept)
    return logits, labels


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.4, -1.2), (2.0, 0.7)])
def test_the_fit_finds_the_true_temperature_and_offset(slope, intercept):
    found = fit_logistic(*drawn(slope, intercept))
    assert found.slope == pytest.approx(slope, rel=0.08)
    assert found.intercept == pytest.approx(intercept, abs=0.1)


def test_calibration_lowers_the_calibration_error():
    logits, labels = drawn(0.4, -1.2)
    before = expected_calibration_error(sigmoid(logits), labels)
    after = expected_calibration_error(fit_logistic(logits, labels).probabilities(logits), labels)
    assert after < 0.02 < before


def test_a_separable_set_does_not_end_in_certainty():
    found = fit_logistic([-3.0, -2.0, 2.0, 3.0], [0, 0, 1, 1])
    assert np.isfinite(found.slope)
    assert found.probability(3.0) < 0.999


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1]])
def test_one_class_alone_cannot_be_calibrated(labels):
    with pytest.raises(ValueError, match="both classes"):
        fit_logistic([0.1, 0.2, 0.3], labels)


def test_a_calibration_that_turns_the_order_round_is_refused():
    with pytest.raises(ValueError, match="positive"):
        LogisticCalibration(slope=-1.0, intercept=0.0)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_probability_is_never_zero_or_one_and_keeps_the_order(first, second):
    calibration = LogisticCalibration(slope=0.7, intercept=-0.4)
    low, high = sorted((first, second))
    assert 0.0 < calibration.probability(low) <= calibration.probability(high) < 1.0


def test_operating_points_reach_what_was_asked_on_the_data_they_were_chosen_on():
    logits, labels = drawn(0.8, -1.0, 3000)
    probabilities = sigmoid(0.8 * logits - 1.0)
    found = choose_thresholds(probabilities, labels)
    assert (probabilities[labels] >= found.suspicion).mean() >= 0.95
    assert (probabilities[~labels] < found.definite).mean() >= 0.95
    assert 0 < found.suspicion <= found.definite < 1


def test_operating_points_stay_in_order_when_the_classes_are_apart():
    found = choose_thresholds([0.01, 0.02, 0.03, 0.9, 0.95, 0.99], [0, 0, 0, 1, 1, 1])
    assert found.suspicion <= found.definite


def test_the_calibration_error_of_known_values():
    assert expected_calibration_error([0.25] * 4, [0, 0, 0, 1], bins=1) == pytest.approx(0.0)
    assert expected_calibration_error([0.9] * 4, [0, 0, 0, 1], bins=1) == pytest.approx(0.65)
