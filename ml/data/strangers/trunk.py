"""Chest, abdomen and spine as crude radiographs: right in layout and tone, not in detail."""

import numpy as np

from ml.data.strangers.canvas import Canvas, Gray, Point, expose, size_like


def chest(rng: np.random.Generator) -> Gray:
    """Two lungs with ribs, heart, diaphragm, clavicles and spine, from the front."""
    c = Canvas(*size_like(rng, 1.0), rng)
    cx, top = c.near(0.5, 0.04), float(rng.uniform(-0.02, 0.12))
    half, low = float(rng.uniform(0.34, 0.46)), float(rng.uniform(0.72, 0.88))
    c.ellipse((cx, 0.62), (half * 1.12, 0.75), 1.5, corner=2.8, power=0.35, soft=4)
    for side in (-1, 1):
        shoulder = (cx + side * half * 1.05, top + 0.12)
        c.ellipse(shoulder, (0.17, 0.13), 0.9, power=0.6, soft=5)
        c.ellipse((cx + side * half * 1.2, top + 0.13), (0.055, 0.06), 0.7)
        c.tube([(cx + side * half * 1.22, top + 0.15), (cx + side * half * 1.3, 0.55)], 0.032, 0.7)
        lung = c.inside(
            (cx + side * half * 0.5, (top + low) / 2 + 0.03),
            (half * c.near(0.43), (low - top) * 0.47),
            turn=side * -0.08,
            corner=2.6,
        )
        c.add(-c.near(1.05) * np.clip(lung * 2.5, 0.0, 1.0), 4)
        dome = low - (0.03 if side < 0 else 0.0)
        c.ellipse((cx + side * half * 0.5, dome + 0.2), (half * 0.55, 0.22), 0.9, power=0.3, soft=2)
        _vessels(c, (cx + side * half * 0.16, (top + low) / 2), side)
        _ribs(c, cx, side, half, top, low)
        bend = float(rng.uniform(-0.03, 0.05))
        c.tube(
            [
                (cx + side * 0.03, top + 0.12),
                (cx + side * half * 0.5, top + 0.08 + bend),
                (cx + side * half * 1.02, top + 0.05),
            ],
            0.014,
            0.55,
        )
    c.ellipse((cx, 0.4), (0.075, 0.6), 0.85, corner=3, power=0.4, soft=4)
    heart = (cx + float(rng.choice([1, 1, 1, -1])) * half * 0.16, low - 0.15)
    c.ellipse(heart, (half * c.near(0.42, 0.15), 0.19), 0.85, turn=0.5, power=0.35, soft=3)
    _column(c, (cx, -0.02), (cx, 1.02), 0.035, 0.25)
    if rng.random() < 0.35:  # leads, lines and a pacemaker
        points = [(float(rng.uniform(0.2, 0.8)), float(y)) for y in np.linspace(0.1, 0.8, 5)]
        c.tube(points, 0.004, 1.5, wall=0.0)
    c.shadow *= 1.0 + 0.03 * c.grain(0.012)
    return expose(c)


def abdomen(rng: np.random.Generator) -> Gray:
    """Spine, pelvis, psoas, bowel gas and the lowest ribs, from the front."""
    c = Canvas(*size_like(rng, 1.2), rng)
    cx = c.near(0.5, 0.03)
    c.ellipse((cx, 0.5), (c.near(0.47), 0.75), 1.6, corner=3, power=0.35, soft=4)
    _column(c, (cx, -0.05), (cx, 0.72), c.near(0.055), 0.6)
    pelvis = float(rng.uniform(0.78, 0.95))
    for side in (-1, 1):
        c.polygon(
            [
                (cx + side * 0.04, 0.1),
                (cx + side * 0.06, 0.1),
                (cx + side * 0.2, pelvis - 0.1),
                (cx + side * 0.1, pelvis - 0.1),
            ],
            0.22,
            3,
        )
        c.ellipse((cx + side * 0.23, pelvis - 0.08), (0.15, 0.13), 0.55, turn=side * 0.6, power=0.3)
        c.ellipse((cx + side * 0.23, pelvis + 0.08), (0.06, 0.06), 0.4)
        c.ellipse((cx + side * 0.14, 0.28), (0.05, 0.09), 0.16, turn=side * 0.2, soft=3)
        for k in range(int(rng.integers(2, 5))):
            y = -0.02 + 0.075 * k
            rib = [(cx + side * 0.07, y), (cx + side * 0.3, y + 0.06), (cx + side * 0.43, y + 0.17)]
            c.tube(rib, 0.016, 0.3)
    c.ellipse((cx - 0.24, 0.1), (0.2, 0.2), 0.35, soft=6)
    for _ in range(int(rng.integers(6, 30))):
        place = (cx + float(rng.normal(0, 0.2)), float(rng.uniform(0.15, 0.9)))
        size = float(rng.uniform(0.012, 0.06))
        gas = (size, size * float(rng.uniform(0.5, 1.2)))
        c.ellipse(
            place, gas, -float(rng.uniform(0.2, 0.7)), turn=float(rng.uniform(0, 3)), soft=1.5
        )
    c.shadow *= 1.0 + 0.04 * c.grain(0.02)
    return expose(c)


def spine_front(rng: np.random.Generator) -> Gray:
    """A narrow picture of a part of the spine, from the front."""
    c = Canvas(*size_like(rng, 2.1, 0.25), rng)
    c.shadow += float(rng.uniform(0.6, 1.4))
    wide = float(rng.uniform(0.12, 0.2))
    lean = float(rng.normal(0.0, 0.05))
    _column(c, (0.5 - lean, -0.05), (0.5 + lean, 1.05), wide, 0.9)
    for side in (-1, 1):
        edge = float(rng.uniform(0.35, 0.6))
        shift = side * edge
        c.ellipse((0.5 + shift, 0.5), (0.25, 0.7), float(rng.uniform(-0.7, 0.3)), soft=6)
        for k in range(int(rng.integers(0, 8))):
            y = float(rng.uniform(0, 0.1)) + 0.12 * k
            rib = [
                (0.5 + side * wide, y),
                (0.5 + side * 0.35, y - 0.02),
                (0.5 + side * 0.6, y + 0.06),
            ]
            c.tube(rib, 0.025, 0.35)
    for _ in range(int(rng.integers(0, 8))):
        place = (float(rng.uniform(0, 1)), float(rng.uniform(0.2, 1)))
        c.ellipse(place, (0.07, 0.03), -0.3, soft=2)
    c.shadow *= 1.0 + 0.04 * c.grain(0.03)
    return expose(c)


def spine_side(rng: np.random.Generator) -> Gray:
    """Neck or back from the side: a curved row of blocks with spines behind."""
    c = Canvas(*size_like(rng, 1.5, 0.25), rng)
    count = int(rng.integers(5, 10))
    bow, x0 = float(rng.normal(0.0, 0.14)), float(rng.uniform(0.4, 0.55))
    behind = float(rng.choice([-1, 1]))
    c.ellipse((0.5, 0.5), (float(rng.uniform(0.3, 0.7)), 0.8), 0.9, power=0.4, corner=3, soft=5)
    tall = 1.1 / count
    growth = float(rng.uniform(0.0, 0.06))
    for k in range(count + 1):
        t = k / count
        x = x0 + bow * np.sin(np.pi * t) + 0.05 * t
        y = -0.03 + 1.06 * t
        half = (float(rng.uniform(0.09, 0.11)) + growth * t, tall * 0.37)
        turn = float(bow * np.cos(np.pi * t) * 1.5)
        c.ellipse((x, y), half, 0.75, turn=turn, corner=6, power=0.25, soft=1)
        inner = (half[0] * 0.8, half[1] * 0.75)
        c.ellipse((x, y), inner, -0.22, turn=turn, corner=5, power=0.3, soft=1.5)
        joint = (x + behind * 0.15, y + 0.02)
        c.ellipse(joint, (0.045, tall * 0.3), 0.4, turn=behind * 0.5)
        tip = (x + behind * float(rng.uniform(0.22, 0.32)), y + 0.06)
        c.tube([joint, tip], 0.025, 0.5)
    if rng.random() < 0.5:  # jaw and skull base above a neck
        c.ellipse((x0 + behind * 0.05, -0.12), (0.4, 0.2), 0.9, power=0.3)
        c.tube([(x0 - behind * 0.1, 0.05), (x0 - behind * 0.35, 0.12)], 0.03, 0.6)
        c.ellipse((x0 - behind * 0.17, 0.5), (0.05, 0.4), -0.5, soft=3)
    else:
        c.ellipse((x0 - behind * 0.3, 0.9), (0.25, 0.25), 0.6, soft=4)
    c.shadow *= 1.0 + 0.04 * c.grain(0.02)
    return expose(c)


def _column(c: Canvas, start: Point, end: Point, half: float, weight: float) -> None:
    """Add a row of vertebrae: bodies, discs, pedicles and spinous processes."""
    ratio = c.width / c.height
    step = half * ratio * 1.75
    length = end[1] - start[1]
    for k in range(int(length / step) + 1):
        y = start[1] + k * step
        x = start[0] + (end[0] - start[0]) * k * step / length
        body = (half, step * 0.4)
        c.ellipse((x, y), body, weight, corner=5, power=0.3, soft=1)
        c.ellipse((x, y + step * 0.15), (half * 0.16, step * 0.3), weight * 0.5)
        for side in (-1, 1):
            c.ellipse(
                (x + side * half * 0.55, y - step * 0.1), (half * 0.2, step * 0.17), weight / 2
            )
            c.tube([(x + side * half, y), (x + side * half * 1.7, y)], half * 0.15, weight * 0.3)


def _ribs(c: Canvas, cx: float, side: int, half: float, top: float, low: float) -> None:
    slope = float(c.rng.uniform(0.08, 0.16))
    for k in range(10):
        y = top + (low - top) * k / 9.0 + 0.02
        reach = half * min(1.0, 0.55 + 0.12 * k)
        t = np.linspace(0.0, 1.0, 9)
        xs = cx + side * (0.04 + reach * np.sin(t * np.pi / 2))
        ys = y - 0.03 * np.sin(t * np.pi) + slope * t**2
        c.tube(list(zip(xs, ys, strict=True)), 0.012, 0.26, wall=0.5)
        front = [(cx + side * reach, y + slope), (cx + side * reach * 0.4, y + slope * 2.0)]
        c.tube(front, 0.011, 0.12)


def _vessels(c: Canvas, hilum: Point, side: int) -> None:
    for _ in range(14):
        angle = float(c.rng.uniform(-1.4, 1.4))
        length = float(c.rng.uniform(0.08, 0.2))
        tip = (hilum[0] + side * length * np.cos(angle), hilum[1] + length * np.sin(angle) * 1.2)
        middle = (
            (hilum[0] + tip[0]) / 2 + float(c.rng.normal(0, 0.012)),
            (hilum[1] + tip[1]) / 2 + float(c.rng.normal(0, 0.012)),
        )
        c.tube([hilum, middle, tip], 0.004, 0.22, wall=0.0)
