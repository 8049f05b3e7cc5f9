"""Asking a DICOM node for earlier studies: C-FIND, and C-GET or C-MOVE for the images."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import build_role, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context

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
from diagnosis.transport.dicom_limits import guard_connection, message_ended
from diagnosis.transport.dicom_scu import SYNTAXES, Node, association, check_status
from diagnosis.transport.errors import PeerRefusedError, PeerUnavailableError

FIND: Final = UID("1.2.840.10008.5.1.4.1.2.2.1")
MOVE: Final = UID("1.2.840.10008.5.1.4.1.2.2.2")
GET: Final = UID("1.2.840.10008.5.1.4.1.2.2.3")
_PENDING: Final = frozenset({0xFF00, 0xFF01})
_MOVE_UNKNOWN: Final = 0xA801
_SUBOPERATIONS_FAILED: Final = frozenset({0xA701, 0xA702})


@dataclass(slots=True)
class _Inbox:
    """The one instance that was asked for; whatever else a peer sends is dropped."""

    wanted: str = ""
    data: bytes | None = None

    def take(self, event: evt.Event) -> int:
        """Keep the file as it came; for the event that the peer stores something here."""
        request: Any = event.request
        asked = str(request.AffectedSOPInstanceUID) == self.wanted
        if asked and isinstance(request.DataSet, io.BytesIO):
            self.data = event.encoded_dataset()
        return 0x0000


class NodeArchive:
    """An open association; ``move_to`` is our listener's AE title, ``""`` to use C-GET."""

    def __init__(self, peer: Association, inbox: _Inbox, move_to: str) -> None:
        self._peer, self._inbox, self._move_to = peer, inbox, move_to

    def studies(self, *, patient_id: str = "", study_uid: str = "") -> list[FoundStudy]:
        """Return studies by C-FIND."""
        keys = {"PatientID": patient_id, "StudyInstanceUID": study_uid}
        found = self._find("STUDY", keys, STUDY_TAGS, MAX_STUDIES)
        return [study for answer in found if (study := study_read(answer))]

    def instances(self, study_uid: str) -> list[FoundInstance]:
        """Return what belongs to a study: its series, then the instances of each."""
        series: list[tuple[str, str]] = []
        keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": ""}
        for answer in self._find("SERIES", keys, ("00080060",), MAX_INSTANCES):
            uid, modality = (_value(answer, tag) for tag in ("0020000E", "00080060"))
            series.append((uid, modality))
        found: list[FoundInstance] = []
        for uid, modality in series:
            keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": uid}
            left = MAX_INSTANCES - len(found)
            for answer in self._find("IMAGE", keys, INSTANCE_TAGS, left) if left > 0 else ():
                told = {"0020000E": {"Value": [uid]}, "00080060": {"Value": [modality]}}
                instance = instance_read({**told, **_said(answer)}, study_uid)
                if instance is not None:
                    found.append(instance)
        return found

    def retrieve(self, instance: FoundInstance) -> bytes | None:
        """Fetch one instance: here over this association, or let it be sent to the listener."""
        asked = _identifier(
            "IMAGE",
            {
                "StudyInstanceUID": instance.study_uid,
                "SeriesInstanceUID": instance.series_uid,
                "SOPInstanceUID": instance.uid,
            },
        )
        self._inbox.wanted, self._inbox.data = instance.uid, None
        if self._move_to:
            answers = self._peer.send_c_move(asked, self._move_to, MOVE)
        else:
            answers = self._peer.send_c_get(asked, GET)
        done = 0
        for status, _identifier_of_failed in answers:
            code = int(status.Status) if "Status" in status else None
            if code == _MOVE_UNKNOWN:
                raise PeerRefusedError("move_destination_unknown")
            if code in _SUBOPERATIONS_FAILED:
                raise PeerRefusedError("instance_missing")
            if code not in _PENDING:
                check_status(status)
            done = int(status.get("NumberOfCompletedSuboperations") or done)
        if self._move_to:
            if not done:
                raise PeerRefusedError("instance_missing")
            return None
        if self._inbox.data is None:
            raise PeerRefusedError("instance_missing")
        return self._inbox.data

    def _find(
        self, level: str, keys: Mapping[str, str], tags: tuple[str, ...], most: int
    ) -> Iterator[Mapping[str, Any]]:
        """Yield answers in the DICOM JSON model, so many at most."""
        asked = _identifier(level, keys)
        for tag in tags:
            if tag not in asked:
                asked.add_new(int(tag, 16), _vr(tag), None)
        count = 0
        for status, identifier in self._peer.send_c_find(asked, FIND):
            if "Status" not in status or int(status.Status) not in _PENDING:
                check_status(status)
                return
            if identifier is None:
                continue
            count += 1
            if count > most:  # a peer that does not stop is left
                self._peer.abort()
                return
            yield identifier.to_json_dict(suppress_invalid_tags=True)


@contextmanager
def node_archive(
    node: Node, *, move_to: str, storage: Mapping[UID, Sequence[UID]]
) -> Iterator[NodeArchive]:
    """Open an association for asking and fetching.

    Args:
        node: the archive.
        move_to: AE title that images are sent to, ``""`` to get them over this association.
        storage: storage classes with the transfer syntaxes that can be read, for C-GET.

    Raises:
        PeerRefusedError: ``query_not_accepted``, ``retrieve_not_accepted``.
        TransportError: as ``dicom_scu.association``.
    """
    inbox = _Inbox()
    retrieve = MOVE if move_to else GET
    contexts = [build_context(each, list(SYNTAXES)) for each in (FIND, retrieve)]
    roles = []
    if not move_to:
        contexts += _storage_contexts(storage)
        roles = [build_role(each, scp_role=True) for each in storage]
    handlers = [
        (evt.EVT_CONN_OPEN, guard_connection),
        (evt.EVT_DIMSE_RECV, message_ended),
        (evt.EVT_C_STORE, inbox.take),
    ]
    with association(node, contexts, roles=roles, handlers=handlers) as peer:
        accepted = {context.abstract_syntax for context in peer.accepted_contexts}
        if FIND not in accepted:
            raise PeerRefusedError("query_not_accepted")
        if retrieve not in accepted:
            raise PeerRefusedError("retrieve_not_accepted")
        try:
            yield NodeArchive(peer, inbox, move_to)
        except (RuntimeError, ValueError) as error:  # the library's: the association is gone
            raise PeerUnavailableError("connection_lost") from error


def _storage_contexts(storage: Mapping[UID, Sequence[UID]]) -> list[PresentationContext]:
    """Return one context a class and syntax: of several in one, the archive takes a single one."""
    return [build_context(each, [syntax]) for each, found in storage.items() for syntax in found]


def _identifier(level: str, keys: Mapping[str, str]) -> Dataset:
    asked = Dataset()
    asked.SpecificCharacterSet = "ISO_IR 192"
    asked.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    return asked


def _vr(tag: str) -> str:
    return dictionary_VR(int(tag, 16))


def _value(answer: Mapping[str, Any], tag: str) -> str:
    found = answer.get(tag, {}).get("Value") or [""]
    return str(found[0])


def _said(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {tag: element for tag, element in answer.items() if element.get("Value")}
