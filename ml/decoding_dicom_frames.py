"""The data set of a DICOM file and its frames, decoded one at a time.

The transfer syntax is taken from the file meta information by a reader of our own and checked
against an allow-list before pydicom sees a byte; a deflated data set is inflated here, because
pydicom does it without bound (1 MB gave 2.1 GiB). Headers of compressed frames must agree with
Rows and Columns before a codec runs, because codecs believe their stream: 1,512 bytes that said
64 x 64 outside and 16000 x 16000 inside took 1.3 GiB.
"""

import io
import logging
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
from ml.decoding_common import Frame, has_real_color, luminance, reading_border
from ml.decoding_dicom_files import (
    DEFLATED,
    EXPLICIT,
    FileMeta,
    check_compressed_frame,
    inflated,
    read_file_meta,
)
from ml.decoding_display import DisplayTransform

# Bad values in elements nobody looks at must not refuse a radiograph; those that matter are
# checked below. Process-wide, because pydicom has no other switch.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
# Its log quotes values of the file, which may be a name, and tracebacks of every refused frame.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

PIXEL_DATA: Final = 0x7FE00010
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
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "IssuerOfPatientID",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "ContentDate",
    "ContentTime",
    "SeriesNumber",
    "InstanceNumber",
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

StoredFrame = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True, eq=False)
class DicomSource:
    """A parsed data set and the place of its pixels; nothing is decoded yet."""

    meta: FileMeta
    dataset: Dataset


def open_dicom(data: bytes, keywords: Sequence[str] = KEYWORDS) -> DicomSource:
    """Parse the named top-level elements of a DICOM file, up to and including its pixel data.

    Whatever follows the pixel data (padding, signatures, an appended archive) is never read.

    Raises:
        UnreadableImageError: ``unsupported_transfer_syntax``; or as ``inflated``. Any other parser
            error is passed on to the border in ``ml.decoding``.
    """
    meta = read_file_meta(data)
    if meta.transfer_syntax_uid == DEFLATED:
        data, meta = inflated(data[meta.dataset_offset :]), FileMeta(EXPLICIT, 0)
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


class DicomFrames(Sequence[Frame]):
    """The frames of one object, decoded one at a time; the first is kept."""

    def __init__(self, source: DicomSource) -> None:
        self._dataset = source.dataset
        self._decoder = get_decoder(UID(source.meta.transfer_syntax_uid))
        self._plugins = PLUGINS.get(source.meta.transfer_syntax_uid, ("",))
        self._count = frame_count(self._dataset)
        self._streams: list[bytes] | None = None
        if source.meta.is_encapsulated:
            self._streams = _compressed_frames(source, self._count)
        self._display = DisplayTransform(self._dataset)
        self.was_color = False
        self._first_stored: StoredFrame | None = None
        self._first_stored = self.stored(0)
        self._first = self.shown(self._first_stored)
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
        return self.shown(self.stored(at))

    def __iter__(self) -> Iterator[Frame]:
        return (self[i] for i in range(self._count))

    def stored(self, index: int) -> StoredFrame:
        """Decode the values of one frame as the object stores them; YBR becomes RGB.

        Returns:
            shape ``(rows, columns)``, or ``(rows, columns, 3)`` for colour.

        Raises:
            UnreadableImageError: the frame cannot be decoded.
        """
        if index == 0 and self._first_stored is not None:
            return self._first_stored
        with reading_border():
            return self._stored_values(index)

    def shown(self, pixels: StoredFrame) -> Frame:
        """Turn stored values into display values.

        Raises:
            UnreadableImageError: values that cannot be shown.
        """
        with reading_border():
            return self._shown(pixels)

    def _shown(self, pixels: StoredFrame) -> Frame:
        if self._dataset.PhotometricInterpretation == "PALETTE COLOR":
            pixels = apply_color_lut(pixels, self._dataset)
        if pixels.ndim == 2:
            return self._display.apply(pixels)
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype.kind != "u":
            raise UnreadableImageError("damaged", "samples per pixel")
        wide = pixels.dtype.itemsize > 1
        rgb = pixels.astype(np.uint16 if wide else np.uint8, copy=False)
        self.was_color = self.was_color or has_real_color(rgb)
        return luminance(rgb)

    def _stored_values(self, index: int) -> StoredFrame:
        if self._streams is None:
            return self._decoder.as_array(
                self._dataset, index=index, **as_pixel_options(self._dataset)
            )[0]
        options = {**as_pixel_options(self._dataset), "number_of_frames": 1}
        stream = encapsulate([self._streams[index]])
        failure = UnreadableImageError("damaged", "no codec")
        for plugin in self._plugins:
            try:
                with reading_border():
                    frame = self._decoder.as_array(
                        stream, index=0, decoding_plugin=plugin, **options
                    )
                return frame[0]
            except UnreadableImageError as error:  # the next codec may understand it
                failure = error
        raise failure


def frame_count(dataset: Dataset) -> int:
    """Return the declared number of frames, 1 when it is absent."""
    return int(dataset.get("NumberOfFrames") or 1)


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
