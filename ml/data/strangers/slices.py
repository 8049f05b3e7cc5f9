"""Slices of CT, MR and ultrasound, as a file without a modality would bring them."""

import cv2
import numpy as np

from ml.data.strangers.canvas import Canvas, Gray, clouds, size_like, to_gray


def ct_body(rng: np.random.Generator) -> Gray:
    """A slice through the trunk: fat, muscle, organs, spine and ribs on black."""
    c = Canvas(*size_like(rng, float(rng.choice([1.0, 1.0, 0.8])), 0.05), rng)
    cx, cy = c.near(0.5, 0.03), c.near(0.5, 0.03)
    wide, tall = float(rng.uniform(0.33, 0.48)), float(rng.uniform(0.24, 0.36))
    body = c.inside((cx, cy), (wide, tall), corner=2.4)
    tone = 0.25 * (body > 0).astype(np.float32)
    inner = c.inside((cx, cy), (wide * 0.9, tall * 0.86), corner=2.4)
    tone[inner > 0] = 0.5
    lungs = rng.random() < 0.4
    for _ in range(int(rng.integers(4, 12))):
        place = (cx + wide * float(rng.normal(0, 0.45)), cy + tall * float(rng.normal(0, 0.4)))
        size = (wide * float(rng.uniform(0.08, 0.35)), tall * float(rng.uniform(0.08, 0.35)))
        organ = c.inside(place, size, turn=float(rng.uniform(0, 3)), corner=2.2)
        tone[(organ > 0) & (inner > 0.1)] = float(rng.choice([0.0, 0.3, 0.45, 0.55, 0.65, 0.8]))
    for side in (-1, 1):
        lung = c.inside((cx + side * wide * 0.5, cy - 0.02), (wide * 0.36, tall * 0.68))
        if lungs:
            tone[lung > 0] = 0.03
            tone[(lung > 0) & (clouds(c.height, c.width, 1.0, rng) > 2.0)] = 0.5
    spine = (cx, cy + tall * 0.55)
    tone[c.inside(spine, (wide * 0.13, tall * 0.17)) > 0] = 0.85
    tone[c.inside((cx, spine[1] + tall * 0.2), (wide * 0.05, tall * 0.06)) > 0] = 0.5
    angles = np.linspace(0, 2 * np.pi, int(rng.integers(8, 18)), endpoint=False)
    for angle in angles + rng.uniform(0, 1):
        spot = (cx + wide * 0.82 * np.cos(angle), cy + tall * 0.8 * np.sin(angle))
        tone[c.inside(spot, (0.022, 0.014), turn=float(angle + 1.5)) > 0] = 0.95
    if rng.random() < 0.6:  # the table
        arc = c.inside((cx, cy - 0.5), (0.75, 0.52 + tall))
        tone[(np.abs(arc) < 0.012) & (c.y > cy)] = 0.35
    return _finish(tone, rng, blur=0.8, grain=float(rng.uniform(0.01, 0.05)))


def ct_head(rng: np.random.Generator) -> Gray:
    """A slice through the head: a bright ring around grey brain with dark ventricles."""
    c = Canvas(*size_like(rng, 1.0, 0.05), rng)
    cx, cy = c.near(0.5, 0.03), c.near(0.5, 0.03)
    wide, tall = float(rng.uniform(0.28, 0.38)), float(rng.uniform(0.36, 0.45))
    tone = 0.2 * (c.inside((cx, cy), (wide, tall)) > 0).astype(np.float32)
    tone[c.inside((cx, cy), (wide * 0.95, tall * 0.96)) > 0] = 1.0
    brain = c.inside((cx, cy), (wide * 0.87, tall * 0.9)) > 0
    tone[brain] = (0.45 + 0.05 * clouds(c.height, c.width, 1.3, rng))[brain]
    for side in (-1, 1):
        ventricle = ((cx + side * wide * 0.2), cy - tall * float(rng.uniform(-0.1, 0.2)))
        tone[c.inside(ventricle, (wide * 0.1, tall * 0.27), turn=side * 0.3) > 0] = 0.2
    tone[np.abs(c.x - cx) < 0.004] += 0.12 * brain[np.abs(c.x - cx) < 0.004]
    if rng.random() < 0.5:
        place = (
            cx + wide * float(rng.uniform(-0.5, 0.5)),
            cy + tall * float(rng.uniform(-0.5, 0.5)),
        )
        tone[c.inside(place, (0.05, 0.07)) > 0] = float(rng.choice([0.25, 0.8]))
    return _finish(tone, rng, blur=0.9, grain=float(rng.uniform(0.01, 0.04)))


def mr_head(rng: np.random.Generator) -> Gray:
    """A slice through the head: brain within a dark rim and a bright scalp."""
    c = Canvas(*size_like(rng, float(rng.uniform(0.75, 1.3)), 0.05), rng)
    cx, cy = c.near(0.5, 0.05), c.near(0.48, 0.05)
    wide, tall = float(rng.uniform(0.3, 0.48)), float(rng.uniform(0.32, 0.48))
    wobble = clouds(c.height, c.width, 2.0, rng)
    tone = np.zeros_like(wobble)
    scalp = c.inside((cx, cy), (wide, tall)) + 0.02 * wobble
    if rng.random() < 0.6:
        look = float(rng.choice([-1, 1]))
        face = c.inside((cx + look * wide * 0.8, cy + tall * 0.9), (wide * 0.5, tall * 0.6))
        neck = c.inside((cx - look * wide * 0.1, cy + tall * 1.3), (wide * 0.6, tall * 0.8))
        extra = (face > 0) | (neck > 0)
        bits = np.sin(4.0 * wobble + 6.0 * c.y) * 0.3 + 0.45
        tone[extra] = bits[extra]
    tone[scalp > 0] = float(rng.uniform(0.5, 0.95))
    tone[c.inside((cx, cy), (wide * 0.94, tall * 0.95)) + 0.02 * wobble > 0] = 0.07
    brain, mask = _brain(c, (cx, cy), (wide * 0.85, tall * 0.87), wobble)
    return _mr_finish(np.where(mask, brain, tone), rng)


def mr_brain(rng: np.random.Generator) -> Gray:
    """A slice through a brain without its skull, from any side."""
    c = Canvas(*size_like(rng, float(rng.uniform(0.6, 1.3)), 0.05), rng)
    size = float(rng.uniform(0.22, 0.46))
    radii = (size, size * float(rng.uniform(0.65, 1.25)) * c.width / c.height)
    wobble = clouds(c.height, c.width, 2.0, rng)
    brain, mask = _brain(c, (c.near(0.5, 0.06), c.near(0.48, 0.06)), radii, wobble)
    return _mr_finish(np.where(mask, brain, 0.0), rng)


def _brain(
    c: Canvas, centre: tuple[float, float], radii: tuple[float, float], wobble: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return grey values and the mask of a brain: folded rim, white core, ventricles, stem."""
    rng, (cx, cy), (wide, tall) = c.rng, centre, radii
    white = float(rng.uniform(0.7, 0.95))
    grey, fluid = white - float(rng.uniform(0.08, 0.35)), float(rng.uniform(0.05, 0.4))
    if rng.random() < 0.25:  # fluid is bright, as in T2
        grey, white, fluid = 0.55, 0.35, 0.95
    depth = c.inside(centre, radii, corner=float(rng.uniform(2.0, 2.8)))
    if rng.random() < 0.4:  # from the side: a temporal lobe below
        lobe = (cx + wide * float(rng.choice([-0.3, 0.3])), cy + tall * 0.55)
        depth = np.maximum(depth, c.inside(lobe, (wide * 0.6, tall * 0.55)))
    depth = np.asarray(depth + float(rng.uniform(0.03, 0.1)) * wobble, np.float32)
    sulci = np.abs(np.sin(clouds(c.height, c.width, 1.95, rng) * float(rng.uniform(2.5, 10))))
    rim = np.exp(-np.maximum(depth, 0.0) * float(rng.uniform(1.2, 3.5)))
    tone = np.where(sulci < 0.75 * rim, grey, white)
    tone = np.where(sulci < float(rng.uniform(0.1, 0.3)) * rim, fluid, tone)
    for side in (-1, 1):
        nucleus = c.inside((cx + side * wide * 0.28, cy), (wide * 0.16, tall * 0.22))
        tone = np.where(nucleus > 0, (grey + white) / 2, tone)
        horn = c.inside((cx + side * wide * 0.14, cy), (wide * 0.1, tall * 0.25), turn=side * 0.4)
        tone = np.where(horn + 0.3 * wobble > 0.2, fluid, tone)
    if rng.random() < 0.6:
        tone = np.where(np.abs(c.x - cx + 0.004 * wobble) < 0.006, fluid, tone)
    mask = depth > 0
    if rng.random() < 0.5:  # brain stem and the finely striped cerebellum
        part = c.inside((cx - float(rng.choice([0.0, 0.4])) * wide, cy + tall * 0.9),
                        (wide * 0.5, tall * 0.35)) + 0.1 * wobble  # fmt: skip
        tone = np.where(part > 0, np.where(np.sin(40 * part + 3 * wobble) > 0, grey, white), tone)
        stem = c.inside((cx, cy + tall), (wide * 0.16, tall * 0.45)) > 0
        tone = np.where(stem, white, tone)
        mask = mask | (part > 0) | stem
    return tone, mask


def _mr_finish(tone: np.ndarray, rng: np.random.Generator) -> Gray:
    shade = np.clip(1.0 + 0.1 * clouds(tone.shape[0], tone.shape[1], 2.5, rng), 0.6, 1.4)
    blur = float(rng.uniform(0.8, 2.4))
    return _finish(tone * shade, rng, blur=blur, grain=float(rng.uniform(0.0, 0.04)))


def mr_joint(rng: np.random.Generator) -> Gray:
    """A slice through a joint or the spine: bright marrow with dark rims, grey muscle."""
    c = Canvas(*size_like(rng, float(rng.uniform(0.9, 1.4)), 0.1), rng)
    cx = c.near(0.5, 0.06)
    muscle = 0.3 + 0.06 * clouds(c.height, c.width, 1.2, rng)
    field = c.inside((cx, 0.5), (float(rng.uniform(0.3, 0.48)), 0.7), corner=4)
    tone = np.where(field > 0, muscle, 0.02).astype(np.float32)
    tone[(field > 0) & (field < 0.15)] = float(rng.uniform(0.6, 0.95))
    marrow = float(rng.choice([0.2, 0.75, 0.9]))
    if rng.random() < 0.5:
        count = int(rng.integers(5, 9))
        for k in range(count):
            spot = (cx + 0.05 * np.sin(k), (k + 0.5) / count)
            tone[c.inside(spot, (0.1, 0.42 / count), corner=5) > 0] = 0.04
            tone[c.inside(spot, (0.09, 0.37 / count), corner=5) > 0] = marrow
        tone[np.abs(c.x - cx - 0.16) < 0.025] = float(rng.choice([0.15, 0.95]))
    else:
        for y, side in ((0.2, -1.0), (0.78, 1.0)):
            end = (cx, 0.5 + side * 0.13)
            for grow, level in ((1.06, 0.03), (1.0, marrow)):
                shaft = np.abs(c.x - cx) < 0.11 * grow
                tone[shaft & ((c.y < y) if side < 0 else (c.y > y))] = level
                tone[c.inside(end, (0.2 * grow, 0.12 * grow), corner=2.6) > 0] = level
    return _finish(tone, rng, blur=1.0, grain=float(rng.uniform(0.01, 0.05)))


def ultrasound(rng: np.random.Generator) -> Gray:
    """A fan or a rectangle of speckle in layers, with letters around it."""
    height, width = size_like(rng, float(rng.uniform(0.7, 0.9)), 0.05)
    c = Canvas(height, width, rng)
    fan = rng.random() < 0.65
    cx, top = c.near(0.5, 0.06), float(rng.uniform(-0.05, 0.1))
    dx, dy = (c.x - cx) * width, (c.y - top) * height
    radius, angle = np.hypot(dx, dy) / height, np.arctan2(dx, dy)
    depth = radius if fan else c.y
    half = float(rng.uniform(0.4, 0.8))
    start, stop = float(rng.uniform(0.03, 0.25)), float(rng.uniform(0.8, 0.98))
    if fan:
        mask = (np.abs(angle) < half) & (radius > start) & (radius < stop)
    else:
        mask = (np.abs(c.x - cx) < 0.33) & (c.y > 0.08) & (c.y < stop)
    layers = clouds(height, width, 1.6, rng) * 0.35 + 0.5 * np.sin(
        depth * float(rng.uniform(6, 40)) + 2.0 * clouds(height, width, 2.0, rng)
    )
    for _ in range(int(rng.integers(1, 5))):
        place = (cx + float(rng.normal(0, 0.12)), float(rng.uniform(0.3, 0.75)))
        hole = c.inside(place, (float(rng.uniform(0.04, 0.14)), float(rng.uniform(0.04, 0.14))))
        layers[hole > 0] = -1.6
        layers[np.abs(hole) < 0.06] += 1.0
    fine = rng.standard_normal((2, height, width), np.float32)
    wide = (float(rng.uniform(1.5, 3.0)), float(rng.uniform(0.7, 1.4)))
    parts = [cv2.GaussianBlur(part, (0, 0), sigmaX=wide[0], sigmaY=wide[1]) for part in fine]
    speckle = np.hypot(parts[0], parts[1])
    speckle /= speckle.mean()
    tone = np.clip(0.30 + 0.16 * layers, 0.02, 1.0) * speckle * np.exp(-0.6 * depth)
    tone = np.where(mask, np.clip(tone, 0.0, 1.0), 0.0).astype(np.float32)
    _letters(tone, rng)
    return to_gray(tone)


def _finish(tone: np.ndarray, rng: np.random.Generator, *, blur: float, grain: float) -> Gray:
    """Blur, add grain, choose a window, perhaps zoom in, perhaps write letters into the corners."""
    tone = cv2.GaussianBlur(tone.astype(np.float32), (0, 0), blur)
    tone = tone + grain * cv2.GaussianBlur(rng.standard_normal(tone.shape, np.float32), (0, 0), 0.7)
    tone = np.clip((tone - rng.uniform(0.0, 0.1)) * rng.uniform(0.9, 1.4), 0.0, 1.0)
    if rng.random() < 0.3:
        height, width = tone.shape
        cut = (rng.uniform(0.0, 0.14, 4) * [height, height, width, width]).astype(int)
        tone = tone[cut[0] : height - cut[1], cut[2] : width - cut[3]].copy()
    if rng.random() < 0.4:
        _letters(tone, rng)
    return to_gray(tone ** float(rng.uniform(0.7, 1.3)))


def _letters(tone: np.ndarray, rng: np.random.Generator) -> None:
    height, width = tone.shape
    stencil = np.zeros((height, width), np.uint8)
    words = (
        "W 400 L 40",
        "SE 3 IM 21",
        "TE 90",
        "512 x 512",
        "5.0 mm",
        "FR 24 Hz",
        "MI 0.8",
        "R",
        "A",
    )
    for _ in range(int(rng.integers(2, 8))):
        place = (int(width * rng.choice([0.02, 0.75])), int(height * rng.uniform(0.04, 0.98)))
        word = str(rng.choice(words))
        cv2.putText(stencil, word, place, cv2.FONT_HERSHEY_SIMPLEX, 0.38, (235,), 1, cv2.LINE_AA)
    np.maximum(tone, stencil.astype(np.float32) / 255, out=tone)
