"""What all DICOMweb endpoints share: JSON, multipart answers, and what the client accepts."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import uuid4

from django.http import Http404, HttpResponse, StreamingHttpResponse
from pydicom.dataset import Dataset
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from accounts.models import Membership
from diagnosis.api.base import ClinicViewSet
from diagnosis.interop.dicom_identity import image_uid, series_uid
from diagnosis.models import Study, StudyImage
from diagnosis.selectors.dicom_query import dicom_studies

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
_TYPE = re.compile(r'type="?([\w./+*-]+)"?', re.IGNORECASE)
_SYNTAX = re.compile(r'transfer-syntax="?([\d.*]+)"?', re.IGNORECASE)


class NotAcceptable(APIException):
    """Nothing that the client accepts can be made."""

    status_code = 406
    default_code = "not_acceptable"
    default_detail = "None of the accepted media types or transfer syntaxes can be given."


class DicomWebViewSet(ClinicViewSet[Membership]):
    """An endpoint for a member of the current clinic; another clinic's objects are 404."""

    queryset = Membership.objects.none()
    schema = None
    parser_classes = []

    def study(self, uid: str) -> Study:
        """Return a study of the clinic that has images, with them.

        Raises:
            Http404: there is none with this UID.
        """
        zone = self.membership.clinic.time_zone
        keys = {"StudyInstanceUID": uid.replace(",", "").replace("\\", "")}
        found = dicom_studies(user=self.actor, keys=keys, time_zone=zone).first()
        if found is None or keys["StudyInstanceUID"] in {"", "*"}:
            raise Http404
        return found

    def images(self, study: Study, series: str = "", instance: str = "") -> list[StudyImage]:
        """Return the images of a study, one series, or one instance.

        Raises:
            Http404: there are none.
        """
        found = [
            image
            for image in study.images.all()
            if (not series or series_uid(study, image) == series)
            and (not instance or image_uid(image) == instance)
        ]
        if not found:
            raise Http404
        return found

    def address(self, *parts: str) -> str:
        """Return the absolute URL of a resource."""
        return self.request.build_absolute_uri("/api/dicomweb/" + "/".join(parts))

    def instance_address(self, study: Study, image: StudyImage, uid: str) -> str:
        """Return the URL of one instance; ``uid`` is its study's."""
        return self.address(
            "studies", uid, "series", series_uid(study, image), "instances", image_uid(image)
        )


def json_answer(
    datasets: Iterable[dict[str, Any]] | dict[str, Any], status: int = 200
) -> HttpResponse:
    """Return one data set, or a list of them, in the DICOM JSON model."""
    found = datasets if isinstance(datasets, dict) else list(datasets)
    # pydicom leaves its own kinds of dates and names in the model; their text is what counts.
    body = json.dumps(found, ensure_ascii=False, default=str)
    return HttpResponse(body, content_type="application/dicom+json", status=status)


def to_json(dataset: Dataset) -> dict[str, Any]:
    """Return a data set in the DICOM JSON model; empty values have no ``Value``."""
    found: dict[str, Any] = dataset.to_json_dict(suppress_invalid_tags=True)
    return dict(sorted(found.items()))


def multipart(parts: Iterable[bytes], media_type: str) -> StreamingHttpResponse:
    """Return parts as ``multipart/related``, one after the other."""
    boundary = uuid4().hex
    kind = media_type.partition(";")[0]

    def body() -> Iterator[bytes]:
        for part in parts:
            yield f"--{boundary}\r\nContent-Type: {media_type}\r\n\r\n".encode()
            yield part
            yield b"\r\n"
        yield f"--{boundary}--\r\n".encode()

    content_type = f'multipart/related; type="{kind}"; boundary={boundary}'
    return StreamingHttpResponse(body(), content_type=content_type)


def accepts(request: Request, media_type: str, *, default: bool = True) -> bool:
    """Return whether the client takes a media type, alone or in parts.

    ``default`` is the answer to ``*/*`` and to no word at all. A transfer syntax that is asked
    for must be the one that there is.
    """
    header = str(request.query_params.get("accept") or request.headers.get("Accept") or "*/*")
    for entry in header.split(","):
        kind, _semicolon, parameters = entry.strip().partition(";")
        syntax = _SYNTAX.search(parameters)
        if syntax and syntax[1] not in {"*", EXPLICIT_LITTLE}:
            continue
        if kind in {"*/*", "multipart/*"} and default:
            return True
        inner = _TYPE.search(parameters)
        if kind == "multipart/related" and (inner[1] if inner else media_type) == media_type:
            return True
        if kind == media_type or kind == media_type.partition("/")[0] + "/*":
            return True
    return False


def require_accept(request: Request, *media_types: str) -> None:
    """Refuse a client that takes none of the media types.

    Raises:
        NotAcceptable: it does not.
    """
    if not any(accepts(request, media_type) for media_type in media_types):
        raise NotAcceptable
