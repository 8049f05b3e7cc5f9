"""The gate: what no model should judge is refused, with the reason one can see."""

import cv2
import numpy as np
import pytest

from ml.data.synthetic import synthetic_radiograph
from ml.quality import REASONS, assess
from tests.ml.pictures import real_radiographs

generator = np.random.default_rng(5)


def film(seed=3):
    return np.asarray(synthetic_radiograph(seed=seed).pixels)


def text_page(*, dark):
    page = np.full((1000, 760), 0 if dark else 255, np.uint8)
    for row in range(40, 980, 26):
        cv2.putText(
            page,
            "Impression: no acute osseous abnormality of the wrist",
            (30, row),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.7,
            255 if dark else 0,
            1,
            cv2.LINE_AA,
        )
    return page


def screenshot():
    screen = np.full((768, 1024), 235, np.uint8)
    for index in range(24):
        x, y = int(generator.integers(0, 900)), int(generator.integers(0, 700))
        cv2.rectangle(screen, (x, y), (x + 180, y + 60), int(20 + index * 9), -1)
    return screen


def bar_code():
    bars = generator.integers(0, 2, 100).astype(np.uint8) * 255
    return np.tile(np.repeat(bars, 5), (300, 1))


@pytest.mark.parametrize("seed", range(6))
def test_a_synthetic_radiograph_passes(seed):
    assert assess(film(seed)) == ()


def sketch():
    """Return soft grey strokes on white: bright, but not as an exposure is."""
    page = np.full((400, 400), 250, np.uint8)
    cv2.circle(page, (200, 200), 60, (90,), 5, cv2.LINE_AA)
    cv2.circle(page, (200, 200), 30, (20,), 3, cv2.LINE_AA)
    return cv2.GaussianBlur(page, (0, 0), 1.0)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (np.zeros((400, 400), np.uint8), "blank"),
        (np.full((400, 400), 255, np.uint8), "blank"),
        (np.full((400, 400), 30000, np.uint16), "blank"),
        (generator.integers(0, 256, (400, 400)).astype(np.uint8), "not_a_radiograph"),
        (text_page(dark=False), "not_a_radiograph"),
        (text_page(dark=True), "not_a_radiograph"),
        (screenshot(), "not_a_radiograph"),
        (bar_code(), "not_a_radiograph"),
        (film()[::6, ::6].copy(), "too_small"),
        ((film() * 0.08).astype(np.uint8), "too_dark"),
        (cv2.GaussianBlur(film(), (0, 0), 6), "blurred"),
        ((255 - film() * 0.2).astype(np.uint8), "too_bright"),
        (sketch(), "not_a_radiograph"),
    ],
    ids=[
        "black",
        "white",
        "one 16-bit grey",
        "noise",
        "text page",
        "white text on black",
        "screenshot",
        "bar code",
        "thumbnail",
        "underexposed",
        "out of focus",
        "overexposed",
        "a sketch on white",
    ],
)
def test_what_cannot_be_judged_is_refused_with_its_reason(picture, reason):
    assert reason in assess(picture)


@pytest.mark.parametrize(
    "picture",
    [
        255 - film(),
        np.clip(film() + generator.normal(0, 6, film().shape), 0, 255).astype(np.uint8),
        cv2.GaussianBlur(film(), (0, 0), 0.8),
        (film().astype(np.uint16) * 257),
        (film() * 0.5).astype(np.uint8),
    ],
    ids=["inverted", "noisy", "a little soft", "16 bits", "half exposed"],
)
def test_a_film_of_another_machine_still_passes(picture):
    assert assess(picture) == ()


def test_colour_is_never_a_radiograph():
    assert assess(film(), has_color=True) == ("not_a_radiograph",)


def test_every_reason_is_a_declared_code():
    for picture in (np.zeros((64, 64), np.uint8), text_page(dark=False), film()):
        assert set(assess(picture)) <= set(REASONS)


def test_at_most_two_percent_of_real_radiographs_are_refused():
    pictures = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in real_radiographs(120)]
    if not pictures:
        pytest.skip("the real radiographs are not on this machine")
    refused = [assess(np.asarray(picture, np.uint8)) for picture in pictures]
    assert sum(bool(reasons) for reasons in refused) <= 0.02 * len(pictures)
