"""Imitate other machines, framings and habits: learn bones, not one hospital."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ml.contracts import Box
from ml.data.cache import CachedPicture

Pixels = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Habits:
    """Which parts of the imitation are on; all of them, but where their worth is measured.

    Attributes:
        crop: crop to the limb.
        geometry: flip, turn, scale, move.
        appearance: letters, metal, exposure, blur, grain, JPEG.
    """

    crop: bool = True
    geometry: bool = True
    appearance: bool = True


@dataclass(frozen=True, slots=True)
class Augmented:
    """A training view.

    Attributes:
        pixels: ``float32`` ``(size, size)``, -1 to 1.
        boxes: the given boxes in input pixels; ``None`` where a box has left the view.
        metal_drawn: artificial metal was added, so the hardware label no longer holds.
    """

    pixels: Pixels
    boxes: tuple[Box | None, ...]
    metal_drawn: bool


def augment(
    picture: CachedPicture,
    boxes: tuple[Box, ...],
    size: int,
    generator: np.random.Generator,
    habits: Habits = Habits(),
) -> Augmented:
    """Return a random view; at least one box (if any) stays in it."""
    left, top, right, bottom = _crop(picture, generator, habits)
    view = np.ascontiguousarray(picture.pixels[top:bottom, left:right])
    local = tuple(
        Box(
            b.x * picture.scale - left,
            b.y * picture.scale - top,
            b.width * picture.scale,
            b.height * picture.scale,
        )
        for b in boxes
    )
    for attempt in range(4):
        gentle = attempt == 3 or not habits.geometry
        matrix = _random_matrix(view.shape, local, size, generator, gentle=gentle)
        mapped = tuple(_map_box(matrix, box, size) for box in local)
        if not local or any(box is not None for box in mapped):
            break
    low, high = picture.window
    warped = cv2.warpAffine(
        view,
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(low,),
    ).astype(np.float32)
    pixels = np.clip((warped - low) / (high - low), 0.0, 1.0)
    metal_drawn = False
    if habits.appearance:
        pixels, metal_drawn = _draw_foreign_things(pixels, generator)
        pixels = _change_exposure(pixels, generator)
        pixels = _degrade(pixels, generator)
    return Augmented(np.clip(pixels, 0.0, 1.0) * 2.0 - 1.0, mapped, metal_drawn)


def _crop(
    picture: CachedPicture, generator: np.random.Generator, habits: Habits
) -> tuple[int, int, int, int]:
    height, width = picture.pixels.shape
    if not habits.crop:
        return 0, 0, width, height
    if habits.geometry:
        return _jittered_crop(picture, generator)
    crop = picture.crop
    return crop.left, crop.top, crop.right, crop.bottom


def _jittered_crop(
    picture: CachedPicture, generator: np.random.Generator
) -> tuple[int, int, int, int]:
    """Move each side of the limb crop a little, as an imperfect search would."""
    crop, (height, width) = picture.crop, picture.pixels.shape
    if generator.random() < 0.08:
        return 0, 0, width, height
    reach = max(crop.width, crop.height)
    move = generator.uniform(-0.04, 0.10, 4) * reach
    return (
        int(np.clip(crop.left - move[0], 0, width - 32)),
        int(np.clip(crop.top - move[1], 0, height - 32)),
        int(np.clip(crop.right + move[2], 32, width)),
        int(np.clip(crop.bottom + move[3], 32, height)),
    )


def _random_matrix(
    shape: tuple[int, ...],
    boxes: tuple[Box, ...],
    size: int,
    generator: np.random.Generator,
    *,
    gentle: bool,
) -> npt.NDArray[np.float64]:
    """Return a 2x3 matrix from view pixels to input pixels: flip, turn, scale, move."""
    height, width = shape[0], shape[1]
    scale = size / max(height, width)
    centre_x, centre_y = width / 2, height / 2
    zoom, angle, shift = 1.0, 0.0, (0.0, 0.0)
    if not gentle:
        kind = generator.random()
        if kind < 0.22:  # a close-up, as other departments collimate
            zoom = float(np.exp(generator.uniform(np.log(1.25), np.log(2.2))))
            if boxes:
                focus = boxes[generator.integers(len(boxes))]
                target_x, target_y = focus.x + focus.width / 2, focus.y + focus.height / 2
            else:
                target_x, target_y = generator.uniform(0.25, 0.75, 2) * (width, height)
            wander = 0.32 / zoom * max(height, width)
            centre_x = target_x + generator.uniform(-wander, wander)
            centre_y = target_y + generator.uniform(-wander, wander)
        else:
            zoom = float(np.exp(generator.uniform(np.log(0.72), np.log(1.18))))
            move = generator.uniform(-0.07, 0.07, 2)
            shift = (float(move[0]) * size, float(move[1]) * size)
        angle = float(generator.normal(0.0, 10.0))
        if generator.random() < 0.15:
            angle += float(generator.choice([90.0, 180.0, 270.0]))
    stretch = 1.0 if gentle else float(np.exp(generator.normal(0.0, 0.05)))
    flip_x = -1.0 if generator.random() < 0.5 else 1.0
    flip_y = -1.0 if generator.random() < 0.1 else 1.0
    radians = np.deg2rad(angle)
    turn = np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    linear = turn @ np.diag([flip_x * stretch, flip_y / stretch]) * (scale * zoom)
    offset = np.array([size / 2 + shift[0], size / 2 + shift[1]]) - linear @ (centre_x, centre_y)
    return np.concatenate([linear, offset[:, None]], axis=1)


def _map_box(matrix: npt.NDArray[np.float64], box: Box, size: int) -> Box | None:
    """Map a box through a turn as the ellipse in it, which does not swell as its corners would."""
    centre = matrix[:, :2] @ (box.x + box.width / 2, box.y + box.height / 2) + matrix[:, 2]
    half = np.sqrt((matrix[:, :2] ** 2) @ ((box.width / 2) ** 2, (box.height / 2) ** 2))
    low, high = np.maximum(centre - half, 0.0), np.minimum(centre + half, float(size))
    visible = np.prod(np.maximum(high - low, 0.0)) / max(1e-6, float(np.prod(2 * half)))
    if visible < 0.5:
        return None
    return Box(float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))


def _draw_foreign_things(pixels: Pixels, generator: np.random.Generator) -> tuple[Pixels, bool]:
    """Add letters, collimation edges and metal, which must not mean "fracture"."""
    size = pixels.shape[0]
    metal_drawn = False
    if generator.random() < 0.12:
        text = str(generator.choice(["L", "R", "PORT", "AP", "LAT", "12:41"]))
        stencil = np.zeros((size, size), np.uint8)
        cv2.putText(
            stencil,
            text,
            _point(generator.uniform(0.02, 0.9, 2) * size),
            cv2.FONT_HERSHEY_SIMPLEX,
            float(generator.uniform(0.4, 1.3)),
            (255,),
            int(generator.integers(1, 3)),
            cv2.LINE_AA,
        )
        pixels = _paint(pixels, stencil, float(generator.uniform(0.7, 1.0)))
    if generator.random() < 0.12:
        edge = [int(v) for v in generator.uniform(0.0, 0.12, 4) * size]
        level = 0.0 if generator.random() < 0.8 else 1.0
        pixels[: edge[0]] = level
        pixels[size - edge[1] :] = level
        pixels[:, : edge[2]] = level
        pixels[:, size - edge[3] :] = level
    if generator.random() < 0.07:
        stencil = _metal_stencil(size, generator)
        pixels = _paint(pixels, stencil, float(generator.uniform(0.92, 1.0)))
        metal_drawn = True
    return pixels, metal_drawn


def _metal_stencil(size: int, generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw a rod or plate with screws: 85 of 87 real ones are on fractured pictures."""
    stencil = np.zeros((size, size), np.uint8)
    centre = generator.uniform(0.3, 0.7, 2) * size
    angle = generator.normal(np.pi / 2, 0.5)
    axis = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-axis[1], axis[0]])
    half = generator.uniform(0.08, 0.28) * size
    start, end = centre - axis * half, centre + axis * half
    thick = int(generator.integers(3, 11))
    cv2.line(stencil, _point(start), _point(end), (255,), thick, cv2.LINE_AA)
    if generator.random() < 0.6:
        length = generator.uniform(8, 26)
        for place in np.linspace(-0.9, 0.9, int(generator.integers(3, 8))):
            root = centre + axis * half * place
            tip = root + across * length
            cv2.line(stencil, _point(root), _point(tip), (255,), 3, cv2.LINE_AA)
    return stencil


def _paint(pixels: Pixels, stencil: npt.NDArray[np.uint8], level: float) -> Pixels:
    cover = stencil.astype(np.float32) / 255
    return np.asarray(pixels * (1.0 - cover) + level * cover, np.float32)


def _point(xy: npt.NDArray[np.float64]) -> tuple[int, int]:
    return int(xy[0]), int(xy[1])


def _change_exposure(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """Change window, gamma and polarity, as other detectors and export habits do."""
    if generator.random() < 0.8:
        low, high = generator.normal(0.0, 0.05), 1.0 + generator.normal(0.0, 0.10)
        pixels = np.clip((pixels - low) / max(0.4, high - low), 0.0, 1.0)
        pixels = pixels ** np.float32(np.exp(generator.normal(0.0, 0.3)))
    if generator.random() < 0.08:
        tiles = int(generator.integers(4, 9))
        clahe = cv2.createCLAHE(float(generator.uniform(1.5, 4.0)), (tiles, tiles))
        equalised = clahe.apply((pixels * 255).astype(np.uint8))
        pixels = np.asarray(equalised, np.float32) / np.float32(255)
    if generator.random() < 0.10:  # uneven field, as from a photographed film
        size = pixels.shape[0]
        ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32)
        slope = generator.normal(0.0, 0.25, 2).astype(np.float32)
        pixels = pixels * (1.0 + slope[0] * ramp[None, :] + slope[1] * ramp[:, None])
    if generator.random() < 0.05:
        pixels = 1.0 - pixels
    return np.asarray(pixels, np.float32)


def _degrade(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """Blur, resample, add grain and JPEG blocks."""
    size = pixels.shape[0]
    if generator.random() < 0.2:
        sigma = float(generator.uniform(0.4, 1.3))
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.float32)
    elif generator.random() < 0.2:
        sharp = cv2.GaussianBlur(pixels, (0, 0), float(generator.uniform(0.8, 2.5)))
        pixels = pixels + float(generator.uniform(0.3, 1.2)) * (pixels - sharp)
    if generator.random() < 0.15:
        small = int(size * generator.uniform(0.5, 0.9))
        shrunk = cv2.resize(pixels, (small, small), interpolation=cv2.INTER_AREA)
        pixels = np.asarray(cv2.resize(shrunk, (size, size)), np.float32)
    if generator.random() < 0.35:
        grain = generator.standard_normal((size, size), dtype=np.float32)
        if generator.random() < 0.5:
            grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), 0.8), np.float32) * 2.0
        pixels = pixels + grain * float(generator.uniform(0.005, 0.05))
    if generator.random() < 0.2:
        quality = int(generator.integers(30, 92))
        coded = cv2.imencode(
            ".jpg",
            (np.clip(pixels, 0.0, 1.0) * 255).astype(np.uint8),
            [cv2.IMWRITE_JPEG_QUALITY, quality],
        )[1]
        decoded = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)
        if decoded is not None:
            pixels = np.asarray(decoded, np.float32) / np.float32(255)
    return np.asarray(pixels, np.float32)
