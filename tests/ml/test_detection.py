"""From dense maps to places: peaks, boxes, and no place told twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.contracts import Box, Certainty, Thresholds, Verdict
from ml.data.batches import gaussian_targets
from ml.detection import find_candidates, overlap
from ml.findings import Finding, findings_of, image_severity, verdict_of

SIZE, STRIDE = 384, 4
CELLS = SIZE // STRIDE


def network_answer(boxes, *, peak=6.0):
    """Return the dense outputs of a perfect network for these boxes."""
    heat, reach, _ = gaussian_targets(boxes, input_size=SIZE, stride=STRIDE)
    logits = (heat * (peak + 8.0) - 8.0).astype(np.float32)
    return logits, reach, np.zeros((CELLS // 2, CELLS // 2, 10), np.float32)


def candidates(boxes, **options):
    return find_candidates(*network_answer(boxes, **options), input_size=SIZE)


coordinates = st.floats(20, 300)
sides = st.floats(12, 80)


@given(coordinates, coordinates, sides, sides)
def test_the_targets_of_a_box_decode_to_that_box(x, y, width, height):
    box = Box(x, y, width, height)
    found = candidates([box])
    assert overlap(found[0].box, box) > 0.95


def test_each_separate_fracture_is_found_once_strongest_first():
    boxes = [Box(30, 40, 30, 30), Box(200, 220, 40, 24), Box(310, 60, 20, 44)]
    found = candidates(boxes)
    assert len(found) == 3
    assert all(max(overlap(f.box, box) for f in found) > 0.9 for box in boxes)
    logits = [f.logit for f in found]
    assert logits == sorted(logits, reverse=True)


def test_a_box_within_a_stronger_box_is_the_same_place():
    logits, reach, attributes = network_answer([Box(100, 100, 80, 80)])
    logits[30, 30], reach[30, 30] = 1.0, 6.0  # a second, weaker peak inside
    assert len(find_candidates(logits, reach, attributes, input_size=SIZE)) == 1


def test_an_empty_map_gives_no_place():
    assert candidates([]) == []


def test_a_flat_map_does_not_flood_the_answer():
    logits = np.zeros((CELLS, CELLS), np.float32)
    reach = np.full((CELLS, CELLS, 4), 8.0, np.float32)
    attributes = np.zeros((CELLS // 2, CELLS // 2, 10), np.float32)
    assert len(find_candidates(logits, reach, attributes, input_size=SIZE)) <= 12


def test_boxes_stay_within_the_input():
    logits, reach, attributes = network_answer([Box(2, 2, 20, 20)])
    reach[:] = 200.0
    box = find_candidates(logits, reach, attributes, input_size=SIZE)[0].box
    assert (box.x, box.y) == (0.0, 0.0)
    assert box.x + box.width <= SIZE


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (Box(0, 0, 10, 10), Box(0, 0, 10, 10), 1.0),
        (Box(0, 0, 10, 10), Box(10, 0, 10, 10), 0.0),
        (Box(0, 0, 10, 10), Box(5, 0, 10, 10), 1 / 3),
        (Box(0, 0, 0, 0), Box(0, 0, 0, 0), 0.0),
    ],
)
def test_overlap_of_known_boxes(first, second, expected):
    assert overlap(first, second) == pytest.approx(expected)
    assert overlap(second, first) == pytest.approx(expected)


THRESHOLDS = Thresholds(suspicion=0.2, definite=0.7)


@pytest.mark.parametrize(
    ("probability", "verdict"),
    [
        (0.0, Verdict.NEGATIVE),
        (0.1999, Verdict.NEGATIVE),
        (0.2, Verdict.SUSPICION),
        (0.6999, Verdict.SUSPICION),
        (0.7, Verdict.DEFINITE),
        (1.0, Verdict.DEFINITE),
    ],
)
def test_the_verdict_changes_exactly_at_the_thresholds(probability, verdict):
    assert verdict_of(probability, THRESHOLDS) is verdict


def places(*probabilities):
    found = candidates([Box(30, 40, 30, 30), Box(200, 220, 40, 24), Box(310, 60, 20, 44)])
    return [Finding(f.box, p, f) for f, p in zip(found, probabilities, strict=False)]


def test_a_negative_image_shows_no_place():
    assert findings_of(places(0.9, 0.8), Verdict.NEGATIVE, THRESHOLDS) == ()


def test_a_suspicious_image_always_says_where():
    shown = findings_of(places(0.05, 0.01), Verdict.SUSPICION, THRESHOLDS)
    assert len(shown) == 1
    assert shown[0].certainty is Certainty.SUSPICION


def test_a_place_is_solid_only_on_a_definite_image():
    strong = places(0.9, 0.4)
    on_definite = findings_of(strong, Verdict.DEFINITE, THRESHOLDS)
    assert [f.certainty for f in on_definite] == [Certainty.DEFINITE, Certainty.SUSPICION]
    on_suspicion = findings_of(strong, Verdict.SUSPICION, THRESHOLDS)
    assert {f.certainty for f in on_suspicion} == {Certainty.SUSPICION}


def test_an_undecided_reading_is_left_empty():
    shown = findings_of(places(0.9), Verdict.DEFINITE, THRESHOLDS)
    assert (shown[0].fracture_type, shown[0].displacement, shown[0].severity) == ("", "", "")
    assert image_severity(places(0.9), Verdict.DEFINITE) == ""
