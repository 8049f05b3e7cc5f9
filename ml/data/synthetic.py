"""Synthetic limb radiographs: demo and plumbing tests only, never a measure of accuracy.

Rays are followed through tubes of cortex and marrow inside soft tissue, so that walls, joints and
a broken shaft look roughly as they do on film. The word SYNTHETIC is burned into every picture.
"""

import argparse
import hashlib
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from ml.contracts import Box
from ml.data.synthetic_anatomy import REGIONS, Bone, Flesh, Limb, Nodule
from ml.data.synthetic_files import to_dicom, to_jpeg, to_png

__all__ = ["SyntheticRadiograph", "main", "synthetic_radiograph", "to_dicom", "to_jpeg", "to_png"]

Plane = npt.NDArray[np.float32]

# Absorption for a path of one reference thickness; GAP_SHARE is the fracture gap in shaft radii.
CORTEX, MARROW, FLESH, GAP_SHARE = 5.2, 0.8, 1.35, 0.2
THICKNESS_POWER: Final = 0.62  # film and processing compress thick parts
DEFAULT_SIZE: Final = (373, 454)


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticRadiograph:
    """A drawn picture and the truth about it.

    Attributes:
        pixels: shape ``(height, width)``, ``uint8`` or ``uint16`` (12 bits used), bone bright.
        box: where the simulated fracture is, ``None`` when there is none.
    """

    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    box: Box | None
    region: str
    laterality: str
    seed: int


@dataclass(frozen=True, slots=True)
class Break:
    """A simulated fracture across one bone, in the bone's own coordinates.

    Attributes:
        at: place along the bone, pixels from its start.
        slope: obliquity, pixels along per pixel across.
        shift, pull, turn: sideways and lengthwise offset in pixels and angulation in radians of
            the far fragment.
    """

    at: float
    slope: float
    shift: float
    pull: float
    turn: float
    teeth: Plane

    def line(self, d: Plane, shaft: float) -> Plane:
        """Return where the jagged fracture line is, at distance ``d`` from the axis."""
        places = np.linspace(-2.0 * shaft, 2.0 * shaft, len(self.teeth))
        jagged = np.interp(d, places, self.teeth)
        return np.asarray(self.at + self.slope * d + jagged, dtype=np.float32)


def synthetic_radiograph(
    seed: int,
    *,
    region: str = "forearm",
    fractured: bool = False,
    size: tuple[int, int] = DEFAULT_SIZE,
    bits: int = 8,
) -> SyntheticRadiograph:
    """Draw one radiograph; the same arguments give the same pixels.

    Args:
        seed: chooses the person, the position and the exposure.
        region: ``forearm``, ``hand`` or ``leg``.
        fractured: break one shaft, with displacement.
        size: width and height in pixels, at least 96 each.
        bits: 8, or 12 for ``uint16`` pixels as a detector gives them.

    Raises:
        ValueError: an unknown region, a size too small to draw or another number of bits.
    """
    if region not in REGIONS or min(size) < 96 or bits not in {8, 12}:
        raise ValueError(f"cannot draw region={region!r} size={size} bits={bits}")
    digest = hashlib.sha256(f"{region}:{seed}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8]))
    limb = REGIONS[region](rng)
    scene = _Scene(size, rng)
    broken = int(rng.choice([i for i, bone in enumerate(limb.bones) if bone.breakable]))
    laterality = "R" if scene.mirrored else "L"
    shadow, box = scene.shadow(limb, broken if fractured else None)
    picture = _exposed(shadow, rng)
    picture = _collimated(picture, rng)
    _burn_in(picture, laterality, rng)
    top = 255 if bits == 8 else 4095
    shares = np.rint(np.clip(picture, 0.0, 1.0) * top)
    pixels = shares.astype(np.uint8) if bits == 8 else shares.astype(np.uint16)
    return SyntheticRadiograph(pixels, box, region, laterality, seed)


class _Scene:
    """Places a limb on the picture and sums what its parts absorb."""

    def __init__(self, size: tuple[int, int], rng: np.random.Generator) -> None:
        self.width, self.height = size
        self.rng = rng
        # Of its own, so that the intact and the broken limb of a seed differ in nothing else.
        self.break_rng = rng.spawn(1)[0]
        self.mirrored = bool(rng.random() < 0.5)
        # Tall pictures show the whole limb; wide ones must not cut its sides.
        self.scale = min(self.height, self.width * 1.25) * float(rng.uniform(0.93, 1.05))
        turn = float(np.deg2rad(rng.uniform(-7.0, 7.0)))
        self.cos, self.sin = math.cos(turn), math.sin(turn)
        self.cx = self.width * float(rng.uniform(0.46, 0.54))
        self.cy = self.height * float(rng.uniform(0.48, 0.52))
        grid = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        self.y, self.x = grid[0], grid[1]
        self.texture = _trabeculae(self.height, self.width, self.scale, rng)

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        x = -point[0] if self.mirrored else point[0]
        px = self.cos * x - self.sin * point[1]
        py = self.sin * x + self.cos * point[1]
        return self.cx + px * self.scale, self.cy + py * self.scale

    def along(
        self, start: tuple[float, float], end: tuple[float, float]
    ) -> tuple[Plane, Plane, float]:
        """Return, for every pixel, the place along and across an axis, and the axis' length."""
        (x0, y0), (x1, y1) = self.place(start), self.place(end)
        length = math.hypot(x1 - x0, y1 - y0)
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        dx, dy = self.x - x0, self.y - y0
        return dx * ux + dy * uy, dy * ux - dx * uy, length

    def shadow(self, limb: Limb, broken: int | None) -> tuple[Plane, Box | None]:
        soft = np.zeros((self.height, self.width), dtype=np.float32)
        for part in limb.flesh:
            soft = np.maximum(soft, self._flesh(part))
        soft = _blurred(soft, self.scale * 0.008)
        hard = np.zeros_like(soft)
        box = None
        for i, bone in enumerate(limb.bones):
            if i == broken:
                layer, box = self._broken_bone(bone)
                hard += layer
            else:
                s, d, length = self.along(bone.start, bone.end)
                hard += self._tube(bone, s, d, length)
        for nodule in limb.nodules:
            hard += self._nodule(nodule)
        muscle = 1.0 + 0.05 * _smooth_noise(soft.shape, self.scale * 0.02, self.rng)
        return (FLESH * soft * muscle + hard).astype(np.float32), box

    def _flesh(self, part: Flesh) -> Plane:
        s, d, length = self.along(part.start, part.end)
        t = np.clip(s / length, 0.0, 1.0)
        radius = (part.start_radius + (part.end_radius - part.start_radius) * t) * self.scale
        over = np.maximum(np.maximum(-s, s - length), 0.0)
        inside = 1.0 - (d * d + over * over) / (radius * radius)
        path = np.sqrt(np.maximum(inside, 0.0)) * radius / (0.13 * self.scale)
        return np.asarray(path**THICKNESS_POWER, dtype=np.float32)

    def _tube(self, bone: Bone, s: Plane, d: Plane, length: float) -> Plane:
        """Sum what the walls and the marrow of one tube absorb along each ray."""
        t = np.clip(s / length, 0.0, 1.0)
        d = d - np.float32(bone.bow * self.scale * (-1 if self.mirrored else 1)) * 4 * t * (1 - t)
        reach = max(0.11 * length, 1.7 * max(bone.head, bone.base) * self.scale)
        near = np.exp(-((s / reach) ** 2) * 2.2)
        far = np.exp(-(((s - length) / reach) ** 2) * 2.2)
        radius = bone.shaft + (bone.head - bone.shaft) * near + (bone.base - bone.shaft) * far
        radius = radius * self.scale
        over = np.maximum(np.maximum(-s, s - length), 0.0)
        ends = np.maximum(0.0, 1.0 - (over / (0.45 * radius)) ** 2)  # rounded joint surfaces
        flare = np.clip(near + far, 0.0, 1.0)
        wall = bone.wall * (1.0 - flare) ** 1.3 + 0.05
        outer = np.sqrt(np.maximum(radius**2 * ends - d * d, 0.0))
        inner = np.sqrt(np.maximum((radius * (1.0 - wall)) ** 2 * ends - d * d, 0.0))
        # Ends hold spongy bone, the middle holds marrow.
        spongy = MARROW * (0.6 + 1.0 * flare) * (1.0 + (0.05 + 0.10 * flare) * self.texture)
        return _absorbed(outer - inner, spongy * inner, 0.035 * self.scale)

    def _nodule(self, nodule: Nodule) -> Plane:
        x, y = self.place(nodule.center)
        turn = math.radians(nodule.angle) + math.atan2(self.sin, self.cos)
        dx, dy = self.x - x, self.y - y
        u = (dx * math.cos(turn) + dy * math.sin(turn)) / (nodule.radii[0] * self.scale)
        v = (dy * math.cos(turn) - dx * math.sin(turn)) / (nodule.radii[1] * self.scale)
        q = np.abs(u) ** 2.4 + np.abs(v) ** 2.4
        depth = min(nodule.radii) * self.scale
        outer = np.sqrt(np.maximum(1.0 - q, 0.0)) * depth
        inner = np.sqrt(np.maximum(0.84 - q, 0.0)) * depth
        spongy = MARROW * 1.7 * (1.0 + 0.12 * self.texture)
        return _absorbed(outer - inner, spongy * inner, 0.035 * self.scale)

    def _broken_bone(self, bone: Bone) -> tuple[Plane, Box]:
        s, d, length = self.along(bone.start, bone.end)
        shaft = bone.shaft * self.scale
        plan = self._break(length, shaft)
        line = plan.line(d, shaft)
        gap = GAP_SHARE * shaft * 0.5
        near = self._tube(bone, s, d, length) * _step(line - gap - s)
        # The far fragment: pixels are carried back to where they were before it moved.
        ds, dd = s - plan.at - plan.pull, d - plan.shift
        cos, sin = math.cos(plan.turn), math.sin(plan.turn)
        s2, d2 = plan.at + ds * cos + dd * sin, dd * cos - ds * sin
        line2 = plan.line(d2, shaft)
        far = self._tube(bone, s2, d2, length) * _step(s2 - line2 - gap)
        rim = 0.55 * shaft
        place = (np.abs(s - line) < rim) & (near > 0.05) | (np.abs(s2 - line2) < rim) & (far > 0.05)
        return near + far, self._box(place, margin=0.35 * shaft)

    def _break(self, length: float, shaft: float) -> Break:
        rng = self.break_rng
        return Break(
            at=length * float(rng.uniform(0.38, 0.62)),
            slope=float(rng.uniform(-0.8, 0.8)),
            shift=shaft * float(rng.uniform(0.25, 0.9)) * float(rng.choice([-1.0, 1.0])),
            pull=shaft * float(rng.uniform(-0.15, 0.35)),
            turn=float(np.deg2rad(rng.uniform(-7.0, 7.0))),
            teeth=rng.normal(0.0, 0.16 * shaft, 24).astype(np.float32),
        )

    def _box(self, place: npt.NDArray[np.bool_], margin: float) -> Box:
        ys, xs = np.nonzero(place)
        if len(xs) == 0:
            raise ValueError("the fracture lies outside the picture")
        x0, y0 = max(0.0, xs.min() - margin), max(0.0, ys.min() - margin)
        x1 = min(float(self.width), xs.max() + 1 + margin)
        y1 = min(float(self.height), ys.max() + 1 + margin)
        return Box(float(x0), float(y0), float(x1 - x0), float(y1 - y0))


def _blurred(plane: Plane, sigma: float, sigma_y: float = 0.0) -> Plane:
    blurred = cv2.GaussianBlur(plane, (0, 0), sigmaX=sigma, sigmaY=sigma_y)
    return np.asarray(blurred, dtype=np.float32)


def _absorbed(wall: Plane, spongy: Plane, reference: float) -> Plane:
    """Return what a path through bone absorbs, compressed as thick parts are on film."""
    path = (CORTEX * wall + spongy) / reference
    return np.asarray(np.maximum(path, 0.0) ** THICKNESS_POWER, dtype=np.float32)


def _step(distance: Plane) -> Plane:
    """Return 1 inside, 0 outside, with an edge about a pixel wide."""
    return np.asarray(np.clip(distance + 0.5, 0.0, 1.0), dtype=np.float32)


def _smooth_noise(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> Plane:
    """Return noise of mean 0 and deviation 1 with grains of ``sigma`` pixels."""
    shrink = max(1.0, sigma / 2.0)
    small = (math.ceil(shape[0] / shrink) + 2, math.ceil(shape[1] / shrink) + 2)
    field = rng.standard_normal(small, dtype=np.float32)
    field = _blurred(field, max(0.3, sigma / shrink))
    large = cv2.resize(field, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray((large - large.mean()) / (large.std() + 1e-6), dtype=np.float32)


def _trabeculae(height: int, width: int, scale: float, rng: np.random.Generator) -> Plane:
    """Return the texture of spongy bone: fine strands, mostly along the limb."""
    fine = rng.standard_normal((height, width), dtype=np.float32)
    grain = scale / 454.0
    strands = _blurred(fine, 0.7 * grain, 2.6 * grain)
    strands = strands - _blurred(strands, 3.5 * grain)
    cloud = _smooth_noise((height, width), 5.0 * grain, rng)
    return np.asarray(strands / (strands.std() + 1e-6) * 0.8 + cloud * 0.5, dtype=np.float32)


def _exposed(shadow: Plane, rng: np.random.Generator) -> Plane:
    """Turn absorption into a developed picture: scatter, blur, grain, tone, edge halo."""
    height, width = shadow.shape
    sharp = _blurred(shadow, 0.55 * height / 454.0)
    scatter = _blurred(shadow, height * 0.05)
    x = 0.88 * sharp + 0.12 * scatter
    tone = np.asarray(1.0 - np.exp(-float(rng.uniform(0.3, 0.4)) * x), dtype=np.float32)
    halo = _blurred(tone, height * 0.018)
    tone = tone + 0.35 * (tone - halo)
    ramp = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :] * float(
        rng.uniform(-0.02, 0.02)
    )
    base = float(rng.uniform(0.035, 0.07))
    grain = _blurred(rng.standard_normal((height, width), dtype=np.float32), 0.6)
    noise = grain * (0.028 - 0.012 * np.clip(tone, 0.0, 1.0))
    return np.asarray(base + 0.93 * tone + ramp + noise, dtype=np.float32)


def _collimated(picture: Plane, rng: np.random.Generator) -> Plane:
    """Darken what lies outside the light field, whose edges are slightly turned and soft."""
    height, width = picture.shape
    left, right = (width * float(v) for v in rng.uniform(0.0, 0.045, 2))
    top, low = (height * float(v) for v in rng.uniform(0.0, 0.035, 2))
    corners = np.array([[left, top], [width - right, top], [width - right, height - low],
                        [left, height - low]])  # fmt: skip
    corners += rng.uniform(-0.006, 0.006, (4, 2)) * height
    mask = np.zeros_like(picture)
    cv2.fillPoly(mask, [np.rint(corners * 16).astype(np.int32)], 1.0, shift=4)
    mask = _blurred(mask, max(0.8, height * 0.0022))
    return np.asarray(picture * mask + 0.012 * (1.0 - mask), dtype=np.float32)


def _burn_in(picture: Plane, laterality: str, rng: np.random.Generator) -> None:
    """Write the lead side marker and, discreetly, what this picture is."""
    height, width = picture.shape
    unit = min(height, width) / 373.0
    font = cv2.FONT_HERSHEY_SIMPLEX
    x = int(width * (0.085 if rng.random() < 0.5 else 0.87))
    y = int(height * float(rng.uniform(0.12, 0.2)))
    layer = np.zeros((height, width), dtype=np.uint8)  # OpenCV writes text on 8 bits only
    thick = max(1, round(2.4 * unit))
    cv2.putText(layer, laterality, (x, y), font, 0.85 * unit, 237, thick, cv2.LINE_AA)
    at = (int(width * 0.06), int(height * 0.955))
    cv2.putText(layer, "SYNTHETIC", at, font, 0.4 * unit, 115, max(1, round(unit)), cv2.LINE_AA)
    np.maximum(picture, layer.astype(np.float32) / 255.0, out=picture)


def main(argv: list[str] | None = None) -> int:
    """Write a folder of synthetic radiographs."""
    parser = argparse.ArgumentParser(prog="python -m ml.data.synthetic", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    regions = tuple(REGIONS)
    for i in range(options.count):
        region, broken = regions[i % len(regions)], (i // len(regions)) % 2 == 1
        drawn = synthetic_radiograph(options.seed + i, region=region, fractured=broken)
        name = f"synthetic-{region}-{'fractured' if broken else 'intact'}-{drawn.seed:04d}"
        encoders = ((".png", to_png), (".jpg", to_jpeg), (".dcm", to_dicom))
        suffix, encode = encoders[(i // 2) % len(encoders)]
        (options.out / (name + suffix)).write_bytes(encode(drawn.pixels))
    sys.stdout.write(f"{options.count} synthetic radiographs in {options.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
