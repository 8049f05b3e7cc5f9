"""Photographs of a film on a light box or of a screen, made from radiographs."""

import cv2
import numpy as np
import numpy.typing as npt

from ml.data.strangers.canvas import clouds

Gray = npt.NDArray[np.uint8]
Rgb = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]


def photograph(film: Gray, rng: np.random.Generator) -> Rgb:
    """Photograph a film: perspective, surroundings, glare, colour cast, moire, hand, JPEG.

    Args:
        film: ``(h, w)`` radiograph.
        rng: chooses how it is held, lit and taken.

    Returns:
        ``(h, w, 3)`` RGB; about one in six is nearly colourless, as some phones and scans are.
    """
    height, width = (round(film.shape[k] * rng.uniform(1.05, 1.5)) for k in (0, 1))
    on_screen = bool(rng.random() < 0.4)
    scene = _surroundings(height, width, rng, on_screen=on_screen)
    corners = _corners(film, height, width, rng)
    source = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * np.array(film.shape[::-1])
    matrix = cv2.getPerspectiveTransform(np.asarray(source, np.float32), corners)
    tone = cv2.warpPerspective(film.astype(np.float32) / 255, matrix, (width, height))
    cover = cv2.warpPerspective(np.ones(film.shape, np.float32), matrix, (width, height))
    if on_screen:
        tone = _moire(0.04 + 0.9 * tone, rng)
    else:  # a film lets even its black parts shine a little
        tone = rng.uniform(0.03, 0.12) + rng.uniform(0.7, 0.9) * tone
    cover = cv2.GaussianBlur(cover, (0, 0), 1.0)[..., None]
    cast = 1.0 + rng.normal(0.0, 0.07, 3) + (0.0, 0.02, float(rng.uniform(0.0, 0.22)))
    picture = scene * (1 - cover) + tone[..., None] * cast.astype(np.float32) * cover
    if rng.random() < 0.35:
        picture = _hand(picture, rng)
    picture = _light(picture, rng)
    if rng.random() < 0.17:
        picture = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)
    picture = picture + rng.normal(0, rng.uniform(0.004, 0.02), picture.shape)
    pixels = np.rint(np.clip(picture, 0.0, 1.0) * 255).astype(np.uint8)
    quality = int(rng.integers(60, 93))
    coded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


def _surroundings(height: int, width: int, rng: np.random.Generator, *, on_screen: bool) -> Plane:
    """Return the lit box, or the dark screen and the desk around it."""
    base = rng.uniform(0.75, 0.98) if not on_screen else rng.uniform(0.02, 0.25)
    tint = base * (1.0 + rng.normal(0.0, 0.05, 3))
    scene = np.ones((height, width, 3), np.float32) * tint.astype(np.float32)
    if rng.random() < 0.6:  # the room beyond the frame
        room = 0.1 + 0.5 * rng.random(3) + 0.08 * clouds(height, width, 1.4, rng)[..., None]
        edges = (rng.uniform(0.0, 0.09, 4) * [height, height, width, width]).astype(int)
        mask = np.ones((height, width, 1), np.float32)
        mask[edges[0] : height - edges[1], edges[2] : width - edges[3]] = 0.0
        scene = scene * (1 - mask) + room.astype(np.float32) * mask
    return np.asarray(scene, np.float32)


def _corners(film: Gray, height: int, width: int, rng: np.random.Generator) -> Plane:
    """Return where the film's corners fall, clockwise from the left top."""
    size = np.array(film.shape[::-1], np.float64)
    size *= min(1.0, 0.98 * width / size[0], 0.98 * height / size[1]) * rng.uniform(0.9, 1.0)
    square = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * size
    square += rng.normal(0.0, 0.02, (4, 2)) * size
    turn = np.deg2rad(rng.normal(0.0, 4.0))
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    centre = np.array([width, height]) * (0.5 + rng.normal(0.0, 0.02, 2))
    return np.asarray(square @ spin + centre, np.float32)


def _moire(tone: Plane, rng: np.random.Generator) -> Plane:
    """Beat the screen's grid against the camera's."""
    height, width = tone.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle, waves = rng.uniform(0, np.pi), rng.uniform(0.15, 1.2)
    bend = 2.0 * clouds(height, width, 2.5, rng)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * waves + bend)
    return np.asarray(tone * (1.0 + rng.uniform(0.01, 0.06) * wave), np.float32)


def _hand(picture: Plane, rng: np.random.Generator) -> Plane:
    """Put fingertips over one edge."""
    height, width = picture.shape[:2]
    skin = np.array([0.75, 0.55, 0.45]) * rng.uniform(0.35, 1.1)
    layer = np.zeros((height, width), np.uint8)
    x0, side = rng.uniform(0.1, 0.6) * width, rng.random() < 0.5
    thick = max(6, round(0.06 * width))
    for k in range(int(rng.integers(1, 4))):
        x = round(x0 + k * thick * 1.2)
        reach = round(height * rng.uniform(0.04, 0.12))
        tip = (x, reach if side else height - reach)
        cv2.line(layer, (x, 0 if side else height), tip, (255,), thick, cv2.LINE_AA)
    cover = cv2.GaussianBlur(layer.astype(np.float32) / 255, (0, 0), 1.5)[..., None]
    return np.asarray(picture * (1 - cover) + skin.astype(np.float32) * cover, np.float32)


def _light(picture: Plane, rng: np.random.Generator) -> Plane:
    """Darken towards the corners, reflect a lamp, focus imperfectly."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    u, v = x / width - rng.uniform(0.35, 0.65), y / height - rng.uniform(0.35, 0.65)
    picture = picture * (1.0 - rng.uniform(0.1, 0.7) * (u * u + v * v))[..., None]
    if rng.random() < 0.5:
        gx, gy, size = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.04, 0.15)
        glare = np.exp(-((x / width - gx) ** 2 + (y / height - gy) ** 2) / (2 * size**2))
        picture = picture + rng.uniform(0.1, 0.5) * glare[..., None].astype(np.float32)
    blur = float(rng.uniform(0.3, 1.1))
    return np.asarray(cv2.GaussianBlur(picture.astype(np.float32), (0, 0), blur), np.float32)
