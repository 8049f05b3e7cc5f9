"""A DICOM object to frames in display polarity and the attributes that are needed later."""

import re
from typing import Final

from pydicom.dataset import Dataset

from ml.contracts import UnreadableImageError
from ml.decoding_common import DecodedImage, Limits
from ml.decoding_dicom_files import is_dicom
from ml.decoding_dicom_frames import PIXEL_DATA, DicomFrames, DicomSource, frame_count, open_dicom

__all__ = ["DicomFrames", "DicomSource", "decode_dicom", "is_dicom", "open_dicom"]

FLOAT_PIXEL_DATA: Final = (0x7FE00008, 0x7FE00009)
UID_PATTERN: Final = re.compile(r"[0-9.]{1,64}")
CODE_PATTERN: Final = re.compile(r"[A-Z0-9 _]{1,16}")
HEADER: Final = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime", "AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime",
    "SeriesNumber", "InstanceNumber", "IssuerOfPatientID",
)  # fmt: skip
HEADER_LENGTH: Final = 200
PROJECTION: Final = frozenset({"CR", "DX", "RG", "XA", "RF", "MG", "IO", "PX", "XC"})


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
        header=_header(dataset),
    )


def _check_pixel_module(dataset: Dataset, limits: Limits) -> None:
    """Refuse what cannot be shown, by the declared values alone."""
    if any(tag in dataset for tag in FLOAT_PIXEL_DATA):
        raise UnreadableImageError("unsupported_kind", "float pixels")
    if PIXEL_DATA not in dataset or not dataset["PixelData"].value:
        raise UnreadableImageError("no_pixel_data")
    limits.check_size(int(dataset.Columns), int(dataset.Rows))
    limits.check_frames(frame_count(dataset))
    if int(dataset.SamplesPerPixel) not in {1, 3}:
        raise UnreadableImageError("unsupported_kind", "samples per pixel")
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    if allocated not in {1, 8, 16} or not 1 <= stored <= allocated:
        raise UnreadableImageError("unsupported_kind", f"{stored} of {allocated} bits")


def _uid(dataset: Dataset, keyword: str) -> str:
    value = str(dataset.get(keyword) or "")
    return value if UID_PATTERN.fullmatch(value) else ""


def _code(dataset: Dataset, keyword: str) -> str:
    value = str(dataset.get(keyword) or "").strip().upper()
    return value if CODE_PATTERN.fullmatch(value) else ""


def _header(dataset: Dataset) -> dict[str, str]:
    """Return what the file says about person, order and time; text, cut, nothing believed."""
    found = {}
    for keyword in HEADER:
        text = str(dataset.get(keyword) or "").strip().strip("\0")
        if text and text.isprintable():
            found[keyword] = text[:HEADER_LENGTH]
    return found


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
