"""Photographs of films: corners found and cut out to the pixel, bad photos told apart."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from ml.data.synthetic import synthetic_radiograph
from ml.film import FilmQuality, checked_corners, measure_film, straighten
from ml.film_corners import propose_corners

QUADS = {
    "straight": [(0.2, 0.1), (0.8, 0.1), (0.8, 0.9), (0.2, 0.9)],
    "turned": [(0.30, 0.08), (0.83, 0.16), (0.74, 0.92), (0.18, 0.85)],
    "from the side": [(0.22, 0.08), (0.78, 0.14), (0.80, 0.84), (0.20, 0.94)],
}
WIDTH, HEIGHT = 750, 1000


def a_film(side: int = 600) -> np.ndarray:
    """A film 3 : 4 with known marks, as sharp as its pixels."""
    drawn = synthetic_radiograph(7, region="forearm", fractured=True).pixels
    film = cv2.resize(drawn, (side, side * 4 // 3), interpolation=cv2.INTER_AREA).astype(np.float64)
    film = film / max(film.max(), 1) * 200
    film[:, [0, -1]] = film[[0, -1]] = 0
    for x, y in ((0.25, 0.2), (0.75, 0.2), (0.75, 0.8), (0.25, 0.8)):
        at = (round(x * side), round(y * side * 4 / 3))
        cv2.circle(film, at, side // 60, (255.0,), -1, cv2.LINE_AA)
    return film


def on_a_box(quad, *, blur: float = 0.0, light: float = 1.0, glare: float = 0.0) -> np.ndarray:
    """Photograph the film so that its corners fall onto ``quad``, on a bright box in a dim room."""
    film = a_film()
    source = np.array(
        [[0, 0], [film.shape[1], 0], [film.shape[1], film.shape[0]], [0, film.shape[0]]], np.float32
    )
    target = (np.array(quad) * (WIDTH, HEIGHT)).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(source, target)
    rng = np.random.default_rng(3)
    scene = np.full((HEIGHT, WIDTH), 225.0)
    scene[:40] = scene[-40:] = 70.0
    tone = cv2.warpPerspective(12 + 0.85 * film, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)
    cover = cv2.warpPerspective(np.ones_like(film), matrix, (WIDTH, HEIGHT))
    photo = scene * (1 - cover) + tone * cover
    if glare:
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        photo += 400 * np.exp(-((x - 375) ** 2 + (y - 500) ** 2) / (2 * (glare * WIDTH) ** 2))
    if blur:
        photo = cv2.GaussianBlur(photo, (0, 0), blur)
    photo = photo * light + rng.normal(0, 2.0, photo.shape)
    return np.clip(photo, 0, 255).astype(np.uint8)


def quality(photo: np.ndarray, quad) -> FilmQuality:
    corners = checked_corners(quad)
    return measure_film(straighten(photo, corners), corners, photo.shape)


@pytest.mark.parametrize("name", QUADS)
def test_the_corners_of_a_film_are_found_within_two_pixels(name) -> None:
    found = propose_corners(on_a_box(QUADS[name]))

    assert found is not None
    error = np.abs((np.array(found) - QUADS[name]) * (WIDTH, HEIGHT)).max()
    assert error < 2.0, error  # of 1000


@pytest.mark.parametrize("name", QUADS)
def test_a_straightened_film_has_its_marks_where_the_film_has_them(name) -> None:
    film = straighten(on_a_box(QUADS[name]), checked_corners(QUADS[name]))
    height, width = film.shape

    for x, y in ((0.25, 0.2), (0.75, 0.2), (0.75, 0.8), (0.25, 0.8)):
        reach = width // 20
        top, left = round(y * height) - reach, round(x * width) - reach
        patch = film[top : top + 2 * reach, left : left + 2 * reach].astype(float)
        bright = patch > 200
        yy, xx = np.nonzero(bright)
        assert bright.sum() > 10
        assert abs(left + xx.mean() + 0.5 - x * width) < 1.5
        assert abs(top + yy.mean() + 0.5 - y * height) < 1.5


def test_a_good_photo_passes_and_each_fault_has_its_own_reason() -> None:
    good = QUADS["turned"]

    assert quality(on_a_box(good), good).problems == ()
    assert "photo_blurred" in quality(on_a_box(good, blur=5), good).problems
    assert quality(on_a_box(good, light=0.12), good).problems[0] == "photo_too_dark"
    assert "photo_glare" in quality(on_a_box(good, glare=0.08), good).problems
    flat = [(0.35, 0.2), (0.65, 0.2), (0.95, 0.8), (0.05, 0.8)]
    assert quality(on_a_box(flat), flat).problems[0] == "photo_tilted"
    far = [(0.45, 0.4), (0.65, 0.4), (0.65, 0.6), (0.45, 0.6)]
    assert "photo_too_small" in quality(on_a_box(far), far).problems


def test_grain_does_not_pass_for_sharpness() -> None:
    quad = QUADS["straight"]
    blurred = on_a_box(quad, blur=5).astype(float)
    grain = np.random.default_rng(1).normal(0, 2.5, blurred.shape)
    noisy = np.clip(blurred + grain, 0, 255).astype(np.uint8)

    assert "photo_blurred" in quality(noisy, quad).problems


def test_nothing_is_proposed_where_no_film_stands_out() -> None:
    rng = np.random.default_rng(5)
    wall = np.clip(120 + rng.normal(0, 3, (900, 700)), 0, 255).astype(np.uint8)

    assert propose_corners(wall) is None


def test_corners_are_put_into_order_and_impossible_ones_are_refused() -> None:
    a, b, c, d = QUADS["turned"]

    assert checked_corners([c, a, d, b]) == checked_corners([a, b, c, d])
    for wrong in (
        [a, b, c],
        [a, a, a, a],
        [a, b, c, (1.2, 0.5)],
        [a, b, c, (float("nan"), 0.5)],
        [(0.1, 0.1), (0.9, 0.1), (0.45, 0.2), (0.1, 0.9)],
        [(0.1, 0.1), (0.12, 0.1), (0.12, 0.9), (0.1, 0.9)],
    ):
        with pytest.raises(ValueError, match=r".+"):
            checked_corners(wrong)


def test_worst_problem_comes_first() -> None:
    fine = quality(on_a_box(QUADS["straight"]), QUADS["straight"])
    bad = replace(fine, brightness=0.1, sharpness=0.0)

    assert bad.problems == ("photo_too_dark", "photo_blurred")
