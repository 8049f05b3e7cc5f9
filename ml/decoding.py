"""Bytes of a PNG, JPEG, TIFF or DICOM file to pixels in display polarity, or a stable refusal.

The kind of a file is told by its content, never by its name. Sizes are checked on headers before
anything is decoded. Hostile files belong in a limited process (``diagnosis.ingest``): the libraries
below are native code.
"""

import warnings
from typing import Final

from ml.contracts import UnreadableImageError
from ml.decoding_common import (
    REFUSAL_CODES,
    WARNING_CODES,
    DecodedImage,
    Frame,
    Limits,
    full_range_16,
    has_real_color,
    reading_border,
)
from ml.decoding_dicom import decode_dicom, is_dicom
from ml.decoding_raster import decode_jpeg, decode_png, decode_tiff

__all__ = [
    "REFUSAL_CODES",
    "WARNING_CODES",
    "DecodedImage",
    "Frame",
    "Limits",
    "decode_image",
    "full_range_16",
    "has_real_color",
    "sniff",
]

HEAD_BYTES: Final = 1024
ARCHIVES: Final = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"PK\x07\x08",
    b"\x1f\x8b",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"\xfd7zXZ\x00",
    b"BZh",
    b"\x28\xb5\x2f\xfd",
)
OTHER_PICTURES: Final = (
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"8BPS",
    b"\x00\x00\x01\x00",
    b"\x00\x00\x00\x0cjP  ",
    b"\xff\x4f\xff\x51",
    b"\xff\x0a",
    b"\x00\x00\x00\x0cJXL ",
    b"P1",
    b"P2",
    b"P3",
    b"P4",
    b"P5",
    b"P6",
    b"SIMPLE  =",
    b"\x5c\x01\x00\x00",
    b"NRRD",
    b"\x1a\x45\xdf\xa3",
    b"\x00\x00\x01\xba",
    b"\x00\x00\x01\xb3",
)
TIFF_STARTS: Final = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
MARKUP: Final = (b"<svg", b"<!doctype", b"<html", b"<?xml", b"<script", b"<body", b"<head", b"<!--")


def sniff(data: bytes) -> str:
    """Tell what the bytes are: ``png jpeg tiff dicom`` or the code with which they are refused."""
    if not data:
        return "empty_file"
    head = data[:HEAD_BYTES]
    # DICOM first: its preamble may legally look like a TIFF, an executable or a page.
    if is_dicom(data):
        return "dicom"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(TIFF_STARTS):
        return "tiff"
    return _refusal(head)


def _refusal(head: bytes) -> str:
    if b"%PDF-" in head:
        return "pdf"
    if head.startswith(ARCHIVES) or head[257:262] == b"ustar":
        return "archive"
    text = head.removeprefix(b"\xef\xbb\xbf").replace(b"\x00", b"").lstrip().lower()
    if text.removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff").lstrip().startswith(MARKUP):
        return "svg_or_html"
    riff = head.startswith(b"RIFF") and head[8:12] in {b"WEBP", b"AVI "}
    if riff or head[4:8] == b"ftyp" or head.startswith(OTHER_PICTURES):
        return "unsupported_kind"
    return "not_an_image"


def decode_image(
    data: bytes,
    *,
    max_pixels: int = 64_000_000,
    min_side: int = 64,
    max_frames: int = 512,
) -> DecodedImage:
    """Decode one file.

    Args:
        data: the whole file.
        max_pixels: largest accepted width times height of a frame.
        min_side: smallest accepted width and height.
        max_frames: largest accepted number of frames or pages.

    Raises:
        UnreadableImageError: with a code out of ``REFUSAL_CODES``.
    """
    limits = Limits(max_pixels=max_pixels, min_side=min_side, max_frames=max_frames)
    kind = sniff(data)
    decoders = {
        "png": decode_png,
        "jpeg": decode_jpeg,
        "tiff": decode_tiff,
        "dicom": decode_dicom,
    }
    if kind not in decoders:
        raise UnreadableImageError(kind)
    with reading_border(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # parsers warn with values of the file
        return decoders[kind](data, limits)
