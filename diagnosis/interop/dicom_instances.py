"""An image as a DICOM instance: the sanitised copy under the identity that the clinic's rows say.

An image that came as DICOM keeps its identifiers. One that came as PNG, JPEG or TIFF becomes a
secondary capture with identifiers made of its id, so that an archive gets an image that the
results can refer to.
"""

import io
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from pydicom import uid as uids
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset

from diagnosis.interop.contracts import PatientForDicom, SourceImageForDicom, StudyForDicom
from diagnosis.interop.dicom_header import (
    TRANSFER_SYNTAX,
    UTF8,
    identity,
)
from diagnosis.interop.dicom_identity import image_uid, known_uid, modality, series_uid
from diagnosis.models import Study, StudyImage

_CLASSES: Final = {
    (1, False): uids.SecondaryCaptureImageStorage,
    (2, False): uids.SecondaryCaptureImageStorage,
    (1, True): uids.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    (2, True): uids.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
}
_FROM_DEIDENTIFIED: Final = ("PatientIdentityRemoved", "DeidentificationMethod")


def instance(
    *,
    served: bytes,
    image: StudyImage,
    study: Study,
    patient: PatientForDicom,
    study_facts: StudyForDicom,
) -> FileDataset:
    """Return the instance of one image; ``served`` is its sanitised copy."""
    if image.served_content_type == "application/dicom":
        dataset = pydicom.dcmread(io.BytesIO(served))
        for keyword in _FROM_DEIDENTIFIED:
            if keyword in dataset:
                del dataset[keyword]
    else:
        dataset = _captured(served, image)
    dataset.SpecificCharacterSet = UTF8
    identity(dataset, patient, study_facts)
    dataset.SOPInstanceUID = image_uid(image)
    dataset.SeriesInstanceUID = series_uid(study, image)
    dataset.SeriesNumber = _number(image, "SeriesNumber", 1)
    dataset.InstanceNumber = _number(image, "InstanceNumber", image.position + 1)
    if known := known_uid(image.sop_class_uid):
        dataset.SOPClassUID = known
    if image.acquired_at is not None and "AcquisitionDate" not in dataset:
        dataset.AcquisitionDate = image.acquired_at.strftime("%Y%m%d")
        dataset.AcquisitionTime = image.acquired_at.strftime("%H%M%S")
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def source_of(dataset: Dataset, *, side: str, study_uid: str = "") -> SourceImageForDicom:
    """Return what the writers of results need to know of an instance."""
    return SourceImageForDicom(
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        modality=str(dataset.get("Modality") or "OT"),
        samples_per_pixel=int(dataset.SamplesPerPixel),
        photometric_interpretation=str(dataset.PhotometricInterpretation),
        frame_count=int(dataset.get("NumberOfFrames") or 1),
        laterality=side,
        study_uid=study_uid,
        window=_pair(dataset, "WindowCenter", "WindowWidth"),
        rescale=_pair(dataset, "RescaleSlope", "RescaleIntercept"),
    )


def _pair(dataset: Dataset, first: str, second: str) -> tuple[float, float] | None:
    if not (dataset.get(first) and dataset.get(second) is not None):
        return None
    one, other = _first(dataset[first].value), _first(dataset[second].value)
    return one, other


def _first(value: Any) -> float:
    return float(value[0] if isinstance(value, Sequence) and not isinstance(value, str) else value)


def _number(image: StudyImage, keyword: str, otherwise: int) -> int:
    text = str(image.dicom_header.get(keyword, ""))
    small = text.isascii() and text.isdecimal() and len(text) <= 9
    return int(text) if small else otherwise


def _captured(served: bytes, image: StudyImage) -> FileDataset:
    frames = _frames(served)
    several = len(frames) > 1
    bits = 8 * frames[0].itemsize
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = TRANSFER_SYNTAX
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = _CLASSES[frames[0].itemsize, several]
    dataset.Modality = modality(image)
    dataset.ConversionType = "DF"  # digitised film, the nearest to "came as a picture file"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.Manufacturer = ""
    dataset.PatientOrientation = ""
    dataset.Laterality = image.laterality if image.laterality in {"L", "R"} else ""
    dataset.BurnedInAnnotation = "NO"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = frames[0].shape
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    if several:
        dataset.NumberOfFrames = len(frames)
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
        dataset.PresentationLUTShape = "IDENTITY"
        dataset.FrameIncrementPointer = 0x00182001
        dataset.PageNumberVector = list(range(1, len(frames) + 1))
    data = b"".join(frame.astype(frame.dtype.newbyteorder("<")).tobytes() for frame in frames)
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    return dataset


def _frames(served: bytes) -> list[NDArray[Any]]:
    """Return the frames of a sanitised PNG or TIFF, 8 or 16 bits grey."""
    with Image.open(io.BytesIO(served)) as picture:
        return [_grey(np.asarray(frame)) for frame in ImageSequence.Iterator(picture)]


def _grey(frame: NDArray[Any]) -> NDArray[Any]:
    return frame if frame.dtype in (np.uint8, np.uint16) else frame.astype(np.uint16)
