"""Grey pixels to PNG, JPEG and DICOM files as X-ray devices write them."""

import hashlib
import io
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

# A root of our own is not needed for made-up objects: 2.25 is followed by any 128-bit number.
UID_ROOT: Final = "2.25."
SYNTHETIC_ATTRIBUTES: Final[Mapping[str, object]] = {
    "PatientName": "Synthetic^Limb",
    "PatientID": "SYNTHETIC",
    "PatientBirthDate": "19700101",
    "PatientSex": "O",
    "StudyDate": "20260101",
    "StudyTime": "120000",
    "StudyID": "1",
    "AccessionNumber": "",
    "ReferringPhysicianName": "",
    "Manufacturer": "Fracture Site synthetic generator",
    "SeriesNumber": 1,
    "InstanceNumber": 1,
    "ImageComments": "SYNTHETIC, not a patient",
}


def to_png(pixels: Pixels) -> bytes:
    """Encode as PNG; ``uint16`` stays 16 bits, 12-bit values are spread over the whole range."""
    buffer = io.BytesIO()
    Image.fromarray(_spread(pixels)).save(buffer, "PNG")
    return buffer.getvalue()


def to_jpeg(pixels: Pixels, *, quality: int = 90) -> bytes:
    """Encode as 8-bit grey JPEG."""
    grey = pixels if pixels.dtype == np.uint8 else (_spread(pixels) >> 8).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def to_dicom(
    pixels: Pixels,
    *,
    modality: str = "DX",
    photometric: str = "MONOCHROME2",
    attributes: Mapping[str, object] | None = None,
) -> bytes:
    """Encode as an uncompressed DX or CR object (PS3.3 A.26, A.2).

    Args:
        pixels: bone bright; ``MONOCHROME1`` stores them inverted, so that they look the same.
        modality: ``DX``, or anything else for a CR object that carries this modality.
        photometric: ``MONOCHROME1`` or ``MONOCHROME2``.
        attributes: keyword to value, over the synthetic ones; ``None`` removes one.
    """
    digest = hashlib.sha256(pixels.tobytes() + photometric.encode()).hexdigest()
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = (
        DigitalXRayImageStorageForPresentation
        if modality == "DX"
        else ComputedRadiographyImageStorage
    )
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\x00" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = UID_ROOT + str(int(digest[:30], 16))
    dataset.StudyInstanceUID = UID_ROOT + str(int(digest[30:60], 16))
    dataset.SeriesInstanceUID = UID_ROOT + str(int(digest[20:50], 16))
    dataset.Modality = modality
    dataset.BodyPartExamined = "EXTREMITY"
    dataset.ImageLaterality = "U"
    dataset.ImagerPixelSpacing = [0.14, 0.14]
    if modality == "DX":
        dataset.PresentationIntentType = "FOR PRESENTATION"
        dataset.PixelIntensityRelationship = "LOG"
        dataset.PixelIntensityRelationshipSign = 1
    _put(dataset, SYNTHETIC_ATTRIBUTES)
    _put_pixels(dataset, pixels, photometric)
    _put(dataset, attributes or {})
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _put_pixels(dataset: Dataset, pixels: Pixels, photometric: str) -> None:
    wide = pixels.dtype != np.uint8
    bits = 8 if not wide else 12 if int(pixels.max()) < 4096 else 16
    top = (1 << bits) - 1
    stored = top - pixels if photometric == "MONOCHROME1" else pixels
    dataset.PresentationLUTShape = "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = photometric
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = 16 if wide else 8
    dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept = 0
    dataset.RescaleSlope = 1
    dataset.RescaleType = "US"
    dataset.WindowCenter = (top + 1) / 2
    dataset.WindowWidth = top + 1
    raw = stored.astype("<u2" if wide else "u1").tobytes()
    dataset.PixelData = raw + b"\x00" * (len(raw) % 2)
    dataset["PixelData"].VR = "OW" if wide else "OB"


def _put(dataset: Dataset, attributes: Mapping[str, object]) -> None:
    for keyword, value in attributes.items():
        if value is not None:
            setattr(dataset, keyword, value)
        elif keyword in dataset:
            delattr(dataset, keyword)


def _spread(pixels: Pixels) -> Pixels:
    """Spread 12-bit values over 16 bits; others are returned as they are."""
    if pixels.dtype == np.uint8 or int(pixels.max()) > 4095:
        return pixels
    return np.asarray((pixels << 4) | (pixels >> 8), dtype=np.uint16)
