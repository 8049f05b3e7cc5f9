"""Calling a DICOM node: is it there (C-ECHO), take these objects (C-STORE)."""

import logging
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from diagnosis.transport.dicom_limits import MAX_PDU
from diagnosis.transport.errors import PeerRefusedError, PeerUnavailableError
from diagnosis.transport.guard import allowed_address
from diagnosis.transport.tls import client_context

# What it would say is said by codes; its own words may hold what a peer has sent.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)

SYNTAXES: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
# PS3.4 table B.2-1: the peer is full or overloaded; everything else is about the object.
_OUT_OF_RESOURCES: Final = range(0xA700, 0xA800)
_WARNINGS: Final = range(0xB000, 0xC000)


@dataclass(frozen=True, slots=True)
class Node:
    """A DICOM application entity and what we call ourselves to it."""

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str
    use_tls: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


def echo(node: Node) -> None:
    """Ask the node whether it answers.

    Raises:
        TransportError: it does not.
    """
    with association(node, _contexts([Verification])) as peer:
        check_status(peer.send_c_echo())


def store(node: Node, objects: Sequence[Dataset]) -> None:
    """Give objects to the node, in order, over one association.

    Raises:
        PeerRefusedError: ``object_not_accepted``: it takes no objects of this class;
            ``peer_refused``: it does not take this one.
        PeerUnavailableError: it does not answer, or is full.
    """
    classes = list(dict.fromkeys(str(each.SOPClassUID) for each in objects))
    with association(node, _contexts(classes)) as peer:
        accepted = {str(context.abstract_syntax) for context in peer.accepted_contexts}
        if not accepted.issuperset(classes):
            raise PeerRefusedError("object_not_accepted")
        for each in objects:
            check_status(peer.send_c_store(each))


@contextmanager
def association(
    node: Node,
    contexts: Sequence[PresentationContext],
    *,
    roles: Sequence[Any] = (),
    handlers: Sequence[Any] = (),
) -> Iterator[Association]:
    """Open an association and close it again.

    Raises:
        TransportError: there is none to be had.
    """
    address = allowed_address(node.host, node.port)
    _knock(address, node.port)
    entity = AE(ae_title=node.calling_ae_title)
    entity.maximum_pdu_size = MAX_PDU
    entity.acse_timeout = entity.connection_timeout = 10
    entity.dimse_timeout = entity.network_timeout = settings.DELIVERY_TIMEOUT_S
    tls = (client_context(node.secrets), node.host) if node.use_tls else None
    peer = entity.associate(
        address,
        node.port,
        contexts=list(contexts),
        ae_title=node.called_ae_title,
        max_pdu=MAX_PDU,
        ext_neg=list(roles),
        tls_args=tls,
        evt_handlers=list(handlers),
    )
    if not peer.is_established:
        if peer.is_rejected:
            raise PeerUnavailableError("peer_rejected")
        raise PeerUnavailableError("peer_unreachable")
    try:
        yield peer
    finally:
        if peer.is_established:
            peer.release()


def _contexts(classes: Sequence[Any]) -> list[PresentationContext]:
    return [build_context(each, list(SYNTAXES)) for each in classes]


def _knock(address: str, port: int) -> None:
    """See whether anybody listens: the library tells that apart from a refusal only by its log."""
    try:
        socket.create_connection((address, port), timeout=10).close()
    except OSError as error:
        raise PeerUnavailableError("peer_unreachable") from error


def check_status(status: Dataset) -> None:
    """Return when a node has done what it was asked to; warnings are fine.

    Raises:
        TransportError: it has not.
    """
    if "Status" not in status:
        raise PeerUnavailableError("connection_lost")
    code = int(status.Status)
    if code == 0 or code in _WARNINGS:
        return
    if code in _OUT_OF_RESOURCES:
        raise PeerUnavailableError("peer_busy")
    raise PeerRefusedError("peer_refused")
