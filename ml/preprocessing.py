"""Turn a decoded radiograph into the model's input, and the model's places back into its pixels.

Shared by training and run time (numpy and OpenCV only), because a model answers well only on
pictures prepared exactly as the ones it learned from. Any change that moves a pixel needs a new
``PREPROCESSING_VERSION`` and a newly trained model.
"""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from ml.contracts import Box

PREPROCESSING_VERSION = "limb-crop-1"
INPUT_SIZE = 384

GrayImage: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Float32Image: TypeAlias = npt.NDArray[np.float32]

_ANALYSIS_SIDE = 192  # the limb is looked for at this size; finer detail does not move the crop
_CROP_MARGIN = 0.04  # of the longer side of the limb, on each side
_MIN_CROP_FRACTION = 0.15  # a smaller crop is a mistake of the search, so the whole picture is used
_WINDOW_PERCENTILES = (0.5, 99.5)
_JPEG_FILL_GREY = 128  # what decoders write where the data of a cut-off JPEG ends


@dataclass(frozen=True, slots=True)
class Rect:
    """A whole-pixel rectangle: left and top inclusive, right and bottom exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the pixels of the model's input come from.

    ``x_input = (x_image - offset_x) * scale + pad_x``, and likewise for y, with continuous
    coordinates whose origin is the top left corner of the top left pixel.
    """

    crop: Rect
    scale: float
    pad_x: float
    pad_y: float
    input_size: int
    image_width: int
    image_height: int

    def point_to_input(self, x: float, y: float) -> tuple[float, float]:
        """Map image pixels to input pixels."""
        return (
            (x - self.crop.left) * self.scale + self.pad_x,
            (y - self.crop.top) * self.scale + self.pad_y,
        )

    def point_to_image(self, x: float, y: float) -> tuple[float, float]:
        """Map input pixels to image pixels, without clipping."""
        return (
            (x - self.pad_x) / self.scale + self.crop.left,
            (y - self.pad_y) / self.scale + self.crop.top,
        )

    def box_to_input(self, box: Box) -> Box:
        """Map a box of the image to the input, without clipping."""
        x, y = self.point_to_input(box.x, box.y)
        return Box(x, y, box.width * self.scale, box.height * self.scale)

    def box_to_image(self, box: Box) -> Box:
        """Map a box of the input to the image, clipped to the image."""
        left, top = self.point_to_image(box.x, box.y)
        right, bottom = self.point_to_image(box.x + box.width, box.y + box.height)
        left, right = (min(max(value, 0.0), float(self.image_width)) for value in (left, right))
        top, bottom = (min(max(value, 0.0), float(self.image_height)) for value in (top, bottom))
        return Box(left, top, right - left, bottom - top)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The model's input and how to come back from it.

    Attributes:
        pixels: ``float32`` of shape ``(input_size, input_size)``, -1 (darkest, padding) to 1.
        geometry: the mapping to and from the decoded image.
        padding_found: the picture ended in the grey fill of a cut-off JPEG, which was left out.
    """

    pixels: Float32Image
    geometry: Geometry
    padding_found: bool


def prepare(
    image: GrayImage, *, input_size: int = INPUT_SIZE, crop_to_limb: bool = True
) -> Prepared:
    """Crop to the limb, letterbox without distortion, and stretch the grey values.

    Args:
        image: ``(h, w)``, ``uint8`` or ``uint16``, bone bright.
        input_size: side of the square that the model takes.
        crop_to_limb: off only to measure what the crop is worth.
    """
    content, padding_found = find_content(image)
    crop = find_limb(image, content) if crop_to_limb else content
    geometry = letterbox_geometry(
        crop, image_width=image.shape[1], image_height=image.shape[0], input_size=input_size
    )
    view = image[crop.top : crop.bottom, crop.left : crop.right]
    resized = _resize_to(view, geometry)
    low, high = window_limits(resized)
    inner = np.clip((resized - low) * (2.0 / (high - low)) - 1.0, -1.0, 1.0)
    pixels = np.full((input_size, input_size), -1.0, np.float32)
    top, left = int(geometry.pad_y), int(geometry.pad_x)
    pixels[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return Prepared(pixels=pixels, geometry=geometry, padding_found=padding_found)


def letterbox_geometry(
    crop: Rect, *, image_width: int, image_height: int, input_size: int
) -> Geometry:
    """Return the mapping that fits a crop into the input square, centred on whole pixels."""
    scale = input_size / max(crop.width, crop.height)
    fitted_width = _fitted(crop.width, scale, input_size)
    fitted_height = _fitted(crop.height, scale, input_size)
    return Geometry(
        crop=crop,
        scale=scale,
        pad_x=float((input_size - fitted_width) // 2),
        pad_y=float((input_size - fitted_height) // 2),
        input_size=input_size,
        image_width=image_width,
        image_height=image_height,
    )


def window_limits(values: Float32Image | GrayImage) -> tuple[float, float]:
    """Return the grey values that become black and white; always ``low < high``."""
    low, high = np.percentile(values, _WINDOW_PERCENTILES)
    return float(low), float(max(high, low + 1.0))


def find_content(image: GrayImage) -> tuple[Rect, bool]:
    """Leave out the flat grey fill at the bottom of a cut-off JPEG.

    Returns:
        The part with picture data, and whether something was left out.
    """
    height, width = image.shape
    whole = Rect(0, 0, width, height)
    if image.dtype != np.uint8:
        return whole, False
    # The fill always reaches the right edge; its first row of blocks is often half real.
    tail = image[:, -max(4, width // 64) :].astype(np.int16)
    is_fill = np.asarray(np.all(np.abs(tail - _JPEG_FILL_GREY) <= 1, axis=1))
    filled = int(np.argmin(is_fill[::-1])) if not is_fill.all() else height
    if filled < 4 or filled > 0.8 * height:
        return whole, False
    return Rect(0, 0, width, height - filled), True


def find_limb(image: GrayImage, content: Rect | None = None) -> Rect:
    """Return the rectangle that holds what was X-rayed, with a small margin.

    Looks for texture (edges of bone and skin), not brightness, so that exposure, inverted films
    and bright strips at the edge of the plate do not matter. Falls back to the whole content.
    """
    area = content or Rect(0, 0, image.shape[1], image.shape[0])
    view = image[area.top : area.bottom, area.left : area.right]
    factor = min(1.0, _ANALYSIS_SIDE / max(view.shape))
    small = cv2.resize(
        view,
        (max(1, round(view.shape[1] * factor)), max(1, round(view.shape[0] * factor))),
        interpolation=cv2.INTER_AREA,
    ).astype(np.float32)
    if min(small.shape) < 16:
        return area
    mask = _texture_mask(small)
    found = _bounding_box(mask)
    if found is None:
        return area
    left, top, right, bottom = found
    margin = _CROP_MARGIN * max(right - left, bottom - top)
    crop = Rect(
        area.left + max(0, int((left - margin) / factor)),
        area.top + max(0, int((top - margin) / factor)),
        area.left + min(view.shape[1], round((right + margin) / factor)),
        area.top + min(view.shape[0], round((bottom + margin) / factor)),
    )
    if crop.width * crop.height < _MIN_CROP_FRACTION * _MIN_CROP_FRACTION * view.size:
        return area
    return crop


def _texture_mask(small: Float32Image) -> npt.NDArray[np.uint8]:
    """Mark where the picture has structure; strips along the plate's edges are left out."""
    low, high = window_limits(small)
    normal = np.sqrt(np.clip((small - low) / (high - low), 0.0, 1.0))  # lifts faint fingertips
    mean = cv2.blur(normal, (5, 5))
    variance = np.maximum(cv2.blur(normal * normal, (5, 5)) - mean * mean, 0.0)
    deviation = np.sqrt(variance)
    height, width = small.shape
    border = max(2, round(0.035 * max(height, width)))
    for edge in (np.s_[:border], np.s_[-border:], np.s_[:, :border], np.s_[:, -border:]):
        deviation[edge] = 0.0
    threshold = max(0.012, 0.3 * float(np.percentile(deviation, 92)))
    mask = (deviation > threshold).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8)), np.uint8)


def _bounding_box(mask: npt.NDArray[np.uint8]) -> tuple[int, int, int, int] | None:
    """Return the box around all parts of the mask that are large enough and no mere strip."""
    height, width = mask.shape
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    border = max(2, round(0.035 * max(height, width)))
    kept: list[tuple[int, int, int, int]] = []
    largest = max((int(stats[i, cv2.CC_STAT_AREA]) for i in range(1, count)), default=0)
    for i in range(1, count):
        x, y, w, h, size = (int(value) for value in stats[i])
        near_edge = (
            x <= 2 * border
            or y <= 2 * border
            or x + w >= width - 2 * border
            or y + h >= height - 2 * border
        )
        strip = near_edge and min(w / width, h / height) < 0.08
        if size >= max(0.008 * mask.size, 0.06 * largest) and not strip:
            kept.append((x, y, x + w, y + h))
    if not kept:
        return None
    left, top = min(k[0] for k in kept), min(k[1] for k in kept)
    right, bottom = max(k[2] for k in kept), max(k[3] for k in kept)
    # The band beside the plate's edge was blanked: a limb that reaches it goes on to the edge.
    reach = border + 2
    return (
        0 if left <= reach else left,
        0 if top <= reach else top,
        width if right >= width - reach else right,
        height if bottom >= height - reach else bottom,
    )


def _resize_to(view: GrayImage, geometry: Geometry) -> Float32Image:
    """Resize a crop to its size in the input; area averaging keeps thin lines when shrinking."""
    size = (
        _fitted(view.shape[1], geometry.scale, geometry.input_size),
        _fitted(view.shape[0], geometry.scale, geometry.input_size),
    )
    interpolation = cv2.INTER_AREA if geometry.scale < 1.0 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(view, size, interpolation=interpolation), np.float32)


def _fitted(length: int, scale: float, input_size: int) -> int:
    return int(min(input_size, max(1, round(length * scale))))
