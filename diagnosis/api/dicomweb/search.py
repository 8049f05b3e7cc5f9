"""QIDO-RS (PS3.18 10.6): studies, series and instances by attribute."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.http import HttpResponse
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from diagnosis.api.dicomweb.base import DicomWebViewSet, json_answer, require_accept, to_json
from diagnosis.interop.dicom_listing import (
    INSTANCE_KEYS,
    SERIES_KEYS,
    instance_dataset,
    matches,
    series_datasets,
    study_dataset,
)
from diagnosis.models import Study
from diagnosis.selectors.dicom_query import STUDY_KEYS, QueryError, dicom_studies

MAX_RESULTS: Final = 1000
DEFAULT_LIMIT: Final = 100
FUZZY_WARNING: Final = (
    '299 fracture-site "The fuzzymatching parameter is not supported. Only literal matching has '
    'been performed."'
)
# What is told without being asked for (PS3.18 tables 10.6.3-3 to 10.6.3-5).
_OF_ALL: Final = ("SpecificCharacterSet", "RetrieveURL", "InstanceAvailability")
TOLD: Final[Mapping[str, frozenset[str]]] = {
    "studies": frozenset(
        {
            *_OF_ALL, "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "AccessionNumber",
            "ModalitiesInStudy", "ReferringPhysicianName", "PatientName", "PatientID",
            "PatientBirthDate", "PatientSex", "NumberOfStudyRelatedSeries",
            "NumberOfStudyRelatedInstances",
        }
    ),
    "series": frozenset(
        {
            *_OF_ALL, "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Modality",
            "NumberOfSeriesRelatedInstances", "StudyInstanceUID",
        }
    ),
    "instances": frozenset(
        {
            *_OF_ALL, "SOPInstanceUID", "SOPClassUID", "InstanceNumber", "Rows", "Columns",
            "BitsAllocated", "NumberOfFrames", "SeriesInstanceUID", "StudyInstanceUID",
        }
    ),
}  # fmt: skip
LEVELS: Final[Mapping[str, tuple[str, ...]]] = {
    "studies": tuple(STUDY_KEYS),
    "series": (*STUDY_KEYS, *SERIES_KEYS),
    "instances": (*STUDY_KEYS, *SERIES_KEYS, *INSTANCE_KEYS),
}


class SearchViewSet(DicomWebViewSet):
    """Every documented key is applied; an unknown one is refused, never ignored."""

    def studies(self, request: Request) -> HttpResponse:
        """Search for studies."""
        return self._answer(request, "studies", {})

    def series(self, request: Request, study: str = "") -> HttpResponse:
        """Search for series, of one study or of all."""
        return self._answer(request, "series", {"StudyInstanceUID": study})

    def instances(self, request: Request, study: str = "", series: str = "") -> HttpResponse:
        """Search for instances, of one series, of one study or of all."""
        path = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
        return self._answer(request, "instances", path)

    def _answer(self, request: Request, level: str, path: Mapping[str, str]) -> HttpResponse:
        require_accept(request, "application/dicom+json", "application/json")
        given = {name: value for name, value in path.items() if value}
        asked = _parameters(request, LEVELS[level])
        if any(name in asked.keys and asked.keys[name] != given[name] for name in given):
            raise ValidationError({next(iter(given)): "The address names another one."})
        told = _told(level, given, asked)
        try:
            found = self._found(level, asked.keys | given)
            page = list(itertools.islice(found, asked.offset, asked.offset + asked.limit))
        except QueryError as error:
            raise ValidationError({str(error.args[0]): "This value cannot be matched."}) from error
        self.note_list("study", (patient_id for patient_id, _dataset in page))
        response = json_answer(to_json(_cut(dataset, told)) for _patient_id, dataset in page)
        if asked.fuzzy:
            response["Warning"] = FUZZY_WARNING
        return response

    def _found(self, level: str, keys: Mapping[str, str]) -> Iterator[tuple[UUID, Dataset]]:
        """Yield what matches, and the patient that it tells of."""
        of_study = {name: value for name, value in keys.items() if name in STUDY_KEYS}
        zone = self.membership.clinic.time_zone
        studies = dicom_studies(user=self.actor, keys=of_study, time_zone=zone)
        for study in studies.iterator(chunk_size=100):
            about = study_dataset(study)
            uid = str(about.StudyInstanceUID)
            if level == "studies":
                about.RetrieveURL = self.address("studies", uid)
                yield study.patient_id, about
                continue
            for dataset in self._below(level, study, about, keys):
                yield study.patient_id, dataset

    def _below(
        self, level: str, study: Study, about: Dataset, keys: Mapping[str, str]
    ) -> Iterator[Dataset]:
        uid = str(about.StudyInstanceUID)
        for series, images in series_datasets(study):
            if not matches(series, _only(keys, SERIES_KEYS)):
                continue
            if level == "series":
                series.update(about)
                series.RetrieveURL = self.address(
                    "studies", uid, "series", series.SeriesInstanceUID
                )
                yield series
                continue
            for image in images:
                instance = instance_dataset(image)
                if matches(instance, _only(keys, INSTANCE_KEYS)):
                    for known in (series, about):
                        instance.update({e.tag: e for e in known if e.tag not in instance})
                    instance.RetrieveURL = self.instance_address(study, image, uid)
                    yield instance


def _only(keys: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: keys[name] for name in names if name in keys}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query: keys to match, the page, and what is to be told besides; ``None``: everything."""

    keys: dict[str, str]
    limit: int
    offset: int
    fuzzy: bool
    fields: frozenset[str] | None


def _told(level: str, path: Mapping[str, str], asked: _Asked) -> frozenset[str] | None:
    """Return what is told; ``None`` for everything.

    The level's own, what stands above it as far as the address leaves that open, what was matched,
    and what was asked for.
    """
    if asked.fields is None:
        return None
    told = TOLD[level] | asked.fields | set(asked.keys)
    if level != "studies" and "StudyInstanceUID" not in path:
        told |= TOLD["studies"]
    if level == "instances" and "SeriesInstanceUID" not in path:
        told |= TOLD["series"]
    return told


def _cut(dataset: Dataset, told: frozenset[str] | None) -> Dataset:
    if told is not None:
        for element in list(dataset):
            if element.keyword not in told:
                del dataset[element.tag]
    return dataset


def _parameters(request: Request, known: tuple[str, ...]) -> _Asked:
    """Return what was asked for.

    Raises:
        ValidationError: a parameter or its value is not understood.
    """
    keys: dict[str, str] = {}
    numbers = {"limit": DEFAULT_LIMIT, "offset": 0}
    fuzzy = False
    fields: set[str] = set()
    for name, values in request.query_params.lists():
        if name in numbers:
            numbers[name] = _number(name, values)
        elif name == "fuzzymatching":
            fuzzy = values[-1].lower() == "true"
        elif name == "includefield":
            for field in ",".join(values).split(","):
                fields.add(field if field == "all" else _keyword(field))
        elif name != "accept":
            keyword = _keyword(name)
            if keyword not in known or len(values) != 1 or "\0" in values[0]:
                raise ValidationError({name: "This cannot be searched for here."})
            keys[keyword] = values[0]
    return _Asked(
        keys=keys,
        limit=min(numbers["limit"], MAX_RESULTS),
        offset=numbers["offset"],
        fuzzy=fuzzy,
        fields=None if "all" in fields else frozenset(fields),
    )


def _number(name: str, values: list[str]) -> int:
    text = values[0]
    if len(values) != 1 or not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise ValidationError({name: "A whole number, once."})
    return int(text)


def _keyword(name: str) -> str:
    """Return the keyword of an attribute that is named by keyword or by its eight digits."""
    last = name.rpartition(".")[2]
    if tag_for_keyword(last) is not None:
        return last
    try:
        keyword: Any = keyword_for_tag(int(last, 16)) if len(last) == 8 else ""
    except ValueError:
        keyword = ""
    if not keyword:
        raise ValidationError({name: "No such attribute."})
    return str(keyword)
