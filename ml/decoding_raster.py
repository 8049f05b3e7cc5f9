"""PNG, JPEG and TIFF to upright grey frames, keeping 16 bits."""

import io
import struct
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from ml.contracts import UnreadableImageError
from ml.decoding_common import (
    DecodedImage,
    Frame,
    Limits,
    full_range_16,
    has_real_color,
    luminance,
)

MAX_MISSING_SHARE: Final = 0.6  # the worst of 54 real cut radiographs lacks 0.51
JPEG_GREY: Final = 128  # what libjpeg paints where data is missing
JPEG_BLOCKS: Final = (
    16,
    8,
)  # heights of the last row of blocks, of which the left part may be there
MAX_SCANS: Final = 100
MAX_SCANNED_PIXELS: Final = 640_000_000  # the largest picture in ten scans
EXIF_ORIENTATION: Final = 274
TIFF_PHOTOMETRIC: Final = 262
MODES_16: Final = ("I;16", "I;16L", "I;16B", "I;16N")


def decode_png(data: bytes, limits: Limits) -> DecodedImage:
    """Decode a PNG file; an animation gives its first picture."""
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise UnreadableImageError("damaged", "no IHDR")
    width, height, depth, color_type = struct.unpack(">IIBB", data[16:26])
    limits.check_size(width, height)
    notes: list[str] = []
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        if getattr(image, "is_animated", False):
            notes.append("animation_first_frame")
        if depth == 16 and color_type != 0:
            image.load()  # checks the whole file; Pillow alone would reduce it to 8 bits
            frame, color = _wide_png(data, notes)
            upright = _oriented(frame, image.getexif().get(EXIF_ORIENTATION, 1))
        else:
            image.load()
            upright, color = _grey(ImageOps.exif_transpose(image), notes)
    return _result("png", [upright], depth, color=color, notes=notes)


def check_scans(data: bytes, width: int, height: int) -> None:
    """Refuse a progressive JPEG that wants its pixels gone over again and again.

    A scan of a few bytes costs as much time as one that says something. Real files have about ten.

    Raises:
        UnreadableImageError: ``too_many_pixels``.
    """
    scans = data.count(b"\xff\xda")
    if scans > MAX_SCANS or scans * width * height > MAX_SCANNED_PIXELS:
        raise UnreadableImageError("too_many_pixels", f"{scans} scans")


def decode_jpeg(data: bytes, limits: Limits) -> DecodedImage:
    """Decode a JPEG file; one cut at the end is accepted while most of the picture is there."""
    width, height, precision = _jpeg_header(data)
    limits.check_size(width, height)
    if precision != 8:
        raise UnreadableImageError("unsupported_kind", f"{precision}-bit JPEG")
    check_scans(data, width, height)
    notes: list[str] = []
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        try:
            image.load()
            whole: Image.Image = image
        except OSError:
            whole = _cut_jpeg(data)
            notes.append("truncated_file")
        frame, color = _grey(ImageOps.exif_transpose(whole), notes)
    return _result("jpeg", [frame], 8, color=color, notes=notes)


def decode_tiff(data: bytes, limits: Limits) -> DecodedImage:
    """Decode a TIFF file; pages of the size of the first are frames, others are left out."""
    frames: list[Frame] = []
    notes: list[str] = []
    color = False
    bits = 8
    with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
        limits.check_size(*image.size)
        size = image.size
        pages = getattr(image, "n_frames", 1)
        limits.check_frames(pages)
        if pages * size[0] * size[1] > limits.max_pixels * 4:
            raise UnreadableImageError("too_many_pixels", "all pages together")
        for page in range(pages):
            image.seek(page)
            if image.size != size:
                notes.append("pages_skipped")
                continue
            bits = max(bits, 16 if image.mode in (*MODES_16, "I", "F", "I;12") else 8)
            frame, page_color = _tiff_page(image, notes)
            color = color or page_color
            frames.append(frame)
    return _result("tiff", frames, bits, color=color, notes=notes)


def _tiff_page(image: Image.Image, notes: list[str]) -> tuple[Frame, bool]:
    tags = getattr(image, "tag_v2", {})
    white_is_zero = tags.get(TIFF_PHOTOMETRIC) == 0
    wide = image.mode in MODES_16
    image.load()  # turns the page upright
    frame, color = _grey(image.copy(), notes)
    if wide and white_is_zero:  # Pillow inverts 1 and 8 bits itself, but not 16
        frame = np.bitwise_not(frame)
    return frame, color


def _grey(image: Image.Image, notes: list[str]) -> tuple[Frame, bool]:
    """Turn any Pillow mode into one grey frame; tell whether it had real colour."""
    if image.mode in MODES_16:
        return np.asarray(image).astype(np.uint16), False
    if image.mode in {"I", "F"}:
        return _wide_numbers(np.asarray(image)), False
    if image.mode in {"L", "1"}:
        return np.array(image.convert("L"), dtype=np.uint8), False
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        if rgba.getchannel("A").getextrema() != (255, 255):
            notes.append("transparency_flattened")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    rgb = image.convert("RGB")
    color = has_real_color(np.asarray(rgb))
    return np.array(rgb.convert("L"), dtype=np.uint8), color


def _wide_numbers(values: npt.NDArray[np.generic]) -> Frame:
    """Keep numbers that fit 16 bits as they are, stretch all others."""
    if values.dtype.kind in "iu" and int(values.min()) >= 0 and int(values.max()) <= 65535:
        return values.astype(np.uint16)
    return full_range_16(values)


def _wide_png(data: bytes, notes: list[str]) -> tuple[Frame, bool]:
    """Decode a 16-bit PNG with colour or alpha, which Pillow would reduce to 8 bits."""
    pixels = cv2.imdecode(
        np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    )
    if pixels is None or pixels.dtype != np.uint16:
        raise UnreadableImageError("damaged", "16-bit PNG")
    if pixels.ndim == 2:
        return pixels.astype(np.uint16, copy=False), False
    rgb = np.ascontiguousarray(pixels[:, :, 2::-1])
    if pixels.shape[2] == 4:
        alpha = pixels[:, :, 3:].astype(np.uint32)
        if int(alpha.min()) < 65535:
            notes.append("transparency_flattened")
            rgb = (rgb.astype(np.uint32) * alpha // 65535).astype(np.uint16)
    return luminance(rgb), has_real_color(rgb)


def _oriented(frame: Frame, orientation: object) -> Frame:
    """Apply an EXIF orientation (1 to 8) to an array."""
    if orientation in {5, 6, 7, 8}:
        frame = frame.T
    if orientation in {3, 4, 7, 8}:
        frame = frame[::-1]
    if orientation in {2, 3, 6, 7}:
        frame = frame[:, ::-1]
    upright: Frame = np.ascontiguousarray(frame)  # type: ignore[assignment]
    return upright


def _jpeg_header(data: bytes) -> tuple[int, int, int]:
    """Return width, height and bits of a JPEG file.

    Raises:
        UnreadableImageError: ``damaged`` without a frame header, ``unsupported_kind`` for lossless.
    """
    header = jpeg_frame_header(data)
    if header is None:
        raise UnreadableImageError("damaged", "no frame header")
    marker, precision, height, width, _components = header
    if marker in {0xC3, 0xC7, 0xCB, 0xCF, 0xF7}:
        raise UnreadableImageError("unsupported_kind", "lossless JPEG")
    return width, height, precision


def jpeg_frame_header(data: bytes) -> tuple[int, int, int, int, int] | None:
    """Read the first SOF of a JPEG or JPEG-LS stream (ITU T.81 B.2.2, T.87 C.2.2).

    Returns:
        marker, precision, height, width, components; ``None`` when there is none.
    """
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4])
        if (0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}) or marker == 0xF7:
            body = data[at + 4 : at + 10]
            if len(body) < 6:
                return None
            precision, height, width, components = struct.unpack(">BHHB", body)
            return marker, precision, height, width, components
        if marker in {0xD9, 0xDA} or length < 2:
            return None
        at += 2 + length
    return None


def _cut_jpeg(data: bytes) -> Image.Image:
    """Decode a JPEG whose end is missing.

    Raises:
        UnreadableImageError: ``damaged`` when too much of the picture is missing.
    """
    image = Image.open(io.BytesIO(data + b"\xff\xd9" * 8), formats=("JPEG",))
    image.load()
    painted = np.abs(np.asarray(image.convert("L")).astype(np.int16) - JPEG_GREY) <= 1
    rows: npt.NDArray[np.bool_] = np.all(painted, axis=1)
    missing = len(rows) if rows.all() else int(np.argmin(rows[::-1]))
    if missing > MAX_MISSING_SHARE * len(rows):
        raise UnreadableImageError("damaged", f"{missing} of {len(rows)} rows are missing")
    if image.mode not in {"L", "RGB"}:
        return image
    pixels = np.array(image)
    first = len(rows) - missing
    pixels[first:] = 0  # a grey slab would look like tissue, black is background
    for height in JPEG_BLOCKS:
        block = slice(max(0, first - height), first)
        columns: npt.NDArray[np.bool_] = np.all(painted[block], axis=0)
        absent = 0 if columns.all() else int(np.argmin(columns[::-1]))
        if missing and absent:
            pixels[block, len(columns) - absent :] = 0
            break
    return Image.fromarray(pixels)


def _result(
    kind: str, frames: list[Frame], bits: int, *, color: bool, notes: list[str]
) -> DecodedImage:
    height, width = frames[0].shape
    return DecodedImage(
        frames=tuple(frames),
        bits=bits,
        format=kind,  # type: ignore[arg-type]  # the three callers pass literals
        width=int(width),
        height=int(height),
        frame_count=len(frames),
        was_color=color,
        warnings=tuple(dict.fromkeys(notes)),
    )
