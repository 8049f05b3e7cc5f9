"""What goes into and comes out of the limited process: plain values, no Django, no pickle."""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from ml import film
from ml.decoding import REFUSAL_CODES, WARNING_CODES

PNG, TIFF, DICOM, JPEG = "image/png", "image/tiff", "application/dicom", "image/jpeg"
FORMATS: Final = ("png", "jpeg", "tiff", "dicom")
# What a copy must start with; the process that made it may have been taken over.
MAGIC: Final[Mapping[str, bytes]] = {
    PNG: b"\x89PNG\r\n\x1a\n",
    TIFF: b"II",
    DICOM: b"\x00" * 128 + b"DICM",
    JPEG: b"\xff\xd8\xff",
}
# The three ways a file can end its process, and everything decoding refuses.
PROCESS_CODES: Final = frozenset({"timeout", "memory", "crashed"})
# What only a photograph of a film can be refused for.
FILM_CODES: Final = frozenset({*film.REFUSALS, "film_not_found"})
INGEST_CODES: Final = REFUSAL_CODES | PROCESS_CODES | FILM_CODES
MAX_HEADER_BYTES: Final = 1 << 20


class ChildAnswerError(ValueError):
    """The limited process answered with something that is not an answer."""


@dataclass(frozen=True, slots=True)
class IngestLimits:
    """Bounds on one file. Sizes in pixels and bytes, times in seconds."""

    max_bytes: int = 100 * 2**20
    max_pixels: int = 64_000_000
    min_side: int = 64
    max_frames: int = 512
    cpu_seconds: int = 20
    wall_seconds: int = 30
    memory_bytes: int = 1536 * 2**20


@dataclass(frozen=True, slots=True)
class FilmTask:
    """The file is a photograph of a film; straighten it, or only look where the film is.

    Attributes:
        corners: shares of width and height, clockwise from the left top; looked for when ``None``.
        only_look: answer with a ``FilmProposal``.
    """

    corners: film.Corners | None = None
    only_look: bool = False


@dataclass(frozen=True, slots=True)
class FilmProposal:
    """Where the film probably is, ``None`` when none is seen, and what is wrong with the photo."""

    corners: film.Corners | None
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DicomAttributes:
    """What the original DICOM object says about itself; ``""`` or ``None`` when it does not.

    Attributes:
        pixel_spacing: millimetres between rows and between columns.
        pixel_spacing_origin: ``patient`` (calibrated), ``imager`` (at the detector) or ``""``.
        header: keyword to text: whose image it says it is, of which order, and when.
    """

    transfer_syntax_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    view_position: str
    laterality: str
    body_part_examined: str
    pixel_spacing: tuple[float, float] | None
    pixel_spacing_origin: str
    header: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Rendition:
    """One frame as an 8-bit JPEG for pages."""

    frame: int
    width: int
    height: int
    data: bytes


@dataclass(frozen=True, slots=True)
class IngestedImage:
    """An accepted image.

    Attributes:
        original_sha256, original_size: of the bytes as they came, hex and bytes.
        format: ``png``, ``jpeg``, ``tiff`` or ``dicom``, told by content.
        modality: DICOM modality in capitals, ``""`` when there is none.
        width, height: pixels of a frame as shown (upright).
        bits: meaningful bits of the source, 1 to 16.
        was_color: real chroma, not grey stored as RGB.
        warnings: codes out of ``ml.decoding.WARNING_CODES``.
        dicom: attributes of the original object, ``None`` for other formats.
        served: the sanitised copy: no metadata, no identity, nothing behind its end.
        renditions: one for each frame, long side at most 1600 pixels.
        thumbnail: first frame, long side at most 256 pixels.
        film: of a straightened photograph of a film, its corners and what was measured.
        photo: that photograph itself for pages; ``served`` and everything else is the film.
    """

    original_sha256: str
    original_size: int
    format: str
    modality: str
    width: int
    height: int
    bits: int
    frame_count: int
    was_color: bool
    warnings: tuple[str, ...]
    dicom: DicomAttributes | None
    served: bytes
    served_content_type: str
    served_sha256: str
    renditions: tuple[Rendition, ...]
    thumbnail: Rendition
    film: Mapping[str, Any] | None = None
    photo: Rendition | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer for a file that cannot be used."""

    code: str


@dataclass(frozen=True, slots=True)
class Processed:
    """The part of ``IngestedImage`` that the limited process knows."""

    format: str
    modality: str
    width: int
    height: int
    bits: int
    frame_count: int
    was_color: bool
    warnings: tuple[str, ...]
    dicom: DicomAttributes | None
    served: bytes
    served_content_type: str
    renditions: tuple[Rendition, ...]
    thumbnail: Rendition
    film: Mapping[str, Any] | None = None
    photo: Rendition | None = None


Answer = Processed | Refusal | FilmProposal


def pack(answer: Answer) -> list[bytes]:
    """Serialise an answer: length of a JSON header, header, blobs in order."""
    blobs: list[bytes] = []
    if isinstance(answer, Refusal):
        header: dict[str, Any] = {"code": answer.code}
    elif isinstance(answer, FilmProposal):
        header = {"proposal": asdict(answer)}
    else:
        pictures = (*answer.renditions, answer.thumbnail, *([answer.photo] if answer.photo else []))
        blobs = [answer.served, *(picture.data for picture in pictures)]
        header = {
            field.name: getattr(answer, field.name)
            for field in fields(answer)
            if field.name not in {"served", "renditions", "thumbnail", "photo", "dicom"}
        }
        header["dicom"] = asdict(answer.dicom) if answer.dicom else None
        header["pictures"] = [[p.frame, p.width, p.height] for p in pictures]
        header["lengths"] = [len(blob) for blob in blobs]
    encoded = json.dumps(header).encode()
    return [struct.pack(">I", len(encoded)), encoded, *blobs]


def unpack(raw: memoryview) -> Answer:
    """Read an answer and believe nothing in it.

    Raises:
        ChildAnswerError: the answer is cut, contradictory or not of the promised kind.
    """
    try:
        (length,) = struct.unpack(">I", raw[:4])
        if length > MAX_HEADER_BYTES:
            raise ChildAnswerError("header")
        header = json.loads(bytes(raw[4 : 4 + length]))
        if "code" in header:
            return _refusal(header["code"])
        if "proposal" in header:
            return _proposal(header["proposal"])
        return _processed(header, raw[4 + length :])
    except (KeyError, TypeError, ValueError, struct.error) as error:
        raise ChildAnswerError(type(error).__name__) from error


def _refusal(code: object) -> Refusal:
    if code not in INGEST_CODES:
        raise ChildAnswerError("code")
    return Refusal(str(code))


def _proposal(values: dict[str, Any]) -> FilmProposal:
    corners = values["corners"]
    return FilmProposal(
        corners=film.checked_corners(corners) if corners is not None else None,
        problems=tuple(_refusal(code).code for code in values["problems"]),
    )


def _film(values: dict[str, Any] | None) -> dict[str, Any] | None:
    if values is None:
        return None
    measured = {str(name)[:20]: float(value) for name, value in dict(values["measured"]).items()}
    return {
        "corners": [list(corner) for corner in film.checked_corners(values["corners"])],
        "corners_by": "person" if values["corners_by"] == "person" else "proposal",
        "measured": measured,
    }


def _processed(header: dict[str, Any], body: memoryview) -> Processed:
    lengths: Sequence[int] = header["lengths"]
    if min(lengths) < 1 or sum(lengths) != len(body) or len(lengths) != len(header["pictures"]) + 1:
        raise ChildAnswerError("lengths")
    blobs, at = [], 0
    for length in lengths:
        blobs.append(bytes(body[at : at + length]))
        at += length
    served_type = str(header["served_content_type"])
    if served_type == JPEG or not blobs[0].startswith(MAGIC[served_type]):
        raise ChildAnswerError("served")
    if any(not blob.startswith(MAGIC[JPEG]) for blob in blobs[1:]):
        raise ChildAnswerError("rendition")
    pictures = [
        Rendition(int(frame), int(width), int(height), blob)
        for (frame, width, height), blob in zip(header["pictures"], blobs[1:], strict=True)
    ]
    known = header["format"] in FORMATS and set(header["warnings"]) <= WARNING_CODES
    is_film = header["film"] is not None
    if not known or len(pictures) != int(header["frame_count"]) + 1 + is_film:
        raise ChildAnswerError("values")
    photo = pictures.pop() if is_film else None
    return Processed(
        film=_film(header["film"]),
        photo=photo,
        format=str(header["format"]),
        modality=str(header["modality"])[:16],
        width=int(header["width"]),
        height=int(header["height"]),
        bits=int(header["bits"]),
        frame_count=int(header["frame_count"]),
        was_color=bool(header["was_color"]),
        warnings=tuple(header["warnings"]),
        dicom=_dicom(header["dicom"]),
        served=blobs[0],
        served_content_type=served_type,
        renditions=tuple(pictures[:-1]),
        thumbnail=pictures[-1],
    )


def _dicom(values: dict[str, Any] | None) -> DicomAttributes | None:
    if values is None:
        return None
    spacing = values.pop("pixel_spacing")
    header = {str(k)[:64]: str(v)[:200] for k, v in dict(values.pop("header")).items()}
    texts = {name: str(value)[:64] for name, value in values.items()}
    pair = (float(spacing[0]), float(spacing[1])) if spacing else None
    return DicomAttributes(pixel_spacing=pair, header=header, **texts)
