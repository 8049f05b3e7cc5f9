"""Display frames to 8-bit JPEGs for pages and lossless grey PNGs for serving."""

import io
import math
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from diagnosis.ingest.results import Rendition
from ml.decoding import Frame

WEB_SIDE: Final = 1600
THUMBNAIL_SIDE: Final = 256
WEB_QUALITY: Final = 88
PERCENTILES: Final = (0.5, 99.5)
_GREYS: Final = 2**16
# Grain does not repeat, so searching for repeats is wasted: four times as fast, no larger.
PNG_STRATEGY: Final = cv2.IMWRITE_PNG_STRATEGY_RLE


def rendition(frame: Frame, *, index: int, side: int) -> Rendition:
    """Make one JPEG whose long side is at most ``side`` pixels."""
    small = windowed(reduced(frame, side))
    height, width = small.shape
    return Rendition(index, int(width), int(height), _encoded(".jpg", small))


def served_png(frame: Frame) -> bytes:
    """Encode a frame losslessly, 8 or 16 bits, without any metadata."""
    return _encoded(".png", frame)


def served_tiff(frames: Sequence[Frame]) -> bytes:
    """Encode several frames losslessly as the pages of one TIFF."""
    pages = [Image.fromarray(frame) for frame in frames]
    buffer = io.BytesIO()
    pages[0].save(
        buffer, "TIFF", save_all=True, append_images=pages[1:], compression="tiff_adobe_deflate"
    )
    return buffer.getvalue()


def reduced(frame: Frame, side: int) -> Frame:
    """Shrink a frame until its long side is at most ``side`` pixels."""
    longest = max(frame.shape)
    if longest <= side:
        return frame
    width = max(1, round(frame.shape[1] * side / longest))
    height = max(1, round(frame.shape[0] * side / longest))
    # Area averaging: a linear tenfold reduction would alias fracture lines away.
    small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    return small.astype(np.uint16) if frame.dtype == np.uint16 else small.astype(np.uint8)


def windowed(frame: Frame) -> npt.NDArray[np.uint8]:
    """Show 16 bits through a percentile window; 8 bits are shown as they are."""
    if frame.dtype == np.uint8:
        return frame.astype(np.uint8, copy=False)
    # Sorting would take ten times as long as counting, and arithmetic twice as long as a table.
    counted = cv2.calcHist([np.ascontiguousarray(frame)], [0], None, [_GREYS], [0, _GREYS])
    below = np.cumsum(counted.ravel().astype(np.int64))
    low, high = (_percentile(below, share) for share in PERCENTILES)
    if high <= low:
        low, high = float(frame.min()), float(max(int(frame.max()), int(frame.min()) + 1))
    shares = np.clip((np.arange(_GREYS, dtype=np.float32) - low) / (high - low), 0.0, 1.0)
    table = np.rint(shares * 255.0).astype(np.uint8)
    return np.asarray(cv2.LUT(np.ascontiguousarray(frame), table), np.uint8)


def _percentile(below: npt.NDArray[np.int64], percent: float) -> float:
    """Return what ``np.percentile`` would; ``below`` is how many pixels are up to each grey."""
    place = percent / 100.0 * float(below[-1] - 1)
    left, right = (
        float(np.searchsorted(below, number, side="right"))
        for number in (math.floor(place), math.ceil(place))
    )
    return left + (right - left) * (place - math.floor(place))


def _encoded(suffix: str, pixels: Frame) -> bytes:
    options = (
        [cv2.IMWRITE_JPEG_QUALITY, WEB_QUALITY]
        if suffix == ".jpg"
        else [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, PNG_STRATEGY]
    )
    done, encoded = cv2.imencode(suffix, np.ascontiguousarray(pixels), options)
    if not done:
        raise ValueError(f"cannot encode {suffix}")
    return encoded.tobytes()
