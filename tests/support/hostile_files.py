"""Builders of image files for tests: every kind that is accepted, and those that must not hurt."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from ml.data.synthetic import synthetic_radiograph, to_dicom, to_jpeg, to_png


def radiograph(*, size: tuple[int, int] = (160, 128), bits: int = 8, seed: int = 1) -> np.ndarray:
    return synthetic_radiograph(seed, region="leg", size=size, bits=bits).pixels


def dataset_of(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def saved(dataset: Dataset, **options: object) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, **options)
    return buffer.getvalue()


def native(pixels: np.ndarray, uid: UID) -> bytes:
    """Re-encode without compression: implicit VR or big-endian."""
    source = dataset_of(to_dicom(pixels))
    values = source.pixel_array
    dataset = Dataset()  # one that was never read, or pydicom refuses to change the byte order
    for element in source:
        dataset.add(element)
    dataset.file_meta = source.file_meta
    dataset.file_meta.TransferSyntaxUID = uid
    if uid == ExplicitVRBigEndian:
        dataset.PixelData = values.astype(values.dtype.newbyteorder(">")).tobytes()
    return saved(dataset, enforce_file_format=True)


def compressed(pixels: np.ndarray, uid: UID) -> bytes:
    dataset = dataset_of(to_dicom(pixels))
    options = {"j2k_psnr": [60]} if uid == JPEG2000 else {}
    if uid == JPEGLSNearLossless:
        options = {"jls_error": 1}
    dataset.compress(uid, **options)
    return saved(dataset)


def jpeg_baseline(pixels: np.ndarray) -> bytes:
    dataset = dataset_of(to_dicom(pixels))
    dataset.PixelData = encapsulate([to_jpeg(pixels, quality=98)])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return saved(dataset)


def first_stream(data: bytes) -> bytes:
    return next(generate_frames(dataset_of(data).PixelData, number_of_frames=1))


def with_stream(data: bytes, stream: bytes, frames: int = 1) -> bytes:
    dataset = dataset_of(data)
    dataset.PixelData = encapsulate([stream] * frames)
    dataset["PixelData"].is_undefined_length = True
    if frames > 1:
        dataset.NumberOfFrames = frames
    return saved(dataset)


def j2k_bomb() -> bytes:
    """1.5 kB that say 64 x 64 in the data set and 16000 x 16000 in the codestream."""
    data = compressed(np.zeros((64, 64), dtype=np.uint8), JPEG2000Lossless)
    stream = bytearray(first_stream(data))
    at = stream.index(b"\xff\x4f\xff\x51") + 8
    struct.pack_into(">8I", stream, at, 16000, 16000, 0, 0, 16000, 16000, 0, 0)
    return with_stream(data, bytes(stream))


def j2k_tile_bomb() -> bytes:
    data = compressed(np.zeros((4000, 4000), dtype=np.uint8), JPEG2000Lossless)
    stream = bytearray(first_stream(data))
    struct.pack_into(">2I", stream, stream.index(b"\xff\x4f\xff\x51") + 24, 1, 1)
    return with_stream(data, bytes(stream))


def jpeg_ls_bomb() -> bytes:
    data = compressed(np.zeros((64, 64), dtype=np.uint8), JPEGLSLossless)
    stream = bytearray(first_stream(data))
    struct.pack_into(">2H", stream, stream.index(b"\xff\xf7") + 5, 60000, 60000)
    return with_stream(data, bytes(stream))


def jpeg_bomb_in_dicom() -> bytes:
    data = jpeg_baseline(radiograph(size=(128, 128)))
    stream = bytearray(first_stream(data))
    struct.pack_into(">2H", stream, stream.index(b"\xff\xc0") + 5, 60000, 60000)
    return with_stream(data, bytes(stream))


def rle_too_short() -> bytes:
    """A few bytes that should fill 8000 x 8000 pixels."""
    data = compressed(np.zeros((64, 64), dtype=np.uint8), RLELossless)
    dataset = dataset_of(data)
    dataset.Rows = dataset.Columns = 8000
    return saved(dataset)


def rle_overflow() -> bytes:
    """20 MB that unpack to 1.3 GB for 128 x 128 pixels."""
    data = compressed(np.zeros((128, 128), dtype=np.uint8), RLELossless)
    return with_stream(data, struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\x00" * 10_000_000)


def deflated_bomb() -> bytes:
    dataset = dataset_of(to_dicom(radiograph()))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.add_new(0x00420011, "OB", b"\x00" * 300_000_000)
    return saved(dataset)


def png_header_bomb(side: int = 50_000) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\x00" * 1_000_000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def jpeg_header_bomb() -> bytes:
    data = bytearray(to_jpeg(radiograph()))
    struct.pack_into(">2H", data, data.index(b"\xff\xc0") + 5, 65000, 65000)
    return bytes(data)


def tiff_header_bomb() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (200, 200)).save(buffer, "TIFF", compression="tiff_adobe_deflate")
    data = bytearray(buffer.getvalue())
    entries = struct.unpack_from("<I", data, 4)[0]
    for i in range(struct.unpack_from("<H", data, entries)[0]):
        at = entries + 2 + 12 * i
        if struct.unpack_from("<H", data, at)[0] in {256, 257}:
            struct.pack_into("<HI", data, at + 2, 4, 1)
            struct.pack_into("<I", data, at + 8, 100_000)
    return bytes(data)


def endless_frames() -> bytes:
    dataset = dataset_of(to_dicom(radiograph()))
    dataset.NumberOfFrames = 2**31 - 1
    return saved(dataset)


def nested_sequences(depth: int = 600) -> bytes:
    inner = Dataset()
    inner.PatientID = "X"
    body = b""
    for _ in range(depth):
        body = (
            struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
            + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
            + body
            + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
            + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        )
    whole = to_dicom(radiograph())
    at = whole.index(struct.pack("<HH", 0x0010, 0x0010))
    return whole[:at] + body + whole[at:]


def polyglot(start: bytes, data: bytes) -> bytes:
    """Put another file's magic into the preamble and an archive behind the end."""
    preamble = start + b"\x90" * (128 - len(start))
    return preamble + data[128:] + b"PK\x03\x04" + b"trailing archive" * 100


def identified(pixels: np.ndarray, canary: str) -> bytes:
    """A DICOM object that says who the patient is in every kind of place."""
    dataset = dataset_of(to_dicom(pixels, photometric="MONOCHROME1"))
    dataset.PatientName = f"{canary}^Name"
    dataset.PatientID = f"{canary}-ID"
    dataset.InstitutionName = dataset.StudyDescription = f"{canary} text"
    dataset.add_new(0x00091001, "LO", f"{canary} private")
    item = Dataset()
    item.PatientID = f"{canary}-other"
    dataset.OtherPatientIDsSequence = Sequence([item])
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 12]
    table.LUTExplanation = f"{canary} lut"
    table.add_new("LUTData", "OW", np.arange(4096, dtype="<u2").tobytes())
    dataset.VOILUTSequence = Sequence([table])
    del dataset.WindowCenter, dataset.WindowWidth
    return saved(dataset)


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "j2k-size": (j2k_bomb, "damaged"),
    "j2k-tiles": (j2k_tile_bomb, "damaged"),
    "jpeg-ls-size": (jpeg_ls_bomb, "damaged"),
    "jpeg-size-in-dicom": (jpeg_bomb_in_dicom, "damaged"),
    "rle-too-short": (rle_too_short, "damaged"),
    "deflated": (deflated_bomb, "too_large"),
    "png-header": (png_header_bomb, "too_many_pixels"),
    "jpeg-header": (jpeg_header_bomb, "too_many_pixels"),
    "tiff-header": (tiff_header_bomb, "too_many_pixels"),
    "frames": (endless_frames, "too_many_frames"),
    "nested-sequences": (nested_sequences, "damaged"),
}


GOOD_KINDS = (
    "png", "png16", "jpeg", "tiff16", "dicom", "implicit", "big-endian", "rle", "jpeg-ls", "j2k",
    "jpeg-in-dicom",
)  # fmt: skip


@cache
def good_files() -> dict[str, bytes]:
    """Return one small file of each kind that is accepted."""
    grey, wide = radiograph(), radiograph(bits=12)
    tiff = io.BytesIO()
    Image.fromarray(wide).save(tiff, "TIFF")
    return {
        "png": to_png(grey),
        "png16": to_png(wide),
        "jpeg": to_jpeg(grey),
        "tiff16": tiff.getvalue(),
        "dicom": to_dicom(wide),
        "implicit": native(wide, ImplicitVRLittleEndian),
        "big-endian": native(wide, ExplicitVRBigEndian),
        "rle": compressed(wide, RLELossless),
        "jpeg-ls": compressed(wide, JPEGLSLossless),
        "j2k": compressed(wide, JPEG2000Lossless),
        "jpeg-in-dicom": jpeg_baseline(grey),
    }


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Flip, overwrite, cut, repeat or insert, mostly in the header."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if not out:
            break
        at = rng.randrange(min(len(out), rng.choice([200, 1000, len(out)])))
        action = rng.randrange(5)
        if action == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif action == 1:
            out[at : at + 4] = rng.choice([b"\xff" * 4, b"\x00" * 4, rng.randbytes(4)])
        elif action == 2:
            del out[at : at + rng.randint(1, 64)]
        elif action == 3:
            out[at:at] = rng.randbytes(rng.randint(1, 16))
        else:
            out = out[: max(1, len(out) - rng.randrange(len(out)))]
    return bytes(out)
