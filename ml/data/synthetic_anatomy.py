"""Bones of a limb as geometry: where they lie, how thick they are, how dense their walls are.

Lengths are shares of the picture's height; the origin is its centre, x to the right, y down.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np


@dataclass(frozen=True, slots=True)
class Bone:
    """A tube with a dense wall that flares into joint ends.

    Attributes:
        start, end: centres of the two joint surfaces.
        shaft, head, base: radius in the middle, at ``start`` and at ``end``.
        wall: thickness of the cortex in the middle as a share of the radius.
        bow: sideways bend in the middle, may be negative.
        breakable: a simulated fracture may be put into it.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    shaft: float
    head: float
    base: float
    wall: float = 0.42
    bow: float = 0.0
    breakable: bool = True


@dataclass(frozen=True, slots=True)
class Nodule:
    """A short bone: an ellipsoid with a thin wall (carpal, talus, epiphysis)."""

    center: tuple[float, float]
    radii: tuple[float, float]
    angle: float = 0.0


@dataclass(frozen=True, slots=True)
class Flesh:
    """Soft tissue around an axis, with radii at its two ends."""

    start: tuple[float, float]
    end: tuple[float, float]
    start_radius: float
    end_radius: float


@dataclass(frozen=True, slots=True)
class Limb:
    """Everything that casts a shadow in one picture."""

    bones: tuple[Bone, ...]
    nodules: tuple[Nodule, ...]
    flesh: tuple[Flesh, ...]


def forearm(rng: np.random.Generator) -> Limb:
    """Radius and ulna with the elbow above and the wrist below."""
    gap = rng.uniform(0.052, 0.066)
    top, low = -0.33, 0.27
    radius = Bone((gap * 0.8, top + 0.03), (gap * 0.9, low), 0.0225, 0.030, 0.050, bow=0.014)
    ulna = Bone((-gap * 0.75, top - 0.03), (-gap * 0.95, low - 0.01), 0.0215, 0.046, 0.023)
    humerus = Bone((0.0, -0.75), (-0.005, top - 0.045), 0.036, 0.045, 0.085, breakable=False)
    meta = tuple(
        Bone(
            (x, low + 0.115 + 0.01 * abs(k - 1.5)),
            (x * 1.5 - 0.01, low + 0.36),
            0.0125,
            0.022,
            0.02,
            breakable=False,
        )
        for k, x in enumerate((0.058, 0.022, -0.014, -0.05))
    )
    thumb = Bone((0.085, low + 0.10), (0.15, low + 0.27), 0.014, 0.022, 0.02, breakable=False)
    return Limb(
        (humerus, radius, ulna, *meta, thumb),
        _carpals(0.004, low + 0.068, 0.92),
        (
            Flesh((0.0, -0.75), (0.0, top), 0.13, 0.128),
            Flesh((0.0, top), (0.0, -0.12), 0.128, 0.126),
            Flesh((0.0, -0.12), (0.0, low), 0.126, 0.104),
            Flesh((0.0, low), (0.005, 0.62), 0.102, 0.125),
            Flesh((0.07, low + 0.1), (0.15, low + 0.28), 0.035, 0.034),
        ),
    )


def leg(rng: np.random.Generator) -> Limb:
    """Tibia and fibula with the knee above and the ankle below."""
    top, low = -0.34, 0.33
    side = rng.uniform(0.058, 0.07)
    tibia = Bone((-0.01, top), (-0.012, low), 0.0345, 0.086, 0.052, wall=0.45, bow=-0.006)
    fibula = Bone((side + 0.005, top + 0.05), (side - 0.022, low + 0.035), 0.0135, 0.022, 0.022)
    femur = Bone((0.0, -0.8), (-0.008, top - 0.025), 0.045, 0.05, 0.098, breakable=False)
    return Limb(
        (femur, tibia, fibula),
        (
            Nodule((-0.02, low + 0.042), (0.058, 0.03)),
            Nodule((-0.018, low + 0.115), (0.05, 0.05)),
            Nodule((-0.012, top - 0.075), (0.044, 0.048)),
        ),
        (
            Flesh((0.0, -0.8), (0.0, top), 0.175, 0.15),
            Flesh((0.0, top), (0.008, -0.14), 0.148, 0.156),
            Flesh((0.008, -0.14), (0.004, low - 0.04), 0.156, 0.092),
            Flesh((0.004, low - 0.04), (0.0, 0.65), 0.092, 0.105),
        ),
    )


def hand(rng: np.random.Generator) -> Limb:
    """Wrist, metacarpals and fingers, fingers up."""
    bones: list[Bone] = []
    flesh: list[Flesh] = [
        Flesh((0.0, 0.75), (0.0, 0.30), 0.115, 0.108),
        Flesh((0.0, 0.30), (0.0, 0.0), 0.112, 0.165),
        Flesh((0.0, 0.12), (0.0, -0.02), 0.16, 0.155),
    ]
    spread = rng.uniform(0.85, 1.15)
    fingers = ((-14.0, 0.95, -0.072), (-4.5, 1.06, -0.026), (4.5, 1.0, 0.02), (14.0, 0.8, 0.064))
    for angle, size, x in fingers:
        turn = np.deg2rad(angle * spread)
        along = np.array([np.sin(turn), -np.cos(turn)])
        at = np.array([x, 0.175])
        thick = 0.0135 * (0.8 + 0.2 * size)
        for length, slim in ((0.20, 1.0), (0.128, 0.86), (0.078, 0.74), (0.05, 0.6)):
            stop = at + along * length * size
            head, base = thick * slim * 1.6, thick * slim * 1.55
            bones.append(Bone(_xy(at), _xy(stop), thick * slim * 0.86, head, base))
            at = stop + along * 0.007
        flesh.append(Flesh(_xy(np.array([x * 1.5, 0.02])), _xy(at), 0.041 * size, 0.026))
    turn = np.deg2rad(-46.0)
    along = np.array([np.sin(turn), -np.cos(turn)])
    at = np.array([-0.082, 0.195])
    for length, slim in ((0.128, 1.1), (0.09, 1.0), (0.06, 0.75)):
        stop = at + along * length
        bones.append(Bone(_xy(at), _xy(stop), 0.0135 * slim, 0.023 * slim, 0.021 * slim))
        at = stop + along * 0.007
    flesh.append(Flesh((-0.06, 0.18), _xy(at), 0.062, 0.03))
    radius = Bone((-0.04, 0.9), (-0.036, 0.325), 0.028, 0.03, 0.058, breakable=False)
    ulna = Bone((0.052, 0.9), (0.056, 0.315), 0.0215, 0.024, 0.028, breakable=False)
    return Limb((*bones, radius, ulna), _carpals(0.0, 0.243, -1.0), tuple(flesh))


def _carpals(x: float, y: float, scale: float) -> tuple[Nodule, ...]:
    """Two rows of four short bones; a negative scale puts the far row above."""
    size = abs(scale)
    step = 0.021 if scale > 0 else -0.021
    near = (
        (0.052, 0.026, 0.021),
        (0.012, 0.022, 0.021),
        (-0.028, 0.02, 0.018),
        (-0.052, 0.015, 0.013),
    )
    far = (
        (0.058, 0.02, 0.018),
        (0.026, 0.018, 0.017),
        (-0.008, 0.021, 0.026),
        (-0.046, 0.022, 0.02),
    )
    mirror = 1.0 if scale > 0 else -1.0
    rows = [((dx * mirror, -step), (a, b)) for dx, a, b in near]
    rows += [((dx * mirror, step), (a, b)) for dx, a, b in far]
    return tuple(
        Nodule((x + dx * size, y + dy * size), (a * size, b * size), angle=7.0 * (i % 3 - 1))
        for i, ((dx, dy), (a, b)) in enumerate(rows)
    )


def _xy(point: np.ndarray) -> tuple[float, float]:
    return float(point[0]), float(point[1])


REGIONS: Final[Mapping[str, Callable[[np.random.Generator], Limb]]] = {
    "forearm": forearm,
    "hand": hand,
    "leg": leg,
}
