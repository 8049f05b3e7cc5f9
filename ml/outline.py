"""The outline of what is shown and the ground it lies on, in numbers, for the reason of a refusal.

A slice is a closed body on black, a cut-out thing lies on one even ground, a photograph fills its
frame, a radiograph fades into its ground. About 2 ms on one core; only refused pictures are asked.
"""

from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from ml.preprocessing import GrayImage

_LONGEST = 128  # pixels of the view that is measured
_EVEN = 0.06  # share of the full range by which an even ground may vary
_DEPTHS = (0.06, 0.12, 0.25, 0.45, 0.7, 1.0)  # from the outline to the innermost place
_FLOOR = 1e-6
COUNT = 67

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
_Number = TypeVar("_Number", bound=np.generic)


def outline(image: GrayImage) -> npt.NDArray[np.float32]:
    """Return ``COUNT`` finite numbers that depend neither on size in pixels nor on mirroring.

    Args:
        image: ``(h, w)``, ``uint8`` or ``uint16`` of full range.
    """
    full = np.float32(255.0 if image.dtype == np.uint8 else 65535.0)
    factor = min(1.0, _LONGEST / max(image.shape))
    size = (max(8, round(image.shape[1] * factor)), max(8, round(image.shape[0] * factor)))
    view = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32) / full
    points = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST).astype(np.float32) / full
    ground, level = _ground(view)
    values = [
        *_levels(points),
        *_rim(view, ground, level),
        *_figure(view, ~ground, level),
        *_grid(view),
        *_directions(view),
        *_unrest(view),
    ]
    return np.asarray(np.nan_to_num(np.array(values, np.float64)), np.float32)


def _ground(view: Plane) -> tuple[Mask, float]:
    """Return what is connected with the rim and as bright as its commonest level, and that."""
    rim = _around(view)
    level = float(np.median(rim))
    near = (np.abs(view - level) < _EVEN).astype(np.uint8)
    _, labels = cv2.connectedComponents(near, connectivity=4)
    outer = np.unique(_around(np.asarray(labels * near, np.int64)))
    return np.isin(labels, outer[outer > 0]), level


def _around(plane: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """Return the pixels of the outermost two rows and columns."""
    return np.concatenate(
        [plane[:2].ravel(), plane[-2:].ravel(), plane[2:-2, :2].ravel(), plane[2:-2, -2:].ravel()]
    )


def _levels(points: Plane) -> list[float]:
    """Return how the grey values are used: extremes, commonest ones, how many, how evenly."""
    counts = np.bincount(np.rint(points.ravel() * 255).astype(np.int64), minlength=256)
    share = counts / points.size
    top = np.sort(share)[::-1]
    entropy = float(-(share[share > 0] * np.log2(share[share > 0])).sum())
    return [
        float(np.sqrt(share[:2].sum())),
        float(np.sqrt(share[-2:].sum())),
        float(np.sqrt(top[0])),
        float(np.sqrt(top[:4].sum())),
        float((counts > 0).mean()),
        entropy,
    ]


def _rim(view: Plane, ground: Mask, level: float) -> list[float]:
    """Return how bright and how even the rim and the ground are, and where the figure leaves."""
    rim = _around(view)
    left = [float((~side).mean()) for side in (ground[0], ground[-1], ground[:, 0], ground[:, -1])]
    unrest = float(view[ground].std()) if ground.any() else 0.0
    return [
        level,
        float((np.abs(rim - level) < _EVEN).mean()),
        float((rim < 0.08).mean()),
        float((rim > 0.92).mean()),
        float(ground.mean()),
        unrest,
        *sorted(left),
    ]


def _figure(view: Plane, figure: Mask, level: float) -> list[float]:
    """Return form, edge and inside of the largest thing that is not ground."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(figure.astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    if count < 2 or areas.max() < 30:
        return [0.0] * 23
    largest = 1 + int(areas.argmax())
    x, y, w, h, area = (int(v) for v in stats[largest])
    box = np.s_[y : y + h, x : x + w]
    mask = (labels[box] == largest).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(contours, key=cv2.contourArea)
    solid = np.zeros_like(mask)
    cv2.drawContours(solid, [contour], -1, (1,), -1)
    filled = float(solid.sum())
    hull = max(float(cv2.contourArea(cv2.convexHull(contour))), 1.0)
    around = max(float(cv2.arcLength(contour, closed=True)), 1.0)
    ys, xs = np.nonzero(solid)
    spread = np.cov(np.stack([xs, ys]).astype(np.float64)) + _FLOOR * np.eye(2)
    narrow, wide = np.sqrt(np.maximum(np.linalg.eigvalsh(spread), _FLOOR))
    depth = cv2.distanceTransform(cv2.copyMakeBorder(solid, 1, 1, 1, 1, 0), cv2.DIST_L2, 3)
    depth = depth[1:-1, 1:-1] / max(float(depth.max()), 1.0)
    part = view[box]
    rings, rough = [], []
    inner = 0.0
    for outer in _DEPTHS:
        ring = (depth > inner) & (depth <= outer)
        rings.append(float(part[ring].mean()) if ring.any() else level)
        rough.append(float(part[ring].std()) if ring.any() else 0.0)
        inner = outer
    dx, dy = cv2.Sobel(view, cv2.CV_32F, 1, 0)[box], cv2.Sobel(view, cv2.CV_32F, 0, 1)[box]
    edge = solid - cv2.erode(solid, np.ones((3, 3), np.uint8))
    step = float(np.hypot(dx, dy)[edge > 0].mean()) if edge.any() else 0.0
    centred = (part - part.mean()) * solid
    power = float((centred**2).sum()) + _FLOOR
    mirrored = float((centred * centred[:, ::-1]).sum()) / power
    return [
        float(np.log1p((areas > 0.002 * figure.size).sum())),
        area / figure.size,
        filled / (w * h),
        filled / hull,
        4.0 * np.pi * filled / around**2,
        filled / (4.0 * np.pi * float(narrow * wide)),
        float(narrow / wide),
        area / filled,
        step,
        mirrored,
        float(part[solid > 0].mean()) - level,
        *rings,
        *rough,
    ]


def _grid(view: Plane) -> list[float]:
    """Return level and unrest of sixteen fields, averaged with the mirror image."""
    low, high = np.percentile(view, (0.5, 99.5))
    normal = np.clip((view - low) / max(float(high - low), 0.02), 0.0, 1.0)
    square = cv2.resize(normal, (64, 64), interpolation=cv2.INTER_AREA)
    fields = square.reshape(4, 16, 4, 16).transpose(0, 2, 1, 3).reshape(4, 4, -1)
    means, unrest = fields.mean(axis=2), fields.std(axis=2)
    both = [(plane + plane[:, ::-1])[:, :2].ravel() / 2 for plane in (means, unrest)]
    return [float(value) for value in np.concatenate(both)]


def _directions(view: Plane) -> list[float]:
    """Return how the edges are directed: along the axes, in one direction, in all."""
    soft = cv2.GaussianBlur(view, (0, 0), 1.0)
    dx, dy = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    strength = np.hypot(dx, dy)
    angle = np.mod(np.arctan2(dy, dx), np.pi)
    bins = np.minimum((angle * 16 / np.pi + 0.5).astype(np.int64) % 16, 15)
    share = np.bincount(bins.ravel(), strength.ravel(), 16) / (float(strength.sum()) + _FLOOR)
    entropy = float(-(share * np.log(share + _FLOOR)).sum())
    mirrored = share[(16 - np.arange(16)) % 16]
    return [
        float(share[0] + share[8]),
        float(share.max()),
        entropy,
        float(np.abs(share - mirrored).sum()),
        float(share[0] - share[8]),
    ]


def _unrest(view: Plane) -> list[float]:
    """Return the fine grain of dark, middle and bright places, and how much of it is edges."""
    fine = np.abs(view - cv2.GaussianBlur(view, (0, 0), 1.0))
    dark, bright = np.percentile(view, (30.0, 75.0))
    places = (view <= dark, (view > dark) & (view < bright), view >= bright)
    strong = np.percentile(fine, (50.0, 90.0, 99.0))
    return [
        *(float(np.log(fine[p].mean() + 1e-4)) if p.any() else -9.0 for p in places),
        float(np.log(strong[0] + 1e-4)),
        float(np.log((strong[1] + 1e-4) / (strong[0] + 1e-4))),
        float(np.log((strong[2] + 1e-4) / (strong[1] + 1e-4))),
        float((fine < 1e-3).mean()),
    ]
