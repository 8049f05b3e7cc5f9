"""Where a film lies in a photograph: outlines by levels and edges, the best one made exact.

Made for a film on a light box, which is darker than what lights it from all sides. On a screen in a
dark room the outline is often missed; a person then drags the corners.
"""

from collections.abc import Iterable
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from ml.film import Corners, Gray, Plane, as_corners, in_order, reduced, tilt_of

_SEARCH_SIDE: Final = 640
_MIN_AREA: Final = 0.12  # of the photograph; smaller is a label or a hand
_Line = tuple[npt.NDArray[Any], npt.NDArray[Any]]


def propose_corners(photo: Gray) -> Corners | None:
    """Return where the film's corners probably are, ``None`` when no film stands out.

    Args:
        photo: ``(h, w)`` grey, upright.
    """
    small = cv2.GaussianBlur(reduced(photo, _SEARCH_SIDE), (0, 0), 1.5)
    calm: Gray = np.asarray(small, np.uint8)
    size = np.array(calm.shape[::-1], np.float64)
    found = [(_score(calm, quad), quad) for quad in _quads(calm)]
    score, best = max(found, key=lambda pair: pair[0], default=(0.0, None))
    if best is None or score <= 0.0:
        return None
    return as_corners(in_order(np.clip(_refined(calm, best) / size, 0.0, 1.0)))


def _quads(calm: Gray) -> Iterable[Plane]:
    """Yield four-cornered outlines of what differs from its surroundings."""
    otsu, _mask = cv2.threshold(calm, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    levels = {float(np.clip(otsu * share, 8, 247)) for share in (0.6, 0.8, 1.0, 1.2, 1.4)}
    masks: list[Gray] = []
    for level in sorted(levels):
        dark = np.asarray(calm < level, np.uint8) * 255
        masks += [dark, 255 - dark]
    edges = cv2.dilate(cv2.Canny(calm, 20, 60), np.ones((3, 3), np.uint8))
    masks.append(np.asarray(edges, np.uint8))
    kernel = np.ones((7, 7), np.uint8)
    for mask in masks:
        closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel)
        padded = cv2.copyMakeBorder(closed, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(0,))
        contours, _tree = cv2.findContours(padded, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        for contour in sorted(contours, key=cv2.contourArea, reverse=True)[:4]:
            quad = _four_corners(np.asarray(contour) - 1)
            if quad is not None and cv2.contourArea(quad) >= _MIN_AREA * calm.size:
                yield quad


def _four_corners(contour: npt.NDArray[Any]) -> Plane | None:
    """Return the contour's hull reduced to four corners."""
    hull = cv2.convexHull(contour)
    length = cv2.arcLength(hull, closed=True)
    for tolerance in (0.015, 0.02, 0.03, 0.045, 0.06, 0.08):
        polygon = cv2.approxPolyDP(hull, tolerance * length, closed=True)
        if len(polygon) == 4:
            return np.asarray(polygon, np.float32).reshape(4, 2)
    return None


def _score(calm: Gray, quad: Plane) -> float:
    """Return how well an outline fits a film: edges along its sides, darker than what lights it."""
    ordered = in_order(quad)
    ratio, skew = tilt_of(ordered)
    if ratio < 0.5 or skew > 35.0:
        return 0.0
    steps = np.array([_side_step(calm, *pair) for pair in _sides(ordered)])
    strength = np.sort(np.abs(steps))
    if strength[1] < 4.0:  # one side may lie outside of the photograph
        return 0.0
    # Bright all around is a film on its box; dark all around may be the box in its room.
    lit = 3.0 if (steps > 4.0).sum() >= 3 else 1.0
    area = cv2.contourArea(quad) / calm.size
    return float(lit * np.minimum(strength, 60.0).mean() * np.sqrt(area) * (1.0 - skew / 60.0))


def _side_step(calm: Gray, start: npt.NDArray[Any], end: npt.NDArray[Any]) -> float:
    """Return by how much it is brighter outside of a side than inside, the median along it."""
    inner, outer = (_beside(calm, start, end, offset) for offset in (4.0, -4.0))
    return float(np.median(outer - inner))


def _beside(calm: Gray, start: npt.NDArray[Any], end: npt.NDArray[Any], offset: float) -> Plane:
    """Return grey values along a line beside a side; positive offsets lie inside."""
    along = np.linspace(0.05, 0.95, 64)[:, None]
    direction = (end - start) / max(float(np.hypot(*(end - start))), 1e-6)
    normal = np.array([-direction[1], direction[0]])
    points = (start + along * (end - start) + offset * normal).astype(np.float32)
    values = cv2.remap(
        calm,
        points[:, None, 0],
        points[:, None, 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(values, np.float32).ravel()


def _refined(calm: Gray, quad: Plane) -> npt.NDArray[np.float64]:
    """Move each side onto the steepest step near it and cut the sides with each other."""
    offsets = np.arange(-8.0, 8.5, 0.5)
    lines = []
    ordered = in_order(quad)
    for start, end in _sides(ordered):
        profile = np.stack([_beside(calm, start, end, float(o)) for o in offsets])
        steps = np.abs(np.gradient(cv2.GaussianBlur(profile, (0, 0), 1.0), axis=0))
        at = offsets[np.argmax(steps, axis=0)]
        strong = steps.max(axis=0) > 0.5 * np.median(steps.max(axis=0))
        along = np.linspace(0.05, 0.95, 64)
        middle = np.median(at[strong])
        kept = strong & (np.abs(at - middle) <= 3.0)
        if kept.sum() < 16:
            lines.append((start, end))
            continue
        slope, shift = np.polyfit(along[kept], at[kept], 1)
        direction = (end - start) / np.hypot(*(end - start))
        normal = np.array([-direction[1], direction[0]])
        lines.append((start + shift * normal, end + (shift + slope) * normal))
    cuts = [_cut(lines[index - 1], lines[index]) for index in range(4)]
    if any(cut is None for cut in cuts):
        return np.asarray(ordered, np.float64)
    moved: npt.NDArray[np.float64] = np.asarray(cuts, np.float64)
    if np.abs(moved - ordered).max() > 16.0:
        return np.asarray(ordered, np.float64)
    return moved


def _cut(one: _Line, other: _Line) -> npt.NDArray[np.float64] | None:
    a, b = (np.cross([*p, 1.0], [*q, 1.0]) for p, q in (one, other))
    x, y, w = np.cross(a, b)
    return None if abs(w) < 1e-9 else np.array([x / w, y / w])


def _sides(ordered: npt.NDArray[np.float64]) -> list[_Line]:
    return [(ordered[index], ordered[(index + 1) % 4]) for index in range(4)]
