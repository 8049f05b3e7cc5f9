"""A photograph of a film on a light box: is it good enough, and the film straightened.

Corners are shares of the photograph's width and height, clockwise from the film's left top. Pure
geometry and simple measurements that a person can follow; nothing is learned, and grey values are
never changed beyond resampling.
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

Gray = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]
Corners = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]

# Stable, translated for users, and the same that static/js/film-quality.js finds in the browser.
REFUSALS: Final = (
    "photo_too_dark",
    "photo_blurred",
    "photo_glare",
    "photo_tilted",
    "photo_too_small",
)
MAX_SIDE: Final = 4096
_MEASURE_SIDE: Final = 800
_MIN_SIDE: Final = 320  # pixels of the film's shorter side; a fracture line needs them
_MIN_BRIGHT: Final = 0.22  # 99th percentile of the film's light
# 20 real films drawn sharp measure 0.22 and up (0.15 with heavy noise), blurred by 4 of 800 pixels
# 0.07 and less, by 2.5 pixels 0.13 in the middle.
_MIN_SHARPNESS: Final = 0.08
_STEP: Final = 2 / 255
_MAX_GLARE: Final = 0.02  # share of the film that is white without any detail, away from its rim
_GLARE_LEVEL: Final = 250
_MIN_SIDE_RATIO: Final = 0.72  # of opposite sides: a camera held 30 degrees off and close
_MAX_SKEW_DEGREES: Final = 22.0  # of a corner, from a right angle
_MIN_AREA: Final = 0.03  # of the photograph


@dataclass(frozen=True, slots=True)
class FilmQuality:
    """What the checks look at.

    Attributes:
        brightness: 99th percentile of the film's light, 0 to 1.
        sharpness: strength of the finest detail as a share of the coarse detail's.
        glare: share of the film that is clipped white in one patch away from the rim.
        side_ratio: the shorter of two opposite sides by the longer, the worse pair.
        skew_degrees: largest deviation of a corner from a right angle.
        shorter_side: pixels of the straightened film.
    """

    brightness: float
    sharpness: float
    glare: float
    side_ratio: float
    skew_degrees: float
    shorter_side: int

    @property
    def problems(self) -> tuple[str, ...]:
        """Return why the photo cannot be used, worst first; empty when it can."""
        checks = {
            "photo_too_dark": self.brightness < _MIN_BRIGHT,
            "photo_tilted": self.side_ratio < _MIN_SIDE_RATIO
            or self.skew_degrees > _MAX_SKEW_DEGREES,
            "photo_too_small": self.shorter_side < _MIN_SIDE,
            "photo_blurred": self.sharpness < _MIN_SHARPNESS,
            "photo_glare": self.glare > _MAX_GLARE,
        }
        return tuple(code for code, applies in checks.items() if applies)


def checked_corners(values: object) -> Corners:
    """Return four usable corners, put into order.

    Raises:
        ValueError: not four points of a convex, large enough figure inside the photograph.
    """
    points: npt.NDArray[np.float64] = np.asarray(values, np.float64)
    if points.shape != (4, 2) or not np.isfinite(points).all():
        raise ValueError("four points are needed")
    if points.min() < 0.0 or points.max() > 1.0:
        raise ValueError("a corner is outside of the photograph")
    ordered = in_order(points)
    if not cv2.isContourConvex(ordered.astype(np.float32)) or _area(ordered) < _MIN_AREA:
        raise ValueError("the corners span no film")
    return as_corners(ordered)


def straighten(photo: Gray, corners: Corners) -> Gray:
    """Return the film as if seen from straight ahead, ``(h, w)``, at most ``MAX_SIDE`` long."""
    quad = np.asarray(corners, np.float64) * photo.shape[::-1]
    width, height = _film_size(quad)
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - 0.5
    matrix = cv2.getPerspectiveTransform(quad.astype(np.float32) - 0.5, target)
    flat = cv2.warpPerspective(
        photo, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(flat, np.uint8)


def measure_film(film: Gray, corners: Corners, photo_shape: tuple[int, int]) -> FilmQuality:
    """Measure a straightened film.

    Args:
        film: what ``straighten`` returned.
        corners: where it was in the photograph.
        photo_shape: height and width of the photograph.
    """
    quad = np.asarray(corners, np.float64) * photo_shape[::-1]
    small = reduced(film, _MEASURE_SIDE)
    light = np.asarray(small / np.float32(255), np.float32)
    ratio, skew = tilt_of(quad)
    return FilmQuality(
        brightness=float(np.percentile(light, 99.0)),
        sharpness=_sharpness(light),
        glare=_glare(small),
        side_ratio=ratio,
        skew_degrees=skew,
        shorter_side=min(film.shape),
    )


def _sharpness(light: Plane) -> float:
    """Return how much of the coarse detail's strength the finest detail has.

    A ratio of two scales tells an edge's width whatever the contrast; what noise adds everywhere
    alike is taken off, and the steps of eight bits. The film's own rim is always sharp: left out.
    """
    rim = max(2, round(0.03 * min(light.shape)))
    fine, coarse = (
        np.abs(light - cv2.GaussianBlur(light, (0, 0), sigma))[rim:-rim, rim:-rim]
        for sigma in (1.0, 4.0)
    )
    grain, finest = np.percentile(fine, (50.0, 99.9))
    return float(
        max(0.0, finest - 3.0 * grain - _STEP) / max(float(np.percentile(coarse, 99.9)), 1e-3)
    )


def _glare(film: Gray) -> float:
    """Return the share of patches that are white without detail; clear film at the rim is none."""
    white = np.asarray(film >= _GLARE_LEVEL, np.uint8)
    count, _labels, stats, _centres = cv2.connectedComponentsWithStats(white)
    height, width = film.shape
    total = 0
    for index in range(1, count):
        x, y, w, h, area = (int(value) for value in stats[index])
        at_rim = x <= 1 or y <= 1 or x + w >= width - 1 or y + h >= height - 1
        if not at_rim and area > 0.002 * film.size:
            total += area
    return total / film.size


def reduced(picture: Gray, side: int) -> Gray:
    """Return a picture whose longer side is at most ``side`` pixels."""
    factor = min(1.0, side / max(picture.shape))
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def tilt_of(quad: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the worse ratio of opposite sides and the largest deviation from a right angle."""
    vectors = np.roll(quad, -1, axis=0) - quad
    lengths = np.maximum(np.hypot(vectors[:, 0], vectors[:, 1]), 1e-6)
    pairs = [(lengths[0], lengths[2]), (lengths[1], lengths[3])]
    ratio = min(min(pair) / max(pair) for pair in pairs)
    turned = [
        float(np.dot(-vectors[i - 1], vectors[i]) / (lengths[i - 1] * lengths[i])) for i in range(4)
    ]
    skew = max(abs(90.0 - np.degrees(np.arccos(np.clip(value, -1.0, 1.0)))) for value in turned)
    return float(ratio), float(skew)


def _film_size(quad: npt.NDArray[np.float64]) -> tuple[int, int]:
    """Return width and height in pixels: the longer of each two opposite sides, bounded."""
    vectors = np.roll(quad, -1, axis=0) - quad
    top, right, bottom, left = np.hypot(vectors[:, 0], vectors[:, 1])
    width, height = max(top, bottom), max(left, right)
    factor = min(1.0, MAX_SIDE / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def in_order(points: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the points clockwise, as they are seen, from the one nearest to the left top."""
    centre = points.mean(axis=0)
    angles = np.arctan2(points[:, 1] - centre[1], points[:, 0] - centre[0])
    turned = np.asarray(points[np.argsort(angles)], np.float64)
    return np.roll(turned, -int(np.argmin(turned.sum(axis=1))), axis=0)


def _area(points: npt.NDArray[np.float64]) -> float:
    return float(cv2.contourArea(points.astype(np.float32)))


def as_corners(points: npt.NDArray[np.float64]) -> Corners:
    """Return four points ``(4, 2)`` as plain numbers."""
    a, b, c, d = ((float(x), float(y)) for x, y in points)
    return a, b, c, d
