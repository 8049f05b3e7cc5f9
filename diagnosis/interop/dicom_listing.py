"""What C-FIND and QIDO-RS tell of studies, series and instances, and who may see which of them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import UID

from diagnosis.interop.dicom_header import UTF8, identity, text
from diagnosis.interop.dicom_identity import (
    image_uid,
    known_uid,
    modality,
    patient_for_dicom,
    series_uid,
    study_for_dicom,
    study_uid,
)
from diagnosis.models import Study, StudyImage

_COLUMNS: Final = {
    "ImageLaterality": "laterality",
    "ViewPosition": "view_position",
    "BodyPartExamined": "body_part_examined",
}
SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
# Matched on the rows of a study, besides the keys of the study itself.
SERIES_KEYS: Final = ("SeriesInstanceUID", "Modality", "SeriesNumber")
INSTANCE_KEYS: Final = ("SOPInstanceUID", "SOPClassUID", "InstanceNumber")


def study_dataset(study: Study) -> Dataset:
    """Return the attributes of a study (PS3.18 table 10.6.3-3)."""
    images = list(study.images.all())
    dataset = Dataset()
    dataset.SpecificCharacterSet = UTF8
    identity(dataset, patient_for_dicom(study.patient), study_for_dicom(study, images))
    dataset.InstanceAvailability = "ONLINE"
    modalities = sorted({modality(image) for image in images})
    dataset.ModalitiesInStudy = modalities if len(modalities) > 1 else "".join(modalities)
    dataset.StudyDescription = _description(study)
    dataset.NumberOfStudyRelatedSeries = len({series_uid(study, image) for image in images})
    dataset.NumberOfStudyRelatedInstances = len(images)
    return dataset


def series_datasets(study: Study) -> Iterator[tuple[Dataset, list[StudyImage]]]:
    """Yield the attributes of each series (table 10.6.3-4) with its images."""
    groups: dict[str, list[StudyImage]] = {}
    for image in study.images.all():
        groups.setdefault(series_uid(study, image), []).append(image)
    for uid, images in groups.items():
        dataset = Dataset()
        dataset.Modality = modality(images[0])
        dataset.SeriesInstanceUID = uid
        dataset.SeriesNumber = number(images[0], "SeriesNumber", 1)
        dataset.SeriesDescription = ""
        dataset.NumberOfSeriesRelatedInstances = len(images)
        yield dataset, images


def instance_dataset(image: StudyImage) -> Dataset:
    """Return the attributes of an instance (table 10.6.3-5)."""
    dataset = Dataset()
    dataset.SOPClassUID = known_uid(image.sop_class_uid) or SECONDARY_CAPTURE
    dataset.SOPInstanceUID = image_uid(image)
    dataset.InstanceAvailability = "ONLINE"
    dataset.InstanceNumber = number(image, "InstanceNumber", image.position + 1)
    dataset.Rows, dataset.Columns = image.height, image.width
    dataset.BitsAllocated = 8 if image.bits <= 8 else 16
    if image.frame_count > 1:
        dataset.NumberOfFrames = image.frame_count
    for keyword, column in _COLUMNS.items():
        value = text(getattr(image, column))
        if value:
            setattr(dataset, keyword, value)
    return dataset


def number(image: StudyImage, keyword: str, otherwise: int) -> int:
    """Return a number of the image's header when it is one."""
    said = str(image.dicom_header.get(keyword, ""))
    return int(said) if said.isascii() and said.isdecimal() and len(said) <= 9 else otherwise


def matches(dataset: Dataset, keys: Mapping[str, str]) -> bool:
    """Return whether a series or instance has the values of all keys."""
    return all(_matches(dataset.get(keyword), value) for keyword, value in keys.items())


def _matches(found: Any, value: str) -> bool:
    if value in {"", "*"}:
        return True
    if isinstance(found, UID):
        return str(found) in value.replace(",", "\\").split("\\")
    if isinstance(found, int):
        return value.strip().lstrip("+").lstrip("0") == str(found).lstrip("0")
    return str(found) == value


def _description(study: Study) -> str:
    part = str(study.get_body_part_display()) if study.body_part else ""
    side = str(study.get_side_display()) if study.side else ""
    return text(" ".join(word for word in (part, side) if word))


__all__ = [
    "INSTANCE_KEYS",
    "SERIES_KEYS",
    "instance_dataset",
    "matches",
    "number",
    "series_datasets",
    "study_dataset",
    "study_uid",
]
