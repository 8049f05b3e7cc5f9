"""A sheet on which shadows are summed: ellipses, tubes and noise, and how they are exposed.

Lengths are shares of the sheet's width for x and of its height for y; the origin is top left.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]
Gray = npt.NDArray[np.uint8]
Point = tuple[float, float]


def noise(height: int, width: int, grain: float, rng: np.random.Generator) -> Plane:
    """Return smooth noise of mean 0 and deviation 1 with grains of ``grain`` pixels."""
    shrink = max(1.0, grain / 2.0)
    size = int(height / shrink) + 3, int(width / shrink) + 3
    small = cv2.GaussianBlur(rng.standard_normal(size, np.float32), (0, 0), 1.0)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray((large - large.mean()) / (large.std() + 1e-6), np.float32)


def clouds(height: int, width: int, power: float, rng: np.random.Generator) -> Plane:
    """Return noise whose amplitude falls with ``1 / frequency ** power``, deviation 1."""
    spectrum = np.fft.rfft2(rng.standard_normal((height, width)))
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    radius = np.hypot(fx, fy)
    radius[0, 0] = 1.0
    field = np.fft.irfft2(spectrum / radius**power, s=(height, width))
    return np.asarray((field - field.mean()) / (field.std() + 1e-9), np.float32)


class Canvas:
    """Sums what lies on each ray; ``shadow`` is ``float32`` of shape ``(height, width)``."""

    def __init__(self, height: int, width: int, rng: np.random.Generator) -> None:
        self.height, self.width, self.rng = height, width, rng
        self.shadow: Plane = np.zeros((height, width), np.float32)
        grid = np.mgrid[0:height, 0:width].astype(np.float32)
        self.y, self.x = grid[0] / height, grid[1] / width

    def near(self, value: float, spread: float = 0.08) -> float:
        """Return a value a little off the given one."""
        return float(value * (1.0 + self.rng.normal(0.0, spread)))

    def inside(
        self,
        centre: Point,
        radii: Point,
        *,
        turn: float = 0.0,
        corner: float = 2.0,
        window: tuple[slice, slice] = (slice(None), slice(None)),
    ) -> Plane:
        """Return 1 minus the elliptic distance, positive inside; larger corners are squarer."""
        ratio = np.float32(self.height / self.width)
        dx = self.x[window] - np.float32(centre[0])
        dy = (self.y[window] - np.float32(centre[1])) * ratio
        cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        u = (dx * cos + dy * sin) / np.float32(radii[0])
        v = (dy * cos - dx * sin) / (np.float32(radii[1]) * ratio)
        if corner == 2.0:
            return np.asarray(1.0 - (u * u + v * v), np.float32)
        return np.asarray(1.0 - (np.abs(u) ** corner + np.abs(v) ** corner), np.float32)

    def ellipse(
        self,
        centre: Point,
        radii: Point,
        weight: float,
        *,
        turn: float = 0.0,
        corner: float = 2.0,
        power: float = 0.5,
        soft: float = 0.0,
    ) -> None:
        """Add a solid body; a ``power`` near 0 gives it a hard edge, ``soft`` blurs it (pixels)."""
        reach = 1.5 * max(radii[0] * self.width, radii[1] * self.height) + 3 * soft + 2
        window = self._window([centre], reach)
        body = np.maximum(self.inside(centre, radii, turn=turn, corner=corner, window=window), 0.0)
        self.add(weight * body**power, soft, window)

    def tube(
        self, points: Sequence[Point], radius: float, weight: float, *, wall: float = 0.35
    ) -> None:
        """Add a bent tube with a denser wall; the radius is a share of the width."""
        thick = max(1.0, 2.0 * radius * self.width)
        window = self._window(points, 2.0 * thick + 3)
        if min(window[0].stop - window[0].start, window[1].stop - window[1].start) <= 0:
            return
        path = np.array([[x * self.width, y * self.height] for x, y in points])
        path -= (window[1].start, window[0].start)
        layer = self._stroke(path, thick, window) - wall * self._stroke(path, thick * 0.6, window)
        self.add(weight * layer, max(0.5, 0.12 * thick), window)

    def _window(self, points: Sequence[Point], reach: float) -> tuple[slice, slice]:
        """Return the rows and columns within so many pixels of the points."""
        xs, ys = [x * self.width for x, _ in points], [y * self.height for _, y in points]
        left, right = max(0, int(min(xs) - reach)), min(self.width, int(max(xs) + reach) + 1)
        top, bottom = max(0, int(min(ys) - reach)), min(self.height, int(max(ys) + reach) + 1)
        return slice(top, max(top, bottom)), slice(left, max(left, right))

    def _stroke(
        self, path: npt.NDArray[np.float64], thick: float, window: tuple[slice, slice]
    ) -> Plane:
        size = window[0].stop - window[0].start, window[1].stop - window[1].start
        layer = np.zeros(size, np.uint8)
        dots = np.rint(path * 8).astype(np.int32)
        cv2.polylines(
            layer,
            [dots],
            isClosed=False,
            color=(255,),
            thickness=max(1, round(thick)),
            lineType=cv2.LINE_AA,
            shift=3,
        )
        return np.asarray(layer, np.float32) / np.float32(255)

    def polygon(self, points: Sequence[Point], weight: float, soft: float = 1.0) -> None:
        """Add a flat filled shape."""
        layer = np.zeros((self.height, self.width), np.uint8)
        corners = np.array([[x * self.width, y * self.height] for x, y in points])
        cv2.fillPoly(layer, [np.rint(corners * 8).astype(np.int32)], (255,), cv2.LINE_AA, 3)
        self.add(weight * layer.astype(np.float32) / np.float32(255), soft)

    def add(
        self,
        layer: npt.NDArray[np.floating],
        soft: float = 0.0,
        window: tuple[slice, slice] = (slice(None), slice(None)),
    ) -> None:
        """Add a layer to a part of the sheet, blurred by ``soft`` pixels."""
        values = np.asarray(layer, np.float32)
        if values.size == 0:
            return
        if soft > 0.0:
            values = np.asarray(cv2.GaussianBlur(values, (0, 0), soft), np.float32)
        self.shadow[window] += values

    def grain(self, size: float) -> Plane:
        """Return noise with grains of a share of the width."""
        return noise(self.height, self.width, size * self.width, self.rng)


def expose(canvas: Canvas, *, strength: float = 1.0) -> Gray:
    """Develop the shadows as a radiograph: saturation, scatter, edge halo, grain, collimation."""
    rng, shadow = canvas.rng, canvas.shadow
    height, width = shadow.shape
    shadow = np.maximum(shadow, 0.0)
    scatter = cv2.GaussianBlur(shadow, (0, 0), 0.05 * height)
    tone = 1.0 - np.exp(-strength * rng.uniform(0.5, 1.1) * (0.85 * shadow + 0.15 * scatter))
    halo = cv2.GaussianBlur(tone, (0, 0), rng.uniform(0.01, 0.04) * height)
    tone = tone + rng.uniform(0.0, 0.7) * (tone - halo)
    tone = tone + rng.uniform(0.004, 0.02) * noise(height, width, 1.2, rng)
    low, high = np.percentile(tone, (0.5, 99.7))
    tone = np.clip((tone - low) / max(high - low, 1e-3), 0.0, 1.0) ** rng.uniform(0.7, 1.5)
    if rng.random() < 0.35:
        edge = (rng.uniform(0.0, 0.09, 4) * [height, height, width, width]).astype(int)
        tone[: edge[0]] = tone[height - edge[1] :] = 0.0
        tone[:, : edge[2]] = tone[:, width - edge[3] :] = 0.0
    if rng.random() < 0.5:
        text = str(rng.choice(["L", "R", "PA", "AP", "12:40", "ERECT", "SUPINE"]))
        place = (int(width * rng.choice([0.04, 0.82])), int(height * rng.uniform(0.06, 0.95)))
        stencil = np.zeros((height, width), np.uint8)
        scale = float(rng.uniform(0.4, 0.9))
        cv2.putText(stencil, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255,), 2, cv2.LINE_AA)
        tone = np.maximum(tone, stencil.astype(np.float32) / 255 * 0.95)
    return to_gray(tone)


def to_gray(tone: npt.NDArray[np.floating]) -> Gray:
    """Turn shares of full white into 8 bits."""
    return np.asarray(np.rint(np.clip(tone, 0.0, 1.0) * 255), np.uint8)


def size_like(rng: np.random.Generator, ratio: float, spread: float = 0.1) -> tuple[int, int]:
    """Return a height and a width whose ratio is near the given height / width."""
    area = float(rng.uniform(300, 430)) ** 2
    ratio = ratio * float(np.exp(rng.normal(0.0, spread)))
    return round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
