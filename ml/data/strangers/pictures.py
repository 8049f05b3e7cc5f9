"""Photographs, documents, screens, charts and textures, drawn in grey."""

import cv2
import numpy as np

from ml.data.strangers.canvas import Canvas, Gray, clouds, noise, size_like, to_gray

_TEXT = (
    "patient hospital invoice total date name request radiology wrist pain since yesterday dose mg "
    "daily review doctor signed page of the and with without for from normal impression findings "
    "1200 45.90 2024-03-18 no. 17 tel. 0049 please return before noon table figure result"
)
_WORDS = tuple(_TEXT.split())
_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
)


def dead_leaves(rng: np.random.Generator) -> Gray:
    """Overlapping shaded and textured things of all sizes: the statistics of photographs."""
    height, width = _photo_size(rng)
    c = Canvas(height, width, rng)
    tone = 0.5 + 0.15 * clouds(height, width, 1.6, rng)
    texture = [clouds(height, width, power, rng) for power in (0.6, 1.0, 1.4)]
    smallest = float(np.exp(rng.uniform(np.log(0.01), np.log(0.2))))
    for size in np.sort(smallest * rng.power(0.7, int(rng.integers(40, 220))) ** -0.9)[::-1]:
        size = min(float(size), 0.5)
        place = (float(rng.uniform(0, 1)), float(rng.uniform(0, 1)))
        layer, (left, top) = _leaf(size * width, place, (height, width), rng)
        part = np.s_[top : top + layer.shape[0], left : left + layer.shape[1]]
        cover = layer.astype(np.float32) / 255
        slope = rng.normal(0, 0.8, 2)
        shade = (c.x[part] - place[0]) * slope[0] + (c.y[part] - place[1]) * slope[1]
        grain = rng.uniform(0, 0.12) * texture[rng.integers(3)][part]
        tone[part] = tone[part] * (1 - cover) + (rng.uniform(0.05, 0.95) + shade + grain) * cover
    return _as_photo(tone, rng)


def landscape(rng: np.random.Generator) -> Gray:
    """Sky over ridges, or over a plain with rows of things."""
    height, width = _photo_size(rng)
    c = Canvas(height, width, rng)
    tone = rng.uniform(0.5, 0.9) - rng.uniform(-0.2, 0.4) * c.y
    tone = tone + rng.uniform(0.0, 0.1) * clouds(height, width, 1.6, rng)
    for k, base in enumerate(np.sort(rng.uniform(0.25, 0.9, int(rng.integers(1, 5))))):
        ridge = np.cumsum(rng.normal(0, 1, width))
        ridge = cv2.GaussianBlur(ridge[None, :].astype(np.float32), (0, 0), rng.uniform(1, 9))[0]
        ridge = base + rng.uniform(0.02, 0.12) * (ridge - ridge.mean()) / (ridge.std() + 1e-6)
        below = c.y > ridge[None, :]
        level = rng.uniform(0.05, 0.7)
        ground = level + rng.uniform(0.03, 0.15) * clouds(height, width, rng.uniform(0.6, 1.4), rng)
        tone = np.where(below, ground + 0.03 * k, tone)
    if rng.random() < 0.4:
        spot = (float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.05, 0.4)))
        tone = np.maximum(tone, np.clip(c.inside(spot, (0.06, 0.06 * width / height)) * 5, 0, 1))
    return _as_photo(tone, rng)


def portrait(rng: np.random.Generator) -> Gray:
    """A head and shoulders, or an animal's round shape, before a soft background."""
    height, width = _photo_size(rng)
    c = Canvas(height, width, rng)
    tone = rng.uniform(0.1, 0.9) + 0.12 * clouds(height, width, 1.8, rng)
    cx, cy = float(rng.uniform(0.35, 0.65)), float(rng.uniform(0.3, 0.5))
    size = float(rng.uniform(0.12, 0.25))
    light = (c.x - cx) * rng.normal(0, 1.2) + (c.y - cy) * rng.normal(0, 0.8)
    skin, cloth, hair = (float(v) for v in rng.uniform(0.05, 0.9, 3))
    coat = clouds(height, width, rng.uniform(0.7, 1.3), rng)
    ratio = width / height

    def paint(shape: np.ndarray, level: np.ndarray | float) -> None:
        nonlocal tone
        cover = np.clip(shape * 12, 0.0, 1.0)
        tone = tone * (1 - cover) + (level + 0.5 * light) * cover

    paint(
        c.inside((cx, cy + size * 2.9 * ratio), (size * 2.2, size * 2 * ratio)), cloth + 0.1 * coat
    )
    paint(c.inside((cx, cy - size * 0.2), (size * 1.2, size * 1.6 * ratio)), hair + 0.12 * coat)
    paint(c.inside((cx, cy), (size, size * 1.35 * ratio)), skin + 0.03 * coat)
    for side in (-1, 1):
        eye = (cx + side * size * 0.4, cy - size * 0.2)
        paint(c.inside(eye, (size * 0.16, size * 0.09 * ratio)), skin * 0.3)
        paint(c.inside((eye[0], eye[1] - size * 0.25), (size * 0.25, size * 0.06)), hair)
    paint(c.inside((cx, cy + size * 0.75 * ratio), (size * 0.4, size * 0.12)), skin * 0.5)
    return _as_photo(tone, rng)


def texture(rng: np.random.Generator) -> Gray:
    """Bricks, weave, grass, bark or sand."""
    height, width = _photo_size(rng)
    c = Canvas(height, width, rng)
    kind = rng.integers(4)
    if kind == 0:
        rows = int(rng.integers(5, 18))
        row = np.floor(c.y * rows)
        x = c.x * rows * rng.uniform(0.4, 0.8) + 0.5 * (row % 2)
        gap = np.minimum(np.abs(x - np.rint(x)) * 2, np.abs(c.y * rows - np.rint(c.y * rows)))
        tone = np.where(gap < 0.08, 0.8, 0.4) + 0.1 * clouds(height, width, 0.9, rng)
    elif kind == 1:
        waves = rng.uniform(20, 140, 2)
        tone = 0.5 + 0.2 * np.sin(c.x * waves[0]) * np.sin(c.y * waves[1])
        tone = tone + 0.1 * clouds(height, width, 1.0, rng)
    elif kind == 2:
        grains = rng.standard_normal((height, width), np.float32)
        across, along = rng.uniform(0.6, 1.6), rng.uniform(4, 30)
        strokes = cv2.GaussianBlur(grains, (0, 0), sigmaX=across, sigmaY=along)
        tone = 0.5 + 0.2 * strokes / strokes.std() + 0.05 * clouds(height, width, 1.2, rng)
    else:
        tone = 0.5 + 0.2 * clouds(height, width, rng.uniform(0.3, 1.2), rng)
    return _as_photo(tone, rng)


def round_things(rng: np.random.Generator) -> Gray:
    """Coins, fruit, cells or stars on an even ground."""
    height, width = _photo_size(rng)
    c = Canvas(height, width, rng)
    tone = rng.uniform(0.0, 0.9) + 0.05 * clouds(height, width, 1.5, rng)
    stars = rng.random() < 0.35
    level = rng.uniform(0.2, 1.0)
    for _ in range(int(rng.integers(30, 80)) if stars else int(rng.integers(3, 30))):
        place = (float(rng.uniform(0, 1)), float(rng.uniform(0, 1)))
        size = float(rng.uniform(0.002, 0.008) if stars else rng.uniform(0.03, 0.16))
        inside = c.inside(place, (size, size * width / height))
        shade = np.sqrt(np.clip(inside, 0, 1)) * rng.uniform(0.1, 0.5)
        relief = 0.0 if stars else 0.08 * noise(height, width, size * width * 0.2 + 1.5, rng)
        tone = np.where(inside > 0, level + shade + relief, tone)
    return _as_photo(tone, rng)


def cut_out(rng: np.random.Generator) -> Gray:
    """One thing on a plain ground: a product, an animal, clip art, a letter."""
    height, width = _photo_size(rng)
    c = Canvas(height, width, rng)
    ground = float(rng.choice([1.0, 1.0, 1.0, 0.0, 0.5, 0.9]))
    tone = np.full((height, width), ground, np.float32)
    drawn = bool(rng.random() < 0.35)  # flat areas with outlines
    coat = clouds(height, width, float(rng.uniform(0.8, 1.8)), rng)
    base = float(rng.uniform(0.1, 0.9))
    if rng.random() < 0.15:
        stencil = np.zeros((height, width), np.uint8)
        corner, scale = (width // 8, round(height * 0.85)), width / 32
        sign = str(rng.choice(list("ABCDEFGHKMNRSTXZ2345789&")))
        cv2.putText(stencil, sign, corner, int(rng.choice(_FONTS)), scale, (255,), width // 9, 16)
        cover = stencil.astype(np.float32) / 255
        return to_gray(tone * (1 - cover) + (1.0 - ground) * cover)
    for _ in range(int(rng.integers(1, 14))):
        place = tuple(float(v) for v in np.clip(rng.normal(0.5, 0.13, 2), 0.2, 0.8))
        size = float(rng.uniform(0.04, 0.38)) * width
        layer, (left, top) = _leaf(size, (place[0], place[1]), (height, width), rng)
        part = np.s_[top : top + layer.shape[0], left : left + layer.shape[1]]
        cover = layer.astype(np.float32) / 255
        slope = rng.normal(0, 0.0 if drawn else 1.2, 2)
        shade = (c.x[part] - place[0]) * slope[0] + (c.y[part] - place[1]) * slope[1]
        level = base + float(rng.normal(0.0, 0.18))
        fill = np.clip(level + shade + (0.0 if drawn else 0.07) * coat[part], 0.02, 0.98)
        tone[part] = tone[part] * (1 - cover) + fill * cover
        if drawn:
            edge = cv2.morphologyEx(layer, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
            tone[part] *= 1.0 - edge.astype(np.float32) / 255
    soft = cv2.GaussianBlur(tone, (0, 0), float(rng.uniform(0.3, 1.2)))
    return to_gray(np.asarray(soft, np.float32))


def text_page(rng: np.random.Generator) -> Gray:
    """A page of writing, straight or photographed askew."""
    height, width = size_like(rng, float(rng.choice([1.41, 0.71, 1.0])), 0.1)
    height, width = round(height * 1.6), round(width * 1.6)
    paper, ink = int(rng.integers(200, 256)), int(rng.integers(0, 90))
    page = np.full((height, width), paper, np.uint8)
    font = int(rng.choice(_FONTS))
    scale = float(rng.uniform(0.4, 1.0))
    x, y = 30, 40
    while y < height - 20:
        word = str(rng.choice(_WORDS))
        cv2.putText(page, word, (x, y), font, scale, (ink,), 1, cv2.LINE_AA)
        x += round(len(word) * 20 * scale) + 10
        if x > width - 90 or rng.random() < 0.04:
            x, y = 30, y + round(44 * scale * rng.uniform(0.9, 1.4))
    tone = page.astype(np.float32) / 255
    if rng.random() < 0.3:
        tone = 1.0 - tone
    if rng.random() < 0.5:
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.normal(0, 6)), 1.0)
        askew = cv2.warpAffine(tone, turn, (width, height), borderValue=(0.4,))
        tone = askew * (0.9 + 0.08 * clouds(height, width, 2.5, rng))
    return to_gray(tone)


def screen(rng: np.random.Generator) -> Gray:
    """Windows, buttons, icons and lines of text."""
    height, width = size_like(rng, float(rng.choice([0.56, 0.625, 1.9])), 0.05)
    height, width = round(height * 1.8), round(width * 1.8)
    ground = int(rng.integers(0, 256))
    page = np.full((height, width), ground, np.uint8)
    for _ in range(int(rng.integers(6, 40))):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        w, h = int(rng.integers(20, width // 2)), int(rng.integers(10, height // 2))
        fill = int(rng.integers(0, 256))
        cv2.rectangle(page, (x, y), (x + w, y + h), (fill,), -1)
        ink = 255 - fill if abs(255 - 2 * fill) > 60 else 0
        for row in range(y + 16, min(y + h, height), 22):
            word = " ".join(str(word) for word in rng.choice(_WORDS, 3))
            cv2.putText(page, word, (x + 6, row), _FONTS[0], 0.45, (ink,), 1, cv2.LINE_AA)
    return page


def chart(rng: np.random.Generator) -> Gray:
    """Bars, lines or dots with axes."""
    height, width = size_like(rng, 0.75, 0.2)
    height, width = round(height * 1.5), round(width * 1.5)
    dark = rng.random() < 0.3
    page = np.full((height, width), 20 if dark else 250, np.uint8)
    ink = 230 if dark else 20
    cv2.line(page, (50, height - 40), (width - 20, height - 40), (ink,), 1)
    cv2.line(page, (50, 20), (50, height - 40), (ink,), 1)
    count = int(rng.integers(4, 40))
    xs = np.linspace(60, width - 30, count).astype(int)
    for _ in range(int(rng.integers(1, 4))):
        ys = (height - 45 - rng.uniform(0, 1, count) * (height - 90)).astype(int)
        shade = int(rng.integers(40, 210))
        kind = rng.integers(3)
        for k in range(count):
            if kind == 0:
                right = int(xs[k] + (width - 90) / count * 0.7)
                corner = (right, height - 41)
                cv2.rectangle(page, (int(xs[k]), int(ys[k])), corner, (shade,), -1)
            elif kind == 1 and k:
                before, here = (int(xs[k - 1]), int(ys[k - 1])), (int(xs[k]), int(ys[k]))
                cv2.line(page, before, here, (shade,), 2, cv2.LINE_AA)
            else:
                cv2.circle(page, (int(xs[k]), int(ys[k])), 4, (shade,), -1, cv2.LINE_AA)
    for x in xs[:: max(1, count // 6)]:
        cv2.putText(page, str(x), (int(x), height - 20), _FONTS[0], 0.4, (ink,), 1, cv2.LINE_AA)
    return page


def code(rng: np.random.Generator) -> Gray:
    """A bar code or a square code, also photographed."""
    if rng.random() < 0.5:
        cells = rng.integers(0, 2, (int(rng.integers(21, 60)),) * 2).astype(np.uint8) * 255
        page = np.kron(cells, np.ones((10, 10), np.uint8)).astype(np.uint8)
    else:
        bars = np.repeat(rng.integers(0, 2, 95), int(rng.integers(2, 7))).astype(np.uint8) * 255
        page = np.tile(bars, (int(rng.integers(150, 400)), 1))
    framed = cv2.copyMakeBorder(page, 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=(255,))
    tone = framed.astype(np.float32) / 255
    return _as_photo(tone * 0.9, rng) if rng.random() < 0.5 else to_gray(tone)


def plain_noise(rng: np.random.Generator) -> Gray:
    """A gradient, a cloud or pure noise."""
    height, width = size_like(rng, float(rng.uniform(0.7, 1.4)))
    c = Canvas(height, width, rng)
    slope = rng.normal(0, 0.5, 2)
    tone = 0.5 + slope[0] * (c.x - 0.5) + slope[1] * (c.y - 0.5)
    power = float(rng.uniform(0.0, 2.5))
    return to_gray(tone + rng.uniform(0.02, 0.25) * clouds(height, width, power, rng))


def _leaf(
    size: float, place: tuple[float, float], sheet: tuple[int, int], rng: np.random.Generator
) -> tuple[Gray, tuple[int, int]]:
    """Return the mask of one thing of ``size`` pixels and its left top corner on the sheet."""
    reach = round(1.3 * size) + 2
    x, y = round(place[0] * sheet[1]), round(place[1] * sheet[0])
    left, top = max(0, x - reach), max(0, y - reach)
    layer = np.zeros((min(sheet[0], y + reach) - top, min(sheet[1], x + reach) - left), np.uint8)
    centre = (x - left, y - top)
    kind = rng.random()
    if kind < 0.5:
        axes = (max(1, round(size)), max(1, round(size * rng.uniform(0.4, 1))))
        turn = float(rng.uniform(0, 180))
        cv2.ellipse(layer, centre, axes, turn, 0, 360, (255,), -1, cv2.LINE_AA)
    elif kind < 0.85:
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
        far = size * rng.uniform(0.5, 1.2, len(angles))
        corners = np.stack([np.cos(angles) * far, np.sin(angles) * far], 1) + centre
        cv2.fillPoly(layer, [np.rint(corners).astype(np.int32)], (255,), cv2.LINE_AA)
    else:
        ends = np.rint(rng.uniform(0, 1, (2, 2)) * (layer.shape[1], layer.shape[0])).astype(int)
        line = [(int(px), int(py)) for px, py in ends]
        cv2.line(layer, line[0], line[1], (255,), max(1, round(size * 0.2)), cv2.LINE_AA)
    return layer, (left, top)


def _photo_size(rng: np.random.Generator) -> tuple[int, int]:
    return size_like(rng, float(rng.choice([0.66, 0.75, 1.0, 1.33, 1.5])), 0.05)


def _as_photo(tone: np.ndarray, rng: np.random.Generator) -> Gray:
    """Light it unevenly, focus it imperfectly and develop it."""
    height, width = tone.shape
    tone = tone * (1.0 + rng.uniform(0.0, 0.15) * clouds(height, width, 2.5, rng))
    tone = cv2.GaussianBlur(tone.astype(np.float32), (0, 0), float(rng.uniform(0.4, 1.4)))
    low, high = np.percentile(tone, (0.5, 99.5))
    tone = np.clip((tone - low) / max(high - low, 1e-3), 0, 1) ** rng.uniform(0.6, 1.6)
    black, white = rng.uniform(0.0, 0.12), rng.uniform(0.8, 1.0)
    tone = black + (white - black) * tone
    return to_gray(tone + rng.uniform(0.002, 0.02) * rng.standard_normal(tone.shape))
