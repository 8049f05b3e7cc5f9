"""Asking a DICOMweb server for earlier studies: QIDO-RS, and WADO-RS for the images."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from django.conf import settings

from diagnosis.transport.archives import (
    INSTANCE_TAGS,
    MAX_INSTANCES,
    MAX_STUDIES,
    STUDY_TAGS,
    FoundInstance,
    FoundStudy,
    instance_read,
    study_read,
)
from diagnosis.transport.errors import PeerRefusedError
from diagnosis.transport.http import Answer, http_request

_BOUNDARY: Final = re.compile(r'boundary="?([^";,\s]{1,70})"?', re.IGNORECASE)
_FILES: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_OVERHEAD: Final = 2**16
_HEAD_BYTES: Final = 4096
_MAX_LIST_BYTES: Final = 4 * 2**20


class WebArchive:
    """Each call is a request of its own; addresses are made of UIDs, never of what was answered."""

    def __init__(self, url: str, secrets: Mapping[str, str]) -> None:
        self._url, self._secrets = url.rstrip("/"), secrets

    def studies(self, *, patient_id: str = "", study_uid: str = "") -> list[FoundStudy]:
        """Return studies by QIDO-RS."""
        keys = {"PatientID": patient_id, "StudyInstanceUID": study_uid}
        given = [(name, value) for name, value in keys.items() if value]
        answers = self._search("studies", given, STUDY_TAGS, MAX_STUDIES)
        return [study for answer in answers if (study := study_read(answer))]

    def instances(self, study_uid: str) -> list[FoundInstance]:
        """Return what belongs to a study; a server without the modality of instances is asked."""
        path = f"studies/{study_uid}"
        kinds = {}
        for answer in self._search(f"{path}/series", [], ("0020000E", "00080060"), MAX_INSTANCES):
            kinds[_first(answer, "0020000E")] = _first(answer, "00080060")
        found = []
        for answer in self._search(f"{path}/instances", [], INSTANCE_TAGS, MAX_INSTANCES):
            modality = {"00080060": {"Value": [kinds.get(_first(answer, "0020000E"), "")]}}
            instance = instance_read({**modality, **answer}, study_uid)
            if instance is not None:
                found.append(instance)
        return found

    def retrieve(self, instance: FoundInstance) -> bytes:
        """Fetch one instance by WADO-RS."""
        path = f"studies/{instance.study_uid}/series/{instance.series_uid}/instances/{instance.uid}"
        answer = self._get(
            path, accept=_FILES, most=settings.INGEST_MAX_BYTES + _OVERHEAD, missing=True
        )
        return _single_part(answer)

    def _search(
        self, path: str, keys: list[tuple[str, str]], tags: tuple[str, ...], most: int
    ) -> list[Mapping[str, Any]]:
        query = [*keys, *(("includefield", tag) for tag in tags), ("limit", str(most))]
        answer = self._get(
            f"{path}?{urlencode(query)}", accept="application/dicom+json", most=_MAX_LIST_BYTES
        )
        if answer.status == 204 or not answer.body:
            return []
        try:
            found = json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            raise PeerRefusedError("answer_unreadable") from error
        if not isinstance(found, list):
            raise PeerRefusedError("answer_unreadable")
        return [entry for entry in found[:most] if isinstance(entry, Mapping)]

    def _get(self, path: str, *, accept: str, most: int, missing: bool = False) -> Answer:
        answer = http_request(
            "GET",
            f"{self._url}/{path}",
            headers={"Accept": accept},
            secrets=self._secrets,
            max_answer_bytes=most,
        )
        if answer.status in {401, 403}:
            raise PeerRefusedError("not_authorised")
        if missing and answer.status in {404, 406, 410}:
            raise PeerRefusedError("instance_missing")
        if not 200 <= answer.status < 300:
            raise PeerRefusedError("peer_refused")
        return answer


def _single_part(answer: Answer) -> bytes:
    """Return the one part of a ``multipart/related`` answer, or a body that is the file itself."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    content_type = headers.get("content-type", "")
    if content_type.lower().startswith("application/dicom"):
        return answer.body
    boundary = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/related") or boundary is None:
        raise PeerRefusedError("answer_unreadable")
    mark = b"--" + boundary[1].encode()
    begin = answer.body.find(mark)
    head_end = answer.body.find(b"\r\n\r\n", begin, begin + _HEAD_BYTES)
    end = answer.body.rfind(b"\r\n" + mark)
    if begin < 0 or head_end < 0 or end < head_end + 4:
        raise PeerRefusedError("answer_unreadable")
    return answer.body[head_end + 4 : end]


def _first(answer: Mapping[str, Any], tag: str) -> str:
    element = answer.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    return str(values[0]) if isinstance(values, list) and values else ""
