"""DICOM objects to grey frames in display polarity (PS3.3 C.7.6.3, C.11.1, C.11.2).

The transfer syntax is taken from the file meta information by a reader of our own and checked
against an allow-list before pydicom sees a byte: pydicom inflates a deflated data set without bound
(1 MB gave 2.1 GiB). Headers of compressed frames must agree with Rows and Columns before a codec
runs, because codecs believe their stream: 1,512 bytes that said 64 x 64 outside and 16000 x 16000
inside took 1.3 GiB.
"""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, overload

import numpy as np
import numpy.typing as npt
import pydicom.config
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.filereader import read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import as_pixel_options
from pydicom.tag import BaseTag
from pydicom.uid import UID

from ml.contracts import UnreadableImageError
from ml.decoding_common import DecodedImage, Frame, Limits, has_real_color, luminance
from ml.decoding_dicom_files import FileMeta, check_compressed_frame, is_dicom, read_file_meta
from ml.decoding_display import DisplayTransform

__all__ = ["DicomSource", "decode_dicom", "is_dicom", "open_dicom"]

# Bad values in elements nobody looks at must not refuse a radiograph; those that matter are
# checked below. Process-wide, because pydicom has no other switch.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

PIXEL_DATA: Final = 0x7FE00010
FLOAT_PIXEL_DATA: Final = (0x7FE00008, 0x7FE00009)
# The first that can decode wins. gdcm is twice as fast for JPEG-LS; Pillow scales 12-bit JPEG 2000.
PLUGINS: Final = {
    "1.2.840.10008.1.2.4.50": ("pillow", "gdcm"),
    "1.2.840.10008.1.2.4.51": ("gdcm", "pillow"),
    "1.2.840.10008.1.2.4.57": ("gdcm",),
    "1.2.840.10008.1.2.4.70": ("gdcm",),
    "1.2.840.10008.1.2.4.80": ("gdcm", "pyjpegls"),
    "1.2.840.10008.1.2.4.81": ("gdcm", "pyjpegls"),
    "1.2.840.10008.1.2.4.90": ("pylibjpeg",),
    "1.2.840.10008.1.2.4.91": ("pylibjpeg",),
    "1.2.840.10008.1.2.4.201": ("pylibjpeg",),
    "1.2.840.10008.1.2.4.202": ("pylibjpeg",),
    "1.2.840.10008.1.2.4.203": ("pylibjpeg",),
    "1.2.840.10008.1.2.5": ("pylibjpeg", "pydicom"),
}
KEYWORDS: Final = [
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "ViewPosition",
    "Laterality",
    "ImageLaterality",
    "BodyPartExamined",
    "PresentationIntentType",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "PixelSpacingCalibrationType",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "ModalityLUTSequence",
    "RescaleIntercept",
    "RescaleSlope",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "PixelData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "FloatPixelData",
    "DoubleFloatPixelData",
]
UID_PATTERN: Final = re.compile(r"[0-9.]{1,64}")
CODE_PATTERN: Final = re.compile(r"[A-Z0-9 _]{1,16}")
PROJECTION: Final = frozenset({"CR", "DX", "RG", "XA", "RF", "MG", "IO", "PX", "XC"})


@dataclass(frozen=True, slots=True, eq=False)
class DicomSource:
    """A parsed data set and the place of its pixels; nothing is decoded yet."""

    meta: FileMeta
    dataset: Dataset


def open_dicom(data: bytes, keywords: Sequence[str] = KEYWORDS) -> DicomSource:
    """Parse the named top-level elements of a DICOM file, up to and including its pixel data.

    Whatever follows the pixel data (padding, signatures, an appended archive) is never read.

    Raises:
        UnreadableImageError: ``unsupported_transfer_syntax``. Any other parser error is passed on
            to the border in ``ml.decoding``.
    """
    meta = read_file_meta(data)
    if meta.transfer_syntax_uid not in PLUGINS and meta.is_encapsulated:
        raise UnreadableImageError("unsupported_transfer_syntax", meta.transfer_syntax_uid)
    seen_pixels = False

    def after_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        nonlocal seen_pixels
        stop = seen_pixels
        seen_pixels = seen_pixels or tag == PIXEL_DATA
        return stop

    stream = io.BytesIO(data)
    stream.seek(meta.dataset_offset)
    tags = [tag for word in keywords if (tag := tag_for_keyword(word)) is not None]
    dataset = read_dataset(
        stream,
        is_implicit_VR=meta.is_implicit,
        is_little_endian=meta.is_little_endian,
        stop_when=after_pixels,
        specific_tags=list(tags),
    )
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(meta.transfer_syntax_uid)
    dataset.set_original_encoding(meta.is_implicit, meta.is_little_endian)
    return DicomSource(meta=meta, dataset=dataset)


def decode_dicom(data: bytes, limits: Limits) -> DecodedImage:
    """Decode a DICOM object; its first frame at once, the others when asked for."""
    source = open_dicom(data)
    dataset = source.dataset
    _check_pixel_module(dataset, limits)
    frames = DicomFrames(source)
    first = frames[0]
    if first.shape != (int(dataset.Rows), int(dataset.Columns)):
        raise UnreadableImageError("damaged", "decoded size differs from the header")
    warnings = list(frames.warnings)
    if dataset.get("PresentationIntentType") == "FOR PROCESSING":
        warnings.append("for_processing")
    spacing, origin = _spacing(dataset)
    return DecodedImage(
        frames=frames,
        bits=min(16, int(dataset.BitsStored)),
        format="dicom",
        width=first.shape[1],
        height=first.shape[0],
        frame_count=len(frames),
        modality=_code(dataset, "Modality"),
        was_color=frames.was_color,
        warnings=tuple(warnings),
        transfer_syntax_uid=source.meta.transfer_syntax_uid,
        sop_class_uid=_uid(dataset, "SOPClassUID"),
        sop_instance_uid=_uid(dataset, "SOPInstanceUID"),
        study_instance_uid=_uid(dataset, "StudyInstanceUID"),
        series_instance_uid=_uid(dataset, "SeriesInstanceUID"),
        view_position=_code(dataset, "ViewPosition"),
        laterality=_code(dataset, "ImageLaterality") or _code(dataset, "Laterality"),
        body_part_examined=_code(dataset, "BodyPartExamined"),
        pixel_spacing=spacing,
        pixel_spacing_origin=origin,
    )


class DicomFrames(Sequence[Frame]):
    """The frames of one object, decoded one at a time; the first is kept."""

    def __init__(self, source: DicomSource) -> None:
        self._dataset = source.dataset
        self._decoder = get_decoder(UID(source.meta.transfer_syntax_uid))
        self._plugins = PLUGINS.get(source.meta.transfer_syntax_uid, ("",))
        self._count = _frame_count(self._dataset)
        self._streams: list[bytes] | None = None
        if source.meta.is_encapsulated:
            self._streams = _compressed_frames(source, self._count)
        self._display = DisplayTransform(self._dataset)
        self.was_color = False
        self._first = self._decode(0)
        self.warnings = self._display.warnings

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | Sequence[Frame]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        at = index + self._count if index < 0 else index
        if not 0 <= at < self._count:
            raise IndexError(index)
        if at == 0:
            return self._first
        try:
            return self._decode(at)
        except UnreadableImageError:
            raise
        except MemoryError as error:
            raise UnreadableImageError("memory") from error
        # The border of ml.decoding again, for frames that are decoded after it returned.
        except Exception as error:
            raise UnreadableImageError("damaged", type(error).__name__) from error

    def __iter__(self) -> Iterator[Frame]:
        return (self[i] for i in range(self._count))

    def _decode(self, index: int) -> Frame:
        pixels = self._stored_values(index)
        photometric = str(self._dataset.PhotometricInterpretation)
        if photometric == "PALETTE COLOR":
            pixels = apply_color_lut(pixels, self._dataset)
        if pixels.ndim == 2:
            return self._display.apply(pixels)
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype.kind != "u":
            raise UnreadableImageError("damaged", "samples per pixel")
        wide = pixels.dtype.itemsize > 1
        rgb = pixels.astype(np.uint16 if wide else np.uint8, copy=False)
        self.was_color = self.was_color or has_real_color(rgb)
        return luminance(rgb)

    def _stored_values(self, index: int) -> npt.NDArray[np.generic]:
        if self._streams is None:
            return self._decoder.as_array(
                self._dataset, index=index, **as_pixel_options(self._dataset)
            )[0]
        options = {**as_pixel_options(self._dataset), "number_of_frames": 1}
        stream = encapsulate([self._streams[index]])
        failure: Exception | None = None
        for plugin in self._plugins:
            try:
                return self._decoder.as_array(stream, index=0, decoding_plugin=plugin, **options)[0]
            # The next codec may understand what this one does not; each fails in its own way.
            except Exception as error:  # noqa: BLE001
                failure = error
        raise UnreadableImageError("damaged", type(failure).__name__)


def _frame_count(dataset: Dataset) -> int:
    return int(dataset.get("NumberOfFrames") or 1)


def _check_pixel_module(dataset: Dataset, limits: Limits) -> None:
    """Refuse what cannot be shown, by the declared values alone."""
    if any(tag in dataset for tag in FLOAT_PIXEL_DATA):
        raise UnreadableImageError("unsupported_kind", "float pixels")
    if PIXEL_DATA not in dataset or not dataset["PixelData"].value:
        raise UnreadableImageError("no_pixel_data")
    limits.check_size(int(dataset.Columns), int(dataset.Rows))
    limits.check_frames(_frame_count(dataset))
    if int(dataset.SamplesPerPixel) not in {1, 3}:
        raise UnreadableImageError("unsupported_kind", "samples per pixel")
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    if allocated not in {1, 8, 16} or not 1 <= stored <= allocated:
        raise UnreadableImageError("unsupported_kind", f"{stored} of {allocated} bits")


def _compressed_frames(source: DicomSource, count: int) -> list[bytes]:
    """Split the pixel data into frames and check the header of each."""
    dataset = source.dataset
    offsets = dataset.get("ExtendedOffsetTable")
    lengths = dataset.get("ExtendedOffsetTableLengths")
    frames = list(
        generate_frames(
            dataset.PixelData,
            number_of_frames=count,
            extended_offsets=(offsets, lengths) if offsets and lengths else None,
        )
    )
    if len(frames) < count:
        raise UnreadableImageError("damaged", f"{len(frames)} of {count} frames")
    for frame in frames[:count]:
        check_compressed_frame(
            frame,
            source.meta.transfer_syntax_uid,
            rows=int(dataset.Rows),
            columns=int(dataset.Columns),
            samples=int(dataset.SamplesPerPixel),
            bytes_per_sample=int(dataset.BitsAllocated) // 8,
        )
    return frames[:count]


def _uid(dataset: Dataset, keyword: str) -> str:
    value = str(dataset.get(keyword) or "")
    return value if UID_PATTERN.fullmatch(value) else ""


def _code(dataset: Dataset, keyword: str) -> str:
    value = str(dataset.get(keyword) or "").strip().upper()
    return value if CODE_PATTERN.fullmatch(value) else ""


def _spacing(dataset: Dataset) -> tuple[tuple[float, float] | None, str]:
    """Return millimetres a pixel and where they hold (PS3.3 10.7.1.3)."""
    pixel, imager = _pair(dataset, "PixelSpacing"), _pair(dataset, "ImagerPixelSpacing")
    if pixel is None:
        return imager, "imager" if imager else ""
    projection = _code(dataset, "Modality") in PROJECTION
    calibrated = bool(dataset.get("PixelSpacingCalibrationType")) or pixel != (imager or pixel)
    return pixel, "patient" if calibrated or not projection else "imager"


def _pair(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    try:
        rows, columns = (float(value) for value in dataset.get(keyword) or ())
    except (TypeError, ValueError):
        return None
    return (rows, columns) if 0 < rows < 100 and 0 < columns < 100 else None
