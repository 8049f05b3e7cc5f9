"""Small files that want to become large, deep or slow, over every codec and container.

Each is refused; ``hostile_files.BOMBS`` has the ones of the decoders' own tests, which are among
them. Nothing here is larger than 25 MB.
"""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    MPEG4HP41,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from ml.data.synthetic import to_dicom, to_jpeg, to_png
from tests.support.hostile_files import (
    BOMBS,
    compressed,
    dataset_of,
    first_stream,
    jpeg_baseline,
    nested_sequences,
    png_header_bomb,
    radiograph,
    saved,
    with_stream,
)

_ZEROS = np.zeros((64, 64), dtype=np.uint8)


def _j2k(offset: int, form: str, *values: int) -> bytes:
    """Return a JPEG 2000 object whose size marker was changed ``offset`` bytes behind it."""
    data = compressed(_ZEROS, JPEG2000Lossless)
    stream = bytearray(first_stream(data))
    struct.pack_into(form, stream, stream.index(b"\xff\x4f\xff\x51") + 2 + offset, *values)
    return with_stream(data, bytes(stream))


def _htj2k() -> bytes:
    dataset = dataset_of(_j2k(6, ">2I", 60_000, 60_000))
    dataset.file_meta.TransferSyntaxUID = HTJ2K
    return saved(dataset)


def _of_size(uid: str, rows: int, columns: int, frames: int = 1) -> bytes:
    """Return an object whose data set says a size that its few bytes cannot have."""
    dataset = dataset_of(compressed(_ZEROS, uid) if uid else to_dicom(radiograph()))
    dataset.Rows, dataset.Columns = rows, columns
    if frames > 1:
        dataset.NumberOfFrames = frames
    return saved(dataset)


def _frames(count: int) -> bytes:
    stream = first_stream(compressed(_ZEROS, JPEGLSLossless))
    return with_stream(compressed(_ZEROS, JPEGLSLossless), stream, frames=count)


def _rle_segments() -> bytes:
    data = compressed(_ZEROS, RLELossless)
    return with_stream(data, struct.pack("<16L", 15, *[64] * 15) + b"\x81\x00" * 2_000_000)


def _jpeg_scans() -> bytes:
    """A progressive JPEG whose last scan comes thousands of times; each costs a whole pass."""
    buffer = io.BytesIO()
    picture = Image.linear_gradient("L").resize((4000, 4000))
    picture.save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2][:4000] * 4000 + data[-2:]


def _jpeg_scans_in_dicom() -> bytes:
    dataset = dataset_of(jpeg_baseline(radiograph(size=(128, 128))))
    dataset.Rows = dataset.Columns = 4000
    dataset.PixelData = encapsulate([_jpeg_scans()])
    return saved(dataset)


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png_text() -> bytes:
    """A compressed comment of 200 MB."""
    good = to_png(radiograph())
    text = _png_chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(b"\x00" * 200_000_000, 9))
    return good[:33] + text * 20 + png_header_bomb()[33:]


def _png_rows() -> bytes:
    """Rows of 400 MB for 500 x 500 pixels, and no end."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 16, 6, 0, 0, 1)
    rows = _png_chunk(b"IDAT", zlib.compress(b"\x00" * 400_000_000, 9))
    return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", head) + rows


def _tiff(**changes: tuple[int, int]) -> bytes:
    """Return a TIFF in which entries (by tag) have another count and value."""
    buffer = io.BytesIO()
    Image.fromarray(radiograph()).save(buffer, "TIFF", compression="tiff_adobe_deflate")
    data = bytearray(buffer.getvalue())
    directory = struct.unpack_from("<I", data, 4)[0]
    for number in range(struct.unpack_from("<H", data, directory)[0]):
        at = directory + 2 + 12 * number
        tag = struct.unpack_from("<H", data, at)[0]
        if f"t{tag}" in changes:
            struct.pack_into("<HII", data, at + 2, 4, *changes[f"t{tag}"])
    return bytes(data)


def _tiff_pages() -> bytes:
    """Thousands of pages that are all the same one."""
    one = Image.new("L", (64, 64))
    buffer = io.BytesIO()
    one.save(buffer, "TIFF", save_all=True, append_images=[one] * 3000)
    return buffer.getvalue()


def _big_tiff() -> bytes:
    directory = struct.pack("<QQ", 16, 2**62)
    return b"II+\x00\x08\x00\x00\x00" + directory + b"\x00" * 99


def _animated(kind: str) -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("L", (64, 64), n % 256) for n in range(300)]
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def _zip_of_zeros() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            archive.writestr(f"{number}.dcm", b"\x00" * 10_000_000)
    return buffer.getvalue()


def _laughs() -> bytes:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    kind = f'<!DOCTYPE svg [<!ENTITY l0 "ha">{entities}]>'
    return f'<?xml version="1.0"?>{kind}<svg>&l9;</svg>'.encode()


def _elements(count: int) -> bytes:
    """Hundreds of thousands of private elements before the picture."""
    body = b"".join(
        struct.pack("<HH2sH", 0x0009, 0x1000 + n % 0xF000, b"LO", 0) for n in range(count)
    )
    return _before_pixels(body, rows=0)


def _long_value() -> bytes:
    return _before_pixels(struct.pack("<HH2sH", 0x0009, 0x1000, b"DS", 0xFFFE) + b"1\\" * 32767, 0)


def _lying_length() -> bytes:
    return _before_pixels(struct.pack("<HH2sHI", 0x0009, 0x1000, b"OB", 0, 0xFFFFFFF0), 65535)


def _before_pixels(body: bytes, rows: int) -> bytes:
    """Put elements in front of the picture, of which there then are none or too many rows."""
    whole = to_dicom(radiograph())
    at = whole.index(struct.pack("<HH", 0x0010, 0x0010))
    out = bytearray(whole[:at] + body + whole[at:])
    place = out.rindex(struct.pack("<HH", 0x0028, 0x0010) + b"US\x02\x00")
    struct.pack_into("<H", out, place + 8, rows)
    return bytes(out)


def _defined_nesting(depth: int) -> bytes:
    """Sequences within sequences, each of a length that it says."""
    body = b""
    for _ in range(depth):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(body)) + body
        body = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, len(item)) + item
    return _before_pixels(body, 0)


def _lut() -> bytes:
    """A look-up table that says more entries than it has."""
    dataset = dataset_of(to_dicom(radiograph(bits=12)))
    table = Dataset()
    table.LUTDescriptor = [0, 0, 16]
    table.add_new("LUTData", "OW", b"\x00" * 8)
    dataset.VOILUTSequence = [table] * 2000
    dataset.Rows = 65535
    return saved(dataset)


def _video() -> bytes:
    dataset = dataset_of(jpeg_baseline(radiograph(size=(128, 128))))
    dataset.file_meta.TransferSyntaxUID = MPEG4HP41
    return saved(dataset)


FILES: dict[str, Callable[[], bytes]] = {
    **{name: make for name, (make, _code) in BOMBS.items()},
    "j2k-components": lambda: _j2k(38, ">H", 16384),
    "j2k-precision": lambda: _j2k(40, ">B", 0xA5),
    "j2k-huge": lambda: _j2k(6, ">2I", 0xFFFFFFFF, 0xFFFFFFFF),
    "j2k-offset": lambda: _j2k(14, ">2I", 0xFFFFFFF0, 0xFFFFFFF0),
    "htj2k-size": _htj2k,
    "jpeg-ls-declared": lambda: _of_size(JPEGLSLossless, 65535, 65535),
    "jpeg-ls-frames": lambda: _frames(600),
    "rle-declared": lambda: _of_size(RLELossless, 65535, 65535),
    "rle-segments": _rle_segments,
    "rle-many-frames": lambda: _of_size(RLELossless, 8000, 8000, 512),
    "native-declared": lambda: _of_size("", 65535, 65535),
    "native-frames": lambda: _of_size("", 8000, 8000, 512),
    "jpeg-scans": _jpeg_scans,
    "jpeg-scans-in-dicom": _jpeg_scans_in_dicom,
    "png-comments": _png_text,
    "png-interlaced": _png_rows,
    "tiff-strips": lambda: _tiff(t278=(1, 1), t279=(0x7FFFFFFF, 8)),
    "tiff-bits": lambda: _tiff(t258=(1, 64), t277=(1, 65535)),
    "tiff-pages": _tiff_pages,
    "big-tiff": _big_tiff,
    "gif-animated": lambda: _animated("GIF"),
    "webp-animated": lambda: _animated("WEBP"),
    "zip": _zip_of_zeros,
    "gzip": lambda: gzip.compress(b"\x00" * 100_000_000),
    "svg-laughs": _laughs,
    "html": lambda: b"<!doctype html><script>" + b"a" * 1_000_000,
    "pdf": lambda: b"%PDF-1.7\n" + to_jpeg(radiograph()),
    "nested-5000": lambda: nested_sequences(5000),
    "nested-defined": lambda: _defined_nesting(2000),
    "elements": lambda: _elements(300_000),
    "long-value": _long_value,
    "length-lies": _lying_length,
    "look-up-tables": _lut,
    "video": _video,
}
