"""Everything that is drawn for the gate, with its class, and the chain it goes through."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from ml.data.film_photos import photograph
from ml.data.strangers import head, pictures, slices, trunk
from ml.data.strangers.canvas import Gray
from ml.decoding_common import has_real_color

Drawing = Callable[[np.random.Generator], Gray]

DRAWINGS: Mapping[str, tuple[Drawing, ...]] = {
    "trunk": (trunk.chest, trunk.abdomen, trunk.spine_front, trunk.spine_side),
    "head": (head.skull_front, head.skull_side, head.teeth_film, head.jaw_panorama),
    "slice": (
        slices.ct_body,
        slices.ct_head,
        slices.mr_head,
        slices.mr_brain,
        slices.mr_joint,
        slices.ultrasound,
    ),
    "picture": (
        pictures.dead_leaves,
        pictures.landscape,
        pictures.portrait,
        pictures.texture,
        pictures.round_things,
        pictures.cut_out,
        pictures.text_page,
        pictures.screen,
        pictures.chart,
        pictures.code,
        pictures.plain_noise,
    ),
}
_PHOTO_SHARE = 0.12  # of the strangers are photographed from a screen or light box, too


def draw_one(kind: str, draw: Drawing, rng: np.random.Generator) -> tuple[Gray, bool]:
    """Draw one picture and export it as clinics and phones do; tell whether it has colour."""
    pixels = draw(rng)
    if kind != "picture" and rng.random() < _PHOTO_SHARE:
        rgb = photograph(pixels, rng)
        return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.uint8), has_real_color(rgb)
    return exported(pixels, rng), kind == "picture" and bool(rng.random() < 0.4)


def exported(pixels: Gray, rng: np.random.Generator) -> Gray:
    """Resize, invert, blur, sharpen and compress at random, so that no drawing looks too clean."""
    if rng.random() < 0.5:
        factor = float(rng.uniform(0.75, 1.5))
        size = (
            max(170, round(pixels.shape[1] * factor)),
            max(170, round(pixels.shape[0] * factor)),
        )
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    if rng.random() < 0.06:
        pixels = np.asarray(255 - pixels, np.uint8)
    if rng.random() < 0.25:
        pixels = cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.4, 1.0))).astype(np.uint8)
    if rng.random() < 0.7:
        quality = int(rng.integers(30, 96))
        coded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        pixels = np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)
    return pixels
