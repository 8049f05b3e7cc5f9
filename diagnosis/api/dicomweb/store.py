"""STOW-RS (PS3.18 10.5): DICOM files in, each stored or refused for itself."""

import re
import struct
from typing import Any, Final

from django.conf import settings
from django.http import HttpResponse
from pydicom.dataset import Dataset
from pydicom.uid import UID
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.request import Request

from diagnosis.api.dicomweb.base import DicomWebViewSet, json_answer, to_json
from diagnosis.interop.dicom_capabilities import CANNOT_UNDERSTAND, STORE_STATUS
from diagnosis.interop.dicom_identity import image_uid, known_uid, study_uid
from diagnosis.interop.dicom_listing import SECONDARY_CAPTURE
from diagnosis.models import StudyImage
from diagnosis.services.receiving import image_receive
from fracture_site.common.errors import DomainError

MAX_PARTS: Final = 200
_BOUNDARY: Final = re.compile(r'boundary="?([^";,]{1,70})"?', re.IGNORECASE)
_DICOM: Final = re.compile(rb"content-type:\s*application/dicom(?![\w+.-])")
_HEAD_BYTES: Final = 4096
# The file is not to blame, and sending it again helps.
_LATER: Final = frozenset({"storage", "ingest_busy", "ingest_unavailable", "queue_full"})
_LONG: Final = frozenset({b"OB", b"OW", b"UN", b"SQ", b"UT", b"OF", b"OD", b"OL", b"UC", b"UR"})
_SOP_CLASS, _SOP_INSTANCE = 0x0002, 0x0003


class StoreViewSet(DicomWebViewSet):
    """Files go the same way as uploads and what machines send."""

    max_body_bytes = settings.INGEST_MAX_BYTES + 2**20

    def store(self, request: Request, study: str = "") -> HttpResponse:
        """Store every part; 200 all, 202 some, 409 none, 503 none for now."""
        codes: set[str] = set()
        stored: list[Dataset] = []
        failed: list[Dataset] = []
        study_found = ""
        for data in _parts(request):
            said = _identity(data)
            try:
                outcome = image_receive(
                    actor=self.actor,
                    clinic_id=self.membership.clinic_id,
                    data=data,
                    study_uid=study,
                )
            except DomainError as error:
                failed.append(_failure(said, error.code))
                codes.add(error.code)
            else:
                image = outcome.image
                study_found = study_uid(image.study)
                stored.append(self._success(image, study_found))
        answer = Dataset()
        if stored:
            answer.RetrieveURL = self.address("studies", study_found)
            answer.ReferencedSOPSequence = stored
        if failed:
            answer.FailedSOPSequence = failed
        later = not stored and codes <= _LATER
        status = 200 if not failed else 202 if stored else 503 if later else 409
        return json_answer(to_json(answer), status)

    def _success(self, image: StudyImage, uid: str) -> Dataset:
        item = Dataset()
        item.ReferencedSOPClassUID = known_uid(image.sop_class_uid) or SECONDARY_CAPTURE
        item.ReferencedSOPInstanceUID = image_uid(image)
        item.RetrieveURL = self.instance_address(image.study, image, uid)
        return item


class _Said:
    """What a file says that it is, before anything of it is believed."""

    def __init__(self, sop_class: str = "", instance: str = "") -> None:
        self.sop_class, self.instance = sop_class, instance


def _identity(data: bytes) -> _Said:
    """Read the identifiers in front of a file, for the answer only.

    By hand: a parser for all of DICOM may inflate, nest and fail in many ways, and belongs in the
    limited process. The group in front is always explicit and little-endian (PS3.10, 7.1).
    """
    said: dict[int, str] = {}
    at = 132 if data[128:132] == b"DICM" else len(data)
    while data[at : at + 2] == b"\x02\x00" and at + 12 <= min(len(data), _HEAD_BYTES):
        _group, number, kind, length = struct.unpack_from("<HH2sH", data, at)
        at += 8
        if kind in _LONG:
            length = int.from_bytes(data[at : at + 4], "little")
            at += 4
        said[number] = data[at : at + min(length, 65)].rstrip(b"\x00 ").decode("latin-1")
        at += length
    return _Said(known_uid(said.get(_SOP_CLASS, "")), known_uid(said.get(_SOP_INSTANCE, "")))


def _failure(said: _Said, code: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = UID(said.sop_class)
    item.ReferencedSOPInstanceUID = UID(said.instance)
    item.FailureReason = STORE_STATUS.get(code, CANNOT_UNDERSTAND)
    return item


def _parts(request: Request) -> list[bytes]:
    """Return the bodies of a ``multipart/related`` request.

    Raises:
        UnsupportedMediaType: it is something else, or holds other than DICOM files.
        ParseError: it cannot be taken apart, or has too many parts.
    """
    content_type = str(request.content_type or "")
    boundary = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/related") or boundary is None:
        raise UnsupportedMediaType(content_type)
    body: Any = request._request.body
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode())
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise ParseError("The parts of the body cannot be told apart.")
    if len(pieces) - 2 > MAX_PARTS:
        raise ParseError(f"At most {MAX_PARTS} files at once.")
    return [_content(piece) for piece in pieces[1:-1]]


def _content(piece: bytes) -> bytes:
    at = piece.find(b"\r\n\r\n", 0, _HEAD_BYTES)
    if at < 0:
        raise ParseError("A part of the body has no header.")
    head = piece[:at].lower()
    if b"content-type:" in head and not _DICOM.search(head):
        raise UnsupportedMediaType("only application/dicom is stored")
    return piece[at + 4 :]
