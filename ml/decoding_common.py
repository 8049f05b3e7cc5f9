"""What every decoder shares: the decoded image, its limits and the stable refusal codes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from ml.contracts import UnreadableImageError

Frame = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
ImageFormat = Literal["png", "jpeg", "tiff", "dicom"]

# Stable: stored in rows, sent by the API and translated for users. Add, never rename.
REFUSAL_CODES: Final = frozenset(
    {
        "archive",
        "damaged",
        "empty_file",
        "memory",
        "no_pixel_data",
        "not_an_image",
        "pdf",
        "svg_or_html",
        "too_large",
        "too_many_frames",
        "too_many_pixels",
        "too_small",
        "unsupported_kind",
        "unsupported_transfer_syntax",
    }
)

# Stable codes of things a reader should know about an accepted image.
WARNING_CODES: Final = frozenset(
    {
        "animation_first_frame",
        "for_processing",
        "pages_skipped",
        "photo_of_film",
        "transparency_flattened",
        "truncated_file",
        "window_ignored",
    }
)

CHROMA_STEP: Final = 32
CHROMA_SHARE: Final = 0.01
LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that are checked on declared sizes, before any pixel is decoded."""

    max_pixels: int = 64_000_000
    min_side: int = 64
    max_frames: int = 512

    def check_size(self, width: int, height: int) -> None:
        """Refuse a frame whose declared size is outside the limits.

        Raises:
            UnreadableImageError: ``damaged``, ``too_small`` or ``too_many_pixels``.
        """
        if width <= 0 or height <= 0:
            raise UnreadableImageError("damaged", "no rows or no columns")
        if min(width, height) < self.min_side:
            raise UnreadableImageError("too_small", f"{width}x{height}")
        if width * height > self.max_pixels:
            raise UnreadableImageError("too_many_pixels", f"{width}x{height}")

    def check_frames(self, count: int) -> None:
        """Refuse more frames than are ever shown.

        Raises:
            UnreadableImageError: ``damaged`` or ``too_many_frames``.
        """
        if count < 1:
            raise UnreadableImageError("damaged", "no frames")
        if count > self.max_frames:
            raise UnreadableImageError("too_many_frames", f"{count} frames")


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """Pixels as a reader expects to see them, and what the file says about itself.

    Attributes:
        frames: each of shape ``(height, width)``, ``uint8`` or ``uint16`` using the full range of
            its type, display polarity (bone bright), upright. Frames of a multi-frame DICOM object
            are decoded when they are asked for and may then raise ``UnreadableImageError``.
        bits: meaningful bits of the source pixels, 1 to 16 (12 for a 12-bit detector).
        modality: DICOM modality in capitals, ``""`` for other formats or when it is missing.
        was_color: the source has real chroma (a photo, a colour overlay), not grey stored as RGB.
        warnings: codes out of ``WARNING_CODES``.
        pixel_spacing: millimetres between rows and between columns, ``None`` when unknown.
        pixel_spacing_origin: ``"patient"`` (calibrated), ``"imager"`` (at the detector) or ``""``.
        header: DICOM keyword to text: whose image it says it is, of which order, and when.
    """

    frames: Sequence[Frame]
    bits: int
    format: ImageFormat
    width: int
    height: int
    frame_count: int
    modality: str = ""
    was_color: bool = False
    warnings: tuple[str, ...] = ()
    transfer_syntax_uid: str = ""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    view_position: str = ""
    laterality: str = ""
    body_part_examined: str = ""
    pixel_spacing: tuple[float, float] | None = None
    pixel_spacing_origin: str = ""
    header: Mapping[str, str] = field(default_factory=dict, repr=False)


@contextmanager
def reading_border() -> Iterator[None]:
    """Turn whatever a parser of hostile bytes raises into one refusal.

    Raises:
        UnreadableImageError: as raised inside, ``memory``, or ``damaged`` for everything else.
    """
    try:
        yield
    except UnreadableImageError:
        raise
    except MemoryError as error:
        raise UnreadableImageError("memory") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError("too_many_pixels") from error
    # Pillow, OpenCV, pydicom and four codecs raise some 15 unrelated types on hostile bytes,
    # RecursionError among them. At this one border they all mean: these bytes cannot be read.
    except Exception as error:
        raise UnreadableImageError("damaged", type(error).__name__) from error
    # A panic of Rust code (run lengths) is no Exception.
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise UnreadableImageError("damaged", "panic") from error


def has_real_color(rgb: npt.NDArray[np.generic]) -> bool:
    """Tell a coloured picture from grey stored in three channels.

    Args:
        rgb: shape ``(height, width, 3)``, ``uint8`` or ``uint16``.
    """
    step = max(1, int((rgb.shape[0] * rgb.shape[1] / 250_000) ** 0.5))
    sample = rgb[::step, ::step].astype(np.int32)
    if rgb.dtype == np.uint16:
        sample >>= 8
    spread = sample.max(axis=2) - sample.min(axis=2)
    return bool((spread > CHROMA_STEP).mean() > CHROMA_SHARE)


def luminance(rgb: npt.NDArray[np.generic]) -> Frame:
    """Return the brightness of an RGB frame in the same integer type; equal channels stay exact."""
    top = np.iinfo(np.uint16 if rgb.dtype == np.uint16 else np.uint8).max
    out = np.empty(rgb.shape[:2], dtype=rgb.dtype)
    for start in range(0, rgb.shape[0], 256):  # in strips: float copies of 64 MP would not fit
        strip = rgb[start : start + 256].astype(np.float32) @ LUMA
        out[start : start + 256] = np.clip(np.rint(strip), 0, top).astype(rgb.dtype)
    return out


def full_range_16(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint16]:
    """Stretch any finite numbers linearly from their minimum and maximum to 0 and 65535."""
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UnreadableImageError("damaged", "pixels are not finite")
    scale = 65535.0 / (high - low) if high > low else 0.0
    out = np.empty(values.shape, dtype=np.uint16)
    for start in range(0, values.shape[0], 256):
        strip = values[start : start + 256].astype(np.float64)
        out[start : start + 256] = np.rint((strip - low) * scale).astype(np.uint16)
    return out
