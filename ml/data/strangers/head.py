"""Skull and teeth as crude radiographs: right in layout and tone, not in detail."""

import numpy as np

from ml.data.strangers.canvas import Canvas, Gray, Point, expose, size_like


def skull_front(rng: np.random.Generator) -> Gray:
    """Vault, orbits, nose, teeth and jaw from the front."""
    c = Canvas(*size_like(rng, 1.25), rng)
    cx, cy = c.near(0.5, 0.04), c.near(0.42, 0.08)
    wide, tall = c.near(0.36), c.near(0.38)
    c.ellipse((cx, cy + 0.08), (wide * 1.12, tall * 1.35), 0.35, power=0.4, soft=3)
    _shell(c, (cx, cy), (wide, tall), 0.9)
    face = cy + tall * 0.55
    c.ellipse((cx, face + 0.08), (wide * 0.72, 0.25), 0.75, corner=3, power=0.4, soft=3)
    for side in (-1, 1):
        eye = (cx + side * wide * 0.42, face - 0.06)
        c.ellipse(eye, (wide * 0.3, 0.075), 0.5, corner=2.5, power=0.2, soft=1)
        c.ellipse(eye, (wide * 0.26, 0.065), -0.9, corner=2.5, power=0.3, soft=2)
        c.ellipse((cx + side * wide * 0.4, face + 0.08), (wide * 0.2, 0.07), -0.45, soft=2)
        c.tube(
            [
                (cx + side * wide * 0.85, face),
                (cx + side * wide * 0.75, face + 0.24),
                (cx + side * wide * 0.3, face + 0.36),
                (cx, face + 0.38),
            ],
            0.04,
            0.7,
        )
        c.ellipse((cx + side * wide * 0.8, face - 0.01), (0.05, 0.04), 0.9)
    c.ellipse((cx, face + 0.04), (wide * 0.16, 0.09), -0.6, corner=1.6, soft=2)
    c.tube([(cx, face - 0.03), (cx, face + 0.12)], 0.008, 0.4)
    c.ellipse((cx, face - 0.15), (wide * 0.22, 0.04), -0.4, soft=2)
    for row in (0.19, 0.26):
        _row_of_teeth(c, (cx, face + row), wide * 0.9, 12, 0.05)
    c.tube([(cx, face + 0.3), (cx, 1.1)], 0.09, 0.5)
    c.shadow *= 1.0 + 0.04 * c.grain(0.012)
    return expose(c)


def skull_side(rng: np.random.Generator) -> Gray:
    """Vault, sella, sinuses, jaw and neck from the side."""
    c = Canvas(*size_like(rng, 1.0), rng)
    front = float(rng.choice([-1, 1]))
    cx, cy = 0.5 - front * 0.06, c.near(0.4, 0.08)
    wide, tall = c.near(0.4), c.near(0.34)
    c.ellipse((cx + front * 0.1, cy + 0.15), (wide * 1.15, tall * 1.4), 0.4, power=0.4, soft=3)
    _shell(c, (cx, cy), (wide, tall), 0.8)
    base = cy + tall * 0.62
    c.tube(
        [
            (cx + front * wide * 0.9, base - 0.12),
            (cx, base),
            (cx - front * wide * 0.7, base + 0.08),
        ],
        0.05,
        0.9,
    )
    face = cx + front * wide * 0.75
    c.ellipse((face, base + 0.1), (0.16, 0.18), 0.6, corner=3, soft=3)
    c.ellipse((face, base - 0.01), (0.08, 0.06), -0.6, soft=2)
    c.ellipse((face, base + 0.1), (0.09, 0.055), -0.55, soft=2)
    c.ellipse((cx + front * wide * 0.95, base - 0.2), (0.03, 0.05), -0.5, soft=2)
    c.ellipse((cx + front * 0.03, base - 0.02), (0.03, 0.025), -0.6, soft=1)
    jaw = [
        (cx + front * 0.08, base + 0.06),
        (cx + front * 0.1, base + 0.28),
        (cx + front * wide * 1.0, base + 0.36),
    ]
    c.tube(jaw, 0.04, 0.7)
    for row in (0.2, 0.26):
        _row_of_teeth(c, (face + front * 0.02, base + row), 0.22, 7, 0.045)
    for k in range(6):
        spot = (cx - front * (0.08 - 0.01 * k), base + 0.14 + 0.085 * k)
        c.ellipse(spot, (0.05, 0.033), 0.6, corner=5, power=0.3)
        c.tube([spot, (spot[0] - front * 0.16, spot[1] + 0.03)], 0.02, 0.4)
    for _ in range(6):  # grooves of vessels and seams
        points = np.cumsum(rng.normal(0, 0.05, (5, 2)), axis=0) + np.array([cx, cy - 0.05])
        c.tube([(float(x), float(y)) for x, y in points], 0.003, -0.12, wall=0.0)
    c.shadow *= 1.0 + 0.05 * c.grain(0.012)
    return expose(c)


def teeth_film(rng: np.random.Generator) -> Gray:
    """A small film inside the mouth: a few whole teeth, or the crowns of both jaws."""
    upright = rng.random() < 0.5
    c = Canvas(*size_like(rng, 1.33 if upright else 0.75), rng)
    c.shadow += 0.15
    both = rng.random() < 0.4
    count = int(rng.integers(3, 6))
    for jaw in (-1, 1) if both else (int(rng.choice([-1, 1])),):
        crown = 0.5 + jaw * (0.13 if both else -0.12)
        ridge = crown + jaw * 0.12
        edge = 0.0 if jaw < 0 else 1.0
        c.polygon([(0, ridge), (0.5, ridge - jaw * 0.03), (1, ridge), (1, edge), (0, edge)], 0.6, 4)
        for k in range(count + 1):
            x = (k + float(rng.uniform(-0.1, 0.1))) / count
            half = 0.44 / count
            _tooth(c, (x, crown), half, jaw, roots=int(rng.integers(1, 4)))
    bone = c.grain(0.012) * 0.5 + c.grain(0.03)
    c.shadow *= 1.0 + 0.09 * bone
    return expose(c, strength=1.3)


def jaw_panorama(rng: np.random.Generator) -> Gray:
    """Both jaws unrolled: a smile of teeth, the lower jaw and its joints."""
    c = Canvas(*size_like(rng, 0.52), rng)
    c.shadow += 0.35
    dip = float(rng.uniform(0.08, 0.18))
    base = float(rng.uniform(0.4, 0.5))
    c.ellipse((0.5, 0.5), (0.09, 0.8), 0.35, soft=8)
    xs = np.linspace(0.06, 0.94, 25)
    low = [(float(x), base + 0.42 + dip * (1 - ((x - 0.5) / 0.44) ** 2) - 0.1) for x in xs]
    c.tube(low, 0.045, 0.7)
    for side in (-1, 1):
        ramus = [(0.5 + side * 0.42, base + 0.3), (0.5 + side * 0.44, base - 0.22)]
        c.tube(ramus, 0.045, 0.55)
        c.ellipse((0.5 + side * 0.44, base - 0.24), (0.03, 0.05), 0.6)
        c.ellipse((0.5 + side * 0.2, base - 0.25), (0.1, 0.12), -0.2, soft=3)
    c.polygon(
        [(0.15, base - 0.05), (0.5, base + dip * 0.8), (0.85, base - 0.05), (0.5, 0.1)], 0.35, 6
    )
    for jaw in (-1, 1):
        for k in range(16):
            x = 0.2 + 0.6 * k / 15
            y = base + 0.04 + dip * (1 - ((x - 0.5) / 0.32) ** 2) + jaw * 0.055
            if rng.random() < 0.93:
                _tooth(c, (x, y), 0.017, jaw, roots=1 if 4 < k < 11 else 2)
    c.shadow *= 1.0 + 0.05 * c.grain(0.008)
    return expose(c)


def _shell(c: Canvas, centre: Point, radii: Point, weight: float) -> None:
    """Add a vault: bright where the ray runs along the bone."""
    outer = np.maximum(c.inside(centre, radii), 0.0) ** 0.5
    thin = float(c.rng.uniform(0.88, 0.94))
    inner = np.maximum(c.inside(centre, (radii[0] * thin, radii[1] * thin)), 0.0) ** 0.5
    c.add(weight * (2.4 * (outer - thin * inner) + 0.35 * outer), 1)


def _row_of_teeth(c: Canvas, centre: Point, width: float, count: int, tall: float) -> None:
    for k in range(count):
        x = centre[0] + width * ((k + 0.5) / count - 0.5)
        c.ellipse((x, centre[1]), (width * 0.42 / count, tall * 0.6), 0.7, corner=4, power=0.3)
        if c.rng.random() < 0.12:
            c.ellipse((x, centre[1]), (width * 0.3 / count, tall * 0.2), 2.0, power=0.2)


def _tooth(c: Canvas, crown: Point, half: float, jaw: int, *, roots: int) -> None:
    """Add enamel, dentine, roots with their canals, perhaps a filling."""
    ratio = c.width / c.height
    x, y = crown
    tall = half * ratio
    c.ellipse((x, y), (half, tall * 1.05), 0.9, corner=4, power=0.25, soft=1)
    c.ellipse((x, y - jaw * tall * 0.6), (half * 0.95, tall * 0.45), 0.5, corner=3, power=0.3)
    length = tall * float(c.rng.uniform(2.4, 3.4))
    for r in range(roots):
        shift = half * 0.55 * (2 * r / (roots - 1) - 1) if roots > 1 else 0.0
        path = [(x + shift * 0.6, y + jaw * tall * 0.6), (x + shift * 1.2, y + jaw * length)]
        c.tube(path, half * 0.7 / roots**0.7, 0.55, wall=0.0)
        c.tube(path, half * 0.12, -0.35, wall=0.0)
    c.ellipse((x, y + jaw * tall * 0.2), (half * 0.3, tall * 0.35), -0.3, soft=1)
    if c.rng.random() < 0.25:
        c.ellipse((x, y - jaw * tall * 0.5), (half * 0.7, tall * 0.4), 3.0, power=0.1)
