"""A DICOM object rewritten without identity: what is needed to show and measure, nothing else.

An allow-list in the spirit of PS3.15 Annex E: what is not named here does not survive. Pixels are
decoded and written uncompressed, so that nothing can hide in a compressed stream; identifiers are
new; the preamble is zero and the file ends with its pixel data.
"""

import io
import math
import re
import struct
import uuid
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pydicom.valuerep import format_number_as_ds

from ml.contracts import UnreadableImageError
from ml.decoding_dicom import DicomFrames, open_dicom

Stored = npt.NDArray[Any]

MAX_SERVED_BYTES: Final = 256 * 2**20
IMPLEMENTATION_UID: Final = "2.25.231894207219348113871062906012453127019"
CODES: Final = [
    "Modality",
    "ViewPosition",
    "Laterality",
    "ImageLaterality",
    "BodyPartExamined",
    "PresentationIntentType",
    "PatientOrientation",
    "ImageType",
    "ConversionType",
    "PixelIntensityRelationship",
    "PresentationLUTShape",
    "PixelSpacingCalibrationType",
    "VOILUTFunction",
    "LossyImageCompression",
    "BurnedInAnnotation",
]
DECIMALS: Final = [
    "PixelSpacing",
    "ImagerPixelSpacing",
    "RescaleIntercept",
    "RescaleSlope",
    "WindowCenter",
    "WindowWidth",
    "EstimatedRadiographicMagnificationFactor",
]
SIGN: Final = "PixelIntensityRelationshipSign"
WHOLE: Final = [SIGN, "PixelPaddingValue", "PixelPaddingRangeLimit"]
PALETTE: Final = ("Red", "Green", "Blue")
# Present but empty, because the IODs ask for them (type 2).
EMPTY: Final = [
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
    "Manufacturer",
]
SEQUENCES: Final = ("ModalityLUTSequence", "VOILUTSequence")
KEPT: Final = (
    *CODES,
    *DECIMALS,
    *WHOLE,
    *SEQUENCES,
    *(f"{c}PaletteColorLookupTable{part}" for c in PALETTE for part in ("Descriptor", "Data")),
    "SOPClassUID",
    "RescaleType",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "NumberOfFrames",
    "SpecificCharacterSet",
)
CODE_PATTERN: Final = re.compile(r"[A-Z0-9 _]{1,16}")
LOSSY: Final = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 81, 91, 203))
UID_PATTERN: Final = re.compile(r"[0-9.]{1,64}")


class ServedDicom:
    """Writes the served copy of one object, frame by frame as they are decoded."""

    def __init__(self, data: bytes, frames: DicomFrames) -> None:
        self._source = open_dicom(data, KEPT)
        self._count = len(frames)
        self._body = io.BytesIO()
        self._first: Stored | None = None

    def add(self, stored: Stored) -> None:
        """Append the stored values of the next frame.

        Raises:
            UnreadableImageError: ``too_many_pixels`` when all frames together are too large.
        """
        if self._first is None:
            self._first = stored
            if stored.nbytes * self._count > MAX_SERVED_BYTES:
                raise UnreadableImageError("too_many_pixels", "all frames together")
        elif stored.shape != self._first.shape or stored.dtype != self._first.dtype:
            raise UnreadableImageError("damaged", "frames differ")
        little = stored.astype(stored.dtype.newbyteorder("<"), copy=False)
        self._body.write(np.ascontiguousarray(self._cleaned(little)).data)

    def finish(self) -> bytes:
        """Return the whole Part 10 file."""
        if self._first is None:
            raise UnreadableImageError("no_pixel_data")
        dataset = self._rewritten(self._first)
        head = io.BytesIO()
        dataset.save_as(head, enforce_file_format=True)
        length = self._body.tell() + self._body.tell() % 2
        vr = b"OB" if self._first.dtype.itemsize == 1 else b"OW"
        element = struct.pack("<HH2sHI", 0x7FE0, 0x0010, vr, 0, length)
        padding = b"\x00" * (self._body.tell() % 2)
        return b"".join((head.getvalue(), element, self._body.getbuffer(), padding))

    def _cleaned(self, stored: Stored) -> Stored:
        """Clear the bits above the stored ones: old devices kept text overlays there."""
        bits = int(self._source.dataset.BitsStored)
        if stored.dtype.kind != "u" or stored.ndim != 2 or bits >= 8 * stored.dtype.itemsize:
            return stored
        return np.asarray(stored & stored.dtype.type((1 << bits) - 1))

    def _rewritten(self, first: Stored) -> FileDataset:
        source = self._source.dataset
        meta = FileMetaDataset()
        dataset = FileDataset("", {}, file_meta=meta, preamble=b"\x00" * 128)
        class_uid = str(source.get("SOPClassUID") or "")
        known = UID_PATTERN.fullmatch(class_uid)
        dataset.SOPClassUID = UID(class_uid) if known else SecondaryCaptureImageStorage
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            setattr(dataset, keyword, _fresh_uid())
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
        meta.ImplementationVersionName = "FRACTURE_SITE"
        for keyword in EMPTY:
            setattr(dataset, keyword, "")
        dataset.SeriesNumber = dataset.InstanceNumber = 1
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = "Allow-list of display attributes, new UIDs"
        _copy_plain(source, dataset)
        _copy_tables(source, dataset, little_endian=self._source.meta.is_little_endian)
        _describe_pixels(source, dataset, first, self._count, self._source.meta.transfer_syntax_uid)
        return dataset


def _fresh_uid() -> UID:
    return UID(f"2.25.{uuid.uuid4().int}")


def _copy_plain(source: Dataset, dataset: Dataset) -> None:
    """Copy codes and numbers, each brought into its legal form or left out."""
    for keyword in CODES:
        codes = [str(value).strip().upper() for value in _several(source.get(keyword))]
        if codes and all(CODE_PATTERN.fullmatch(code) for code in codes):
            setattr(dataset, keyword, codes if len(codes) > 1 else codes[0])
    for keyword in DECIMALS:
        numbers = [float(value) for value in _several(source.get(keyword))]
        if numbers and all(math.isfinite(number) for number in numbers):
            setattr(dataset, keyword, [format_number_as_ds(number) for number in numbers])
    for keyword in WHOLE:
        value = source.get(keyword)
        if isinstance(value, int):
            signed = source.get("PixelRepresentation") == 1 or keyword == SIGN
            dataset.add_new(keyword, "SS" if signed else "US", value)
    if "RescaleSlope" in dataset:
        dataset.RescaleType = "HU" if source.get("Modality") == "CT" else "US"


def _several(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    if isinstance(value, str | int | float):
        return [value]
    return [part for part in value if part is not None and part != ""]


def _copy_tables(source: Dataset, dataset: Dataset, *, little_endian: bool) -> None:
    """Copy look-up tables: their numbers only, not their explanations."""
    for keyword in SEQUENCES:
        items = []
        for item in source.get(keyword) or ():
            table = Dataset()
            table.LUTDescriptor = [int(value) for value in item.LUTDescriptor]
            table.add_new("LUTData", "OW", _table_bytes(item, "LUTData", little_endian))
            if keyword == "ModalityLUTSequence":
                table.ModalityLUTType = "US"
            items.append(table)
        if items:
            setattr(dataset, keyword, Sequence(items))
    if source.get("PhotometricInterpretation") != "PALETTE COLOR":
        return
    for color in PALETTE:
        name = f"{color}PaletteColorLookupTable"
        setattr(dataset, name + "Descriptor", [int(v) for v in source[name + "Descriptor"].value])
        dataset.add_new(name + "Data", "OW", _table_bytes(source, name + "Data", little_endian))


def _table_bytes(item: Dataset, keyword: str, little_endian: bool) -> bytes:  # noqa: FBT001
    value = item[keyword].value
    if isinstance(value, bytes):
        return value if little_endian else np.frombuffer(value, ">u2").astype("<u2").tobytes()
    numbers = np.array([int(number) & 0xFFFF for number in _several(value)], dtype="<u2")
    return numbers.tobytes()


def _describe_pixels(
    source: Dataset, dataset: Dataset, first: Stored, count: int, transfer_syntax_uid: str
) -> None:
    color = first.ndim == 3
    dataset.SamplesPerPixel = 3 if color else 1
    photometric = str(source.PhotometricInterpretation)
    dataset.PhotometricInterpretation = "RGB" if color else photometric
    if color:
        dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = first.shape[:2]
    dataset.BitsAllocated = 8 * first.dtype.itemsize
    dataset.BitsStored = min(int(source.BitsStored), dataset.BitsAllocated)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = 1 if first.dtype.kind == "i" else 0
    if count > 1:
        dataset.NumberOfFrames = count
    if transfer_syntax_uid in LOSSY:
        dataset.LossyImageCompression = "01"
