"""C-FIND: studies, series and instances of the device's clinic, and its modality worklist."""

from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pynetdicom.events import Event

from accounts.tenancy import clinic_scope
from diagnosis.interop import dicom_capabilities as capabilities
from diagnosis.interop.dicom_listing import (
    INSTANCE_KEYS,
    SERIES_KEYS,
    instance_dataset,
    matches,
    series_datasets,
    study_dataset,
)
from diagnosis.interop.dicom_worklist import WORKLIST_KEYS, worklist_items
from diagnosis.models import Device
from diagnosis.selectors.dicom_query import STUDY_KEYS, QueryError, dicom_studies
from diagnosis.selectors.dicom_worklist import worklist_entries
from diagnosis.services.receiving import query_note

PENDING: Final = 0xFF00
CANCELLED: Final = 0xFE00
_IDENTIFIER_DOES_NOT_MATCH: Final = 0xA900
_UNABLE: Final = 0xC001
_LEVELS: Final = {"STUDY": (), "SERIES": SERIES_KEYS, "IMAGE": SERIES_KEYS + INSTANCE_KEYS}
Answers = Iterator[tuple[int, Dataset | None]]


def handle_find(event: Event, device: Device) -> Answers:
    """Answer a query with what matches in the device's clinic."""
    try:
        identifier: Dataset = event.identifier
        sop_class = event.request.AffectedSOPClassUID
        with clinic_scope(device.clinic_id):
            if sop_class == capabilities.WORKLIST_FIND:
                found = list(_worklist(identifier, device))
            else:
                found = list(_query(identifier, device))
            query_note(actor=device.membership.user, device=device, count=len(found))
    except QueryError:
        yield _IDENTIFIER_DOES_NOT_MATCH, None
        return
    except (ValueError, TypeError, AttributeError, NotImplementedError, KeyError):
        yield _UNABLE, None  # an identifier that cannot be read
        return
    for dataset in found:
        if event.is_cancelled:
            yield CANCELLED, None
            return
        yield PENDING, dataset


def _query(identifier: Dataset, device: Device) -> Iterator[Dataset]:
    level = str(identifier.get("QueryRetrieveLevel") or "").strip()
    if level not in _LEVELS:
        raise QueryError("QueryRetrieveLevel")
    keys = {k: _text(identifier[k].value) for k in STUDY_KEYS if k in identifier}
    studies = dicom_studies(
        user=device.membership.user, keys=keys, time_zone=device.clinic.time_zone
    )
    for study in studies[: settings.DIMSE_MAX_MATCHES]:
        of_study = study_dataset(study)
        if level == "STUDY":
            yield _asked(identifier, level, of_study)
            continue
        for of_series, images in series_datasets(study):
            if not matches(of_series, _keys(identifier, SERIES_KEYS)):
                continue
            if level == "SERIES":
                yield _asked(identifier, level, of_study, of_series)
                continue
            for image in images:
                of_image = instance_dataset(image)
                if matches(of_image, _keys(identifier, INSTANCE_KEYS)):
                    yield _asked(identifier, level, of_study, of_series, of_image)


def _worklist(identifier: Dataset, device: Device) -> Iterator[Dataset]:
    steps = identifier.get("ScheduledProcedureStepSequence") or [Dataset()]
    keys = _keys(identifier, WORKLIST_KEYS) | _keys(steps[0], WORKLIST_KEYS)
    entries = worklist_entries(
        user=device.membership.user, keys=keys, time_zone=device.clinic.time_zone
    )
    for entry in entries[: settings.DIMSE_MAX_MATCHES]:
        yield from worklist_items(entry, identifier, device.clinic.time_zone)


def _keys(identifier: Dataset, keywords: tuple[str, ...]) -> dict[str, str]:
    return {k: _text(identifier[k].value) for k in keywords if k in identifier}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, MultiValue | list):
        return "\\".join(str(part) for part in value)
    return str(value).strip()


def _asked(identifier: Dataset, level: str, *parts: Dataset) -> Dataset:
    """Return the attributes that were asked for, as far as there are any."""
    answer = Dataset()
    answer.SpecificCharacterSet = parts[0].SpecificCharacterSet
    answer.QueryRetrieveLevel = level
    answer.RetrieveAETitle = settings.DIMSE_AE_TITLE
    for element in identifier:
        for part in reversed(parts):
            if element.tag in part:
                answer[element.tag] = part[element.tag]
                break
        else:
            if element.keyword not in {"SpecificCharacterSet", "QueryRetrieveLevel"}:
                answer.add_new(element.tag, element.VR, None)
    return answer
