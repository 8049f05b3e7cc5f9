"""Headers of DICOM files and of the compressed frames in them, read without any codec or parser."""

import itertools
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from ml.contracts import UnreadableImageError
from ml.decoding_raster import jpeg_frame_header

IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
RLE: Final = "1.2.840.10008.1.2.5"
J2K: Final = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203))
JPEG_MARKERS: Final = {
    "1.2.840.10008.1.2.4.50": {0xC0, 0xC1},
    "1.2.840.10008.1.2.4.51": {0xC0, 0xC1},
    "1.2.840.10008.1.2.4.57": {0xC3},
    "1.2.840.10008.1.2.4.70": {0xC3},
    "1.2.840.10008.1.2.4.80": {0xF7},
    "1.2.840.10008.1.2.4.81": {0xF7},
}
LONG_VRS: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR",
                             b"UT", b"SV", b"UV"})  # fmt: skip
SHORT_VRS: Final = frozenset({b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS",
                              b"LO", b"LT", b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL",
                              b"US"})  # fmt: skip
MAX_META_BYTES: Final = 65_536
MAX_TILES: Final = 4096
MAX_INFLATED_BYTES: Final = 256 * 2**20


@dataclass(frozen=True, slots=True)
class FileMeta:
    """How the data set is encoded and where it starts."""

    transfer_syntax_uid: str
    dataset_offset: int

    @property
    def is_implicit(self) -> bool:
        """Tell whether elements carry no VR."""
        return self.transfer_syntax_uid == IMPLICIT

    @property
    def is_little_endian(self) -> bool:
        """Tell the byte order of the data set."""
        return self.transfer_syntax_uid != BIG_ENDIAN

    @property
    def is_encapsulated(self) -> bool:
        """Tell whether pixels are compressed frame by frame."""
        return self.transfer_syntax_uid not in {IMPLICIT, EXPLICIT, BIG_ENDIAN}


def is_dicom(data: bytes) -> bool:
    """Recognise Part 10 files, and bare data sets or meta headers as old devices write them."""
    if data[128:132] == b"DICM" or data[:6] == b"\x02\x00\x00\x00UL":
        return True
    return data[:2] == b"\x08\x00" and _looks_like_elements(data)


def _looks_like_elements(data: bytes) -> bool:
    """Tell whether three elements in ascending order stand at the start of ``data``."""
    at, previous = 0, (0, 0)
    for _ in range(3):
        element = _element(data, at)
        if element is None or element[0] <= previous or element[0][0] > 0x0010:
            return False
        previous, at = element[0], element[1] + element[2]
    return True


def _element(data: bytes, at: int) -> tuple[tuple[int, int], int, int, bool] | None:
    """Return tag, start of the value, its length and whether a VR was given."""
    head = data[at : at + 12]
    if len(head) < 8:
        return None
    tag = struct.unpack_from("<HH", head)
    vr = head[4:6]
    if vr in SHORT_VRS:
        start, length, explicit = at + 8, int(struct.unpack_from("<H", head, 6)[0]), True
    elif vr in LONG_VRS and len(head) == 12:
        start, length, explicit = at + 12, int(struct.unpack_from("<I", head, 8)[0]), True
    else:
        start, length, explicit = at + 8, int(struct.unpack_from("<I", head, 4)[0]), False
    if start + length > len(data):
        return None
    return (int(tag[0]), int(tag[1])), start, length, explicit


def read_file_meta(data: bytes) -> FileMeta:
    """Find the transfer syntax and the start of the data set.

    Raises:
        UnreadableImageError: ``damaged`` for a broken or contradictory header,
            ``unsupported_transfer_syntax`` for a value that is not an identifier.
    """
    at = 132 if data[128:132] == b"DICM" else 0
    end = at + MAX_META_BYTES
    found: list[str] = []
    while data[at : at + 2] == b"\x02\x00":
        element = _element(data, at)
        if element is None or element[1] + element[2] > end:
            raise UnreadableImageError("damaged", "file meta information")
        (_group, number), start, length, _explicit = element
        if number == 0x0010:
            found.append(data[start : start + length].rstrip(b"\x00 ").decode("latin-1"))
        at = start + length
    if len(found) > 1:
        raise UnreadableImageError("damaged", "two transfer syntaxes")
    if found and found[0]:
        if not found[0].replace(".", "").isdigit():
            raise UnreadableImageError("unsupported_transfer_syntax")
        return FileMeta(found[0], at)
    first = _element(data, at)
    if first is None:
        raise UnreadableImageError("damaged", "no data set")
    return FileMeta(EXPLICIT if first[3] else IMPLICIT, at)


def inflated(dataset: bytes) -> bytes:
    """Return a deflated data set (PS3.5 A.5) as it was before, within a limit.

    Raises:
        UnreadableImageError: ``damaged``, or ``too_large`` for more than ``MAX_INFLATED_BYTES``.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = inflater.decompress(dataset, MAX_INFLATED_BYTES)
    except zlib.error as error:
        raise UnreadableImageError("damaged", "deflated data set") from error
    if not inflater.eof:
        code = "too_large" if len(found) == MAX_INFLATED_BYTES else "damaged"
        raise UnreadableImageError(code, "deflated data set")
    return found


def check_compressed_frame(
    frame: bytes,
    transfer_syntax_uid: str,
    *,
    rows: int,
    columns: int,
    samples: int,
    bytes_per_sample: int,
) -> None:
    """Compare the header of a compressed frame with the data set, before a codec runs.

    Raises:
        UnreadableImageError: ``damaged`` when they differ, ``unsupported_transfer_syntax``
            for 12-bit JPEG Extended.
    """
    if transfer_syntax_uid == RLE:
        _check_rle(frame, segments=samples * bytes_per_sample, plane=rows * columns)
        return
    if transfer_syntax_uid in J2K:
        told = _j2k_size(frame)
    else:
        header = jpeg_frame_header(frame)
        if header is None or header[0] not in JPEG_MARKERS[transfer_syntax_uid]:
            raise UnreadableImageError("damaged", "no frame header of this transfer syntax")
        if header[1] == 12 and header[0] in {0xC0, 0xC1}:  # no installed codec reads these
            raise UnreadableImageError("unsupported_transfer_syntax", "12-bit JPEG Extended")
        told = (header[2], header[3], header[4])
    if told != (rows, columns, samples):
        raise UnreadableImageError("damaged", "compressed frame differs from the data set")


def _check_rle(frame: bytes, *, segments: int, plane: int) -> None:
    """Check the RLE header (PS3.5 G.5): as many segments as byte planes, in order, in the frame."""
    if len(frame) < 64:
        raise UnreadableImageError("damaged", "RLE header")
    count, *offsets = struct.unpack("<16L", frame[:64])
    used = [*offsets[:segments], len(frame)]
    if count != segments or used[0] != 64 or used != sorted(set(used)):
        raise UnreadableImageError("damaged", "RLE segments")
    # Two bytes stand for at most 128: a segment that cannot fill its plane is cut.
    if any((end - start) * 64 < plane for start, end in itertools.pairwise(used)):
        raise UnreadableImageError("damaged", "RLE segment too short")


def _j2k_size(frame: bytes) -> tuple[int, int, int]:
    """Return rows, columns and components out of the SIZ marker (ITU T.800 A.5.1)."""
    stream = frame if frame[:2] == b"\xff\x4f" else _jp2_codestream(frame)
    if stream[:4] != b"\xff\x4f\xff\x51" or len(stream) < 42:
        raise UnreadableImageError("damaged", "no SIZ")
    x, y, x0, y0, tile_x, tile_y, tile_x0, tile_y0, components = struct.unpack(">8IH", stream[8:42])
    steps = stream[42 : 42 + 3 * components]
    if len(steps) < 3 * components or any(
        steps[i + 1] != 1 or steps[i + 2] != 1 for i in range(0, len(steps), 3)
    ):
        raise UnreadableImageError("damaged", "subsampled components")
    if not tile_x or not tile_y or x <= tile_x0 or y <= tile_y0:
        raise UnreadableImageError("damaged", "tiles")
    tiles = -(-(x - tile_x0) // tile_x) * -(-(y - tile_y0) // tile_y)
    if tiles > MAX_TILES:
        raise UnreadableImageError("damaged", f"{tiles} tiles")
    return y - y0, x - x0, components


def _jp2_codestream(frame: bytes) -> bytes:
    """Return the first ``jp2c`` box; some writers wrap the stream although they must not."""
    at = 0
    while at + 8 <= len(frame):
        length, kind = struct.unpack_from(">I4s", frame, at)
        if kind == b"jp2c":
            return frame[at + 8 :]
        if length < 8:
            break
        at += length
    return b""
