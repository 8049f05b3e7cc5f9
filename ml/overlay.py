"""Draw an answer on its picture: solid and dashed boxes, heat, and who says so."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ml.contracts import Box, Certainty, Prediction

DISCLAIMER: Final = "An aid, not a diagnosis."
FOUND: Final = (255, 196, 0)
TRUE: Final = (0, 230, 118)
_SMALLEST_SIDE: Final = 640  # small films are enlarged so that lines and words can be seen
_LARGEST_SIDE: Final = 1600
_HEAT_SHARE: Final = 0.55  # of the colour where the map is hottest
_LOWEST_HEAT: Final = 0.08


@dataclass(frozen=True, slots=True)
class Mark:
    """A box to draw, in pixels of the picture."""

    box: Box
    text: str = ""
    dashed: bool = False
    color: tuple[int, int, int] = FOUND


def marks_of(prediction: Prediction) -> list[Mark]:
    """Return the boxes of an answer: solid is definite, dashed is a suspicion."""
    return [
        Mark(f.box, f"{f.probability:.0%}", dashed=f.certainty is Certainty.SUSPICION)
        for f in prediction.findings
    ]


def draw(
    pixels: npt.NDArray[np.generic],
    marks: Sequence[Mark],
    lines: Sequence[str],
    *,
    heatmap: npt.NDArray[np.uint8] | None = None,
) -> Image.Image:
    """Return a colour picture with heat, boxes and a footer of text lines.

    Args:
        pixels: ``(h, w)`` ``uint8`` or ``uint16``.
        marks: boxes in these pixels.
        lines: text below the picture, which hides nothing.
        heatmap: ``uint8`` over the whole picture, of any size.
    """
    height, width = pixels.shape
    scale = max(1.0, _SMALLEST_SIDE / max(height, width))
    scale = min(scale, _LARGEST_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    grey = _eight_bits(pixels)
    way = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_CUBIC
    colour = cv2.cvtColor(cv2.resize(grey, size, interpolation=way), cv2.COLOR_GRAY2RGB)
    if heatmap is not None:
        colour = _heated(np.asarray(colour, np.uint8), heatmap)
    font = ImageFont.load_default(size=15)
    wrapped = _wrapped(lines, font, size[0] - 16)
    line_height = 20
    canvas = Image.new("RGB", (size[0], size[1] + 12 + line_height * len(wrapped)))
    canvas.paste(Image.fromarray(colour), (0, 0))
    pen = ImageDraw.Draw(canvas)
    for mark in marks:
        _draw_mark(pen, mark, scale, size, font)
    for index, line in enumerate(wrapped):
        place = (8, size[1] + 6 + index * line_height)
        pen.text(place, line, fill=(235, 235, 235), font=font)
    return canvas


def _eight_bits(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, np.uint8)
    values = np.asarray(pixels, np.float32)
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    return np.asarray(np.clip((values - low) / max(high - low, 1.0), 0, 1) * 255, np.uint8)


def _heated(colour: npt.NDArray[np.uint8], heatmap: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Blend the heat in, by its own strength: a faint map stays faint."""
    size = (colour.shape[1], colour.shape[0])
    heat = cv2.resize(heatmap, size, interpolation=cv2.INTER_LINEAR)
    hot = cv2.cvtColor(cv2.applyColorMap(heat, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    share = np.asarray(heat, np.float32)[..., None] / 255.0
    share = np.where(share < _LOWEST_HEAT, 0.0, share * _HEAT_SHARE)
    return np.asarray(colour * (1.0 - share) + hot * share, np.uint8)


def _draw_mark(
    pen: ImageDraw.ImageDraw,
    mark: Mark,
    scale: float,
    size: tuple[int, int],
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    left, top = mark.box.x * scale, mark.box.y * scale
    right, bottom = left + mark.box.width * scale, top + mark.box.height * scale
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    for start, end in itertools.pairwise(corners):
        if mark.dashed:
            _dashes(pen, start, end, mark.color)
        else:
            pen.line((start, end), fill=mark.color, width=3)
    if mark.text:
        extent = pen.textbbox((0, 0), mark.text, font=font)
        x = min(max(0.0, left), size[0] - extent[2] - 4)
        y = top - extent[3] - 6 if top > extent[3] + 6 else min(bottom + 2, size[1] - extent[3] - 4)
        pen.rectangle((x, y, x + extent[2] + 4, y + extent[3] + 4), fill=(0, 0, 0))
        pen.text((x + 2, y + 1), mark.text, fill=mark.color, font=font)


def _dashes(
    pen: ImageDraw.ImageDraw,
    start: tuple[float, float],
    end: tuple[float, float],
    color: tuple[int, int, int],
    *,
    dash: float = 9.0,
) -> None:
    length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
    count = max(1, round(length / (2 * dash)))
    for index in range(count):
        first, second = index / count, (index + 0.5) / count
        pen.line(
            (
                start[0] + (end[0] - start[0]) * first,
                start[1] + (end[1] - start[1]) * first,
                start[0] + (end[0] - start[0]) * second,
                start[1] + (end[1] - start[1]) * second,
            ),
            fill=color,
            width=3,
        )


def _wrapped(
    lines: Sequence[str], font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int
) -> list[str]:
    """Break lines at spaces so that each fits."""
    found: list[str] = []
    for line in lines:
        current = ""
        for word in line.split():
            longer = f"{current} {word}".strip()
            if current and font.getlength(longer) > width:
                found.append(current)
                current = word
            else:
                current = longer
        found.append(current)
    return found
