"""Mutations that know how a file is built: lengths that lie, parts swapped, doubled, cut, nested.

Random bytes rarely come past the first check of a parser. Each function takes a good file and
returns one that is wrong in one or a few places of its structure, the checksums set right.
"""

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pydicom
from PIL import Image
from pydicom.uid import (
    HTJ2K,
    MPEG2MPML,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from ml.data.synthetic import to_dicom
from tests.support.hostile_files import (
    dataset_of,
    good_files,
    mutated,
    nested_sequences,
    polyglot,
    radiograph,
    saved,
)

TAIL = b"PK\x03\x04fracture-polyglot-tail"
SYNTAXES = (
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99",
    RLELossless, JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, HTJ2K,
    MPEG2MPML, "1.2.3.4",
)  # fmt: skip
_LENGTHS = (0, 1, 2, 3, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF, 0x00010000, 0x80000000)
_LONG_VRS = (b"OB", b"OW", b"OF", b"SQ", b"UT", b"UN", b"OD", b"OL", b"UC", b"UR")
_VRS = (b"SQ", b"OB", b"US", b"UL", b"DS", b"IS", b"UI", b"UN", b"FD", b"AT", b"XX", b"\x00\x00")
_NUMBERS = (0, 1, 2, 63, 64, 127, 255, 4096, 32767, 32768, 65535)
_SIZES = (0x00280010, 0x00280011, 0x00280002, 0x00280100, 0x00280101, 0x00280102, 0x00280103)


@cache
def seeds() -> dict[str, bytes]:
    """Return good files of every kind, and some with several frames or pages."""
    frames = dataset_of(to_dicom(radiograph(bits=12)))
    frames.NumberOfFrames = 3
    frames.PixelData = frames.PixelData * 3
    pages = io.BytesIO()
    page = Image.fromarray(radiograph())
    page.save(pages, "TIFF", save_all=True, append_images=[page, page], compression="tiff_lzw")
    files = good_files() | {"frames": saved(frames), "pages": pages.getvalue()}
    return {kind: _named(data) for kind, data in files.items()}


def _named(data: bytes) -> bytes:
    """Let an object say whose it is, so that machines may send it."""
    if data[128:132] != b"DICM":
        return data
    dataset = dataset_of(data)
    dataset.PatientID, dataset.StudyInstanceUID = "FUZZ-1", "1.2.826.0.1.77"
    return saved(dataset)


def fresh(kind: str, rng: random.Random) -> bytes:
    """Return a seed that is another object than all before: its identity is made anew."""
    data = seeds()[kind]
    if data[128:132] != b"DICM":
        return data
    uid = str(dataset_of(data).SOPInstanceUID)
    digits = "".join(rng.choice("123456789") for _ in range(len(uid) - 5))
    return data.replace(uid.encode(), f"2.25.{digits}".encode())


def mutant(rng: random.Random) -> tuple[str, bytes]:
    """Return the kind of a seed and a file that was made of it."""
    kind = rng.choice(sorted(seeds()))
    data = fresh(kind, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(_ways(data))(data, rng)
    return kind, data


def dicom_mutant(rng: random.Random) -> tuple[str, bytes]:
    """Return the same of DICOM seeds alone."""
    while True:
        kind, data = mutant(rng)
        if seeds()[kind][128:132] == b"DICM":
            return kind, data


Way = Callable[[bytes, random.Random], bytes]


def _ways(data: bytes) -> list[Way]:
    anyhow: list[Way] = [mutated, _cut, _tail]
    if data[128:132] == b"DICM":
        return [*anyhow, _element_length, _element_vr, _element_moved, _number, _syntax, _nested,
                _stream, _preamble, _frames]  # fmt: skip
    if data.startswith(b"\x89PNG"):
        return [*anyhow, _png]
    if data.startswith(b"\xff\xd8"):
        return [*anyhow, _jpeg]
    if data.startswith((b"II", b"MM")):
        return [*anyhow, _tiff]
    return anyhow


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _tail(data: bytes, rng: random.Random) -> bytes:
    return data + rng.choice((TAIL, TAIL * 100, b"%PDF-1.7" + TAIL, b"<script>" + TAIL, data))


def _elements(data: bytes) -> list[tuple[int, int, int]]:
    """Return offset, offset of the value, and length of the elements of the first level."""
    found, at = [], 132
    while at + 8 <= len(data) and len(found) < 200:
        if data[at + 4 : at + 6] in _LONG_VRS and at + 12 <= len(data):
            length, value = struct.unpack_from("<I", data, at + 8)[0], at + 12
        else:
            length, value = struct.unpack_from("<H", data, at + 6)[0], at + 8
        found.append((at, value, length))
        if length == 0xFFFFFFFF:
            break
        at = value + length
    return found


def _element(data: bytes, rng: random.Random) -> tuple[int, int, int]:
    found = _elements(data)
    return rng.choice(found) if found else (132, min(140, len(data)), 0)


def _element_length(data: bytes, rng: random.Random) -> bytes:
    at, value, length = _element(data, rng)
    out = bytearray(data)
    new = rng.choice((*_LENGTHS, length + 1, max(0, length - 1), length * 2 & 0xFFFFFFFF))
    if value - at == 12:
        struct.pack_into("<I", out, at + 8, new & 0xFFFFFFFF)
    elif at + 8 <= len(out):
        struct.pack_into("<H", out, at + 6, new & 0xFFFF)
    return bytes(out)


def _element_vr(data: bytes, rng: random.Random) -> bytes:
    at, _value, _length = _element(data, rng)
    return data[: at + 4] + rng.choice(_VRS) + data[at + 6 :]


def _element_moved(data: bytes, rng: random.Random) -> bytes:
    at, value, length = _element(data, rng)
    end = value + length if length != 0xFFFFFFFF else len(data)
    part = data[at:end]
    rest = data[:at] + data[end:]
    to = rng.choice((_element(rest, rng)[0], len(rest)))
    return rng.choice((rest, rest[:to] + part + rest[to:], data[:at] + part + data[at:]))


def _number(data: bytes, rng: random.Random) -> bytes:
    tag = rng.choice(_SIZES)
    at = data.find(struct.pack("<HH", tag >> 16, tag & 0xFFFF) + b"US\x02\x00")
    if at < 0:
        return _element_length(data, rng)
    out = bytearray(data)
    struct.pack_into("<H", out, at + 8, rng.choice(_NUMBERS))
    return bytes(out)


def _frames(data: bytes, rng: random.Random) -> bytes:
    count = rng.choice((b"2147483647", b"-1", b"0", b"512", b"1e9", b"9" * 20, b"\\2"))
    at = data.find(struct.pack("<HH", 0x0028, 0x0010))
    count += b" " * (len(count) % 2)
    element = struct.pack("<HH2sH", 0x0028, 0x0008, b"IS", len(count)) + count
    return data[:at] + element + data[at:] if at > 0 else data


def _syntax(data: bytes, rng: random.Random) -> bytes:
    """Say another transfer syntax than the one that the bytes are in."""
    uid = rng.choice(SYNTAXES).encode()
    uid += b"\x00" * (len(uid) % 2)
    at = data.find(struct.pack("<HH2s", 0x0002, 0x0010, b"UI"))
    if at < 0 or at + 8 > len(data):
        return data
    old = struct.unpack_from("<H", data, at + 6)[0]
    return data[: at + 6] + struct.pack("<H", len(uid)) + uid + data[at + 8 + old :]


def _nested(data: bytes, rng: random.Random) -> bytes:
    whole = nested_sequences(rng.choice((1, 15, 17, 150, 300)))
    at = whole.index(struct.pack("<HH2sH", 0x0008, 0x1140, b"SQ", 0))
    end = whole.index(struct.pack("<HH", 0x0010, 0x0010), at)
    to = _element(data, rng)[0]
    return data[:to] + whole[at:end] + data[to:]


def _stream(data: bytes, rng: random.Random) -> bytes:
    """Change the head of a compressed picture inside, or the pixels when they are not."""
    for marker in (b"\xff\x4f\xff\x51", b"\xff\xc0", b"\xff\xc3", b"\xff\xf7", b"\xfe\xff\x00\xe0"):
        at = data.find(marker)
        if at > 0:
            break
    else:
        at = max(0, len(data) - 2000)
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = min(len(out) - 1, at + rng.randrange(48))
        out[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(out)


def _preamble(data: bytes, rng: random.Random) -> bytes:
    return polyglot(rng.choice((b"MZ", b"II*\x00", b"%PDF-1.7", b"<html>", b"PK\x03\x04")), data)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at + 12 <= len(data):
        length = struct.unpack_from(">I", data, at)[0]
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def _png(data: bytes, rng: random.Random) -> bytes:
    chunks = list(_chunks(data))
    if not chunks:
        return data
    number = rng.randrange(len(chunks))
    kind, body = chunks[number]
    action = rng.randrange(6)
    if action == 0 and len(chunks[0][1]) == 13:
        head = bytearray(chunks[0][1])
        head[rng.randrange(13)] = rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 17, 255))
        chunks[0] = (chunks[0][0], bytes(head))
    elif action == 1:
        chunks[number] = (kind, mutated(body, rng) if body else b"\x00" * 70_000)
    elif action == 2:
        chunks.insert(number, chunks[rng.randrange(len(chunks))])
    elif action == 3:
        del chunks[number]
    elif action == 4:
        extra = rng.choice((b"acTL", b"PLTE", b"tRNS", b"iCCP", b"zTXt", b"eXIf", b"IEND", b"CgBI"))
        chunks.insert(number, (extra, rng.randbytes(rng.choice((0, 1, 8, 13, 769)))))
    else:
        rng.shuffle(chunks)
    out = data[:8]
    for kind, body in chunks:
        length = len(body) if rng.random() > 0.1 else rng.choice(_LENGTHS)
        out += struct.pack(">I", length) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return out


def _jpeg(data: bytes, rng: random.Random) -> bytes:
    marks = [at for at in range(2, min(len(data) - 4, 4000)) if data[at] == 0xFF and data[at + 1]]
    if not marks:
        return data
    at, out = rng.choice(marks), bytearray(data)
    action = rng.randrange(4)
    if action == 0:
        struct.pack_into(">H", out, at + 2, rng.choice((0, 1, 2, 3, 0xFFFF, rng.randrange(65536))))
    elif action == 1:
        out[at + 1] = rng.choice((0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC9, 0xD8, 0xD9, 0xDA, 0xDD, 0xE1))
    elif action == 2:
        place = min(len(out) - 1, at + 4 + rng.randrange(12))
        out[place] = rng.choice((0, 1, 3, 0x11, 0x7F, 0xFF))
    else:
        out[at:at] = out[at : at + rng.randrange(4, 200)]
    return bytes(out)


def _tiff(data: bytes, rng: random.Random) -> bytes:
    order = "<" if data.startswith(b"II") else ">"
    if len(data) < 16:
        return data
    directory = struct.unpack_from(f"{order}I", data, 4)[0]
    if directory + 2 > len(data):
        return data
    count = struct.unpack_from(f"{order}H", data, directory)[0]
    entry = directory + 2 + 12 * rng.randrange(max(1, count))
    if entry + 12 > len(data):
        return data
    out = bytearray(data)
    action = rng.randrange(5)
    if action == 0:
        struct.pack_into(f"{order}I", out, entry + 8, rng.choice((*_LENGTHS, directory, 8)))
    elif action == 1:
        struct.pack_into(f"{order}I", out, entry + 4, rng.choice(_LENGTHS))
    elif action == 2:
        struct.pack_into(f"{order}H", out, entry + 2, rng.randrange(14))
    elif action == 3:
        struct.pack_into(f"{order}H", out, entry, rng.choice((256, 257, 258, 259, 262, 277, 330)))
    else:
        after = directory + 2 + 12 * count  # the next directory: this one again, or nonsense
        if after + 4 <= len(out):
            struct.pack_into(f"{order}I", out, after, rng.choice((directory, 4, 0xFFFFFFF0)))
    return bytes(out)


def tail_of(pixels: np.ndarray) -> bytes:
    """Return a DICOM file with an archive behind it."""
    return to_dicom(pixels) + TAIL


def ends_at_its_last_element(data: bytes) -> bool:
    """Tell whether a served DICOM file has an empty preamble and nothing behind its pixels."""
    stream = io.BytesIO(data)
    dataset = pydicom.dcmread(stream)
    last = [element.tag for element in dataset][-1]
    return not any(data[:128]) and last == 0x7FE00010 and stream.tell() == len(data)
