"""The listener's application entity: who may speak, and which handler answers."""

import hashlib
import logging
import ssl
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import DatabaseError, connection
from pydicom.uid import UID
from pynetdicom import AE, _config, evt
from pynetdicom.pdu_primitives import A_ASSOCIATE

from accounts.tenancy import clinic_scope
from diagnosis.dimse.finding import handle_find
from diagnosis.dimse.server import GuardedServer
from diagnosis.dimse.storing import handle_store
from diagnosis.interop import dicom_capabilities as capabilities
from diagnosis.models import Device
from diagnosis.services.devices import device_find, device_seen
from diagnosis.transport.dicom_limits import MAX_PDU, guard_connection, message_ended

logger = logging.getLogger(__name__)

_REJECTED_PERMANENT: Final = 0x01
_BY_USER: Final = 0x01
_CALLING_UNKNOWN: Final = 0x03
_BY_PROVIDER: Final = 0x03
_REJECTED_TRANSIENT: Final = 0x02
_TEMPORARY_CONGESTION: Final = 0x01


def make_server(address: tuple[str, int]) -> GuardedServer:
    """Return the listener, bound to an address and not serving yet.

    Raises:
        OSError: the address is in use, or a certificate cannot be read.
    """
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # it would quote what peers send
    _config.STORE_RECV_CHUNKED_DATASET = True  # an image goes to a file, not into memory
    _config.LOG_HANDLER_LEVEL = "none"
    entity = AE(ae_title=settings.DIMSE_AE_TITLE)
    entity.maximum_pdu_size = MAX_PDU
    entity.maximum_associations = settings.DIMSE_MAX_CONNECTIONS
    entity.acse_timeout = 10
    entity.dimse_timeout = 30
    entity.network_timeout = 60
    entity.implementation_class_uid = capabilities.IMPLEMENTATION_UID
    entity.implementation_version_name = capabilities.IMPLEMENTATION_VERSION
    for sop_class in capabilities.STORED:
        entity.add_supported_context(sop_class, list(capabilities.TRANSFER_SYNTAXES))
    finds: tuple[UID, ...] = (capabilities.STUDY_ROOT_FIND, capabilities.WORKLIST_FIND)
    for sop_class in (capabilities.VERIFICATION, *finds):
        entity.add_supported_context(sop_class, list(capabilities.QUERY_SYNTAXES))
    handlers: list[Any] = [
        (evt.EVT_CONN_OPEN, _opened),
        (evt.EVT_REQUESTED, _recognise),
        (evt.EVT_DIMSE_RECV, message_ended),
        (evt.EVT_C_ECHO, _echo),
        (evt.EVT_C_STORE, _with_device(handle_store)),
        (evt.EVT_C_FIND, _finding),
    ]
    server: GuardedServer = entity.make_server(  # type: ignore[assignment]  # of server_class
        address,
        ae_title=settings.DIMSE_AE_TITLE,
        ssl_context=tls_context(),
        evt_handlers=handlers,
        server_class=GuardedServer,
    )
    return server


def tls_context() -> ssl.SSLContext | None:
    """Return a context that demands a client certificate, or ``None`` without TLS.

    Raises:
        OSError: a file cannot be read.
    """
    if not settings.DIMSE_TLS_CERTIFICATE:
        return None
    context = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH, cafile=settings.DIMSE_TLS_CLIENT_CA
    )
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(Path(settings.DIMSE_TLS_CERTIFICATE), Path(settings.DIMSE_TLS_KEY))
    return context


def _opened(event: evt.Event) -> None:
    """Bound what is read, and give the association's thread one database session for all of it.

    A session for each message would cost more than half of what storing its rows costs.
    """
    association: Any = event.assoc
    guard_connection(event)
    run = association.run

    def running() -> None:
        try:
            run()
        finally:
            connection.close()

    association.run = running


def _recognise(event: evt.Event) -> None:
    """Find the device that calls; a stranger is rejected and learns nothing else."""
    association: Any = event.assoc
    primitive = association.requestor.primitive
    if not isinstance(primitive, A_ASSOCIATE):  # nonsense instead of a request
        association.is_aborted = True
        association.kill()
        return
    title = str(primitive.calling_ae_title or "").strip()
    try:
        found = device_find(
            ae_title=title,
            address=str(association.remote["address"]),
            certificate_sha256=_fingerprint(association),
        )
    except DatabaseError as error:
        logger.warning("no device found", extra={"code": type(error).__name__})
        _reject(association, _REJECTED_TRANSIENT, _BY_PROVIDER, _TEMPORARY_CONGESTION)
        return
    if found is None:
        logger.warning("a stranger was rejected", extra={"code": "device_unknown"})
        _reject(association, _REJECTED_PERMANENT, _BY_USER, _CALLING_UNKNOWN)
        return
    association.device = found
    association._server.know(str(association.remote["address"]))  # noqa: SLF001 - no public way


def _reject(association: Any, result: int, source: int, reason: int) -> None:
    association.acse.send_reject(result, source, reason)
    association.is_rejected = True
    association.kill()


def _fingerprint(association: Any) -> str:
    raw = association.dul.socket.socket
    if not isinstance(raw, ssl.SSLSocket):
        return ""
    certificate = raw.getpeercert(binary_form=True)
    return hashlib.sha256(certificate).hexdigest() if certificate else ""


def device_of(event: evt.Event) -> Device | None:
    """Return the device of an association while it is in use."""
    association: Any = event.assoc
    if connection.connection is not None and not connection.is_usable():
        connection.close()  # the database was started anew since the last message
    device_id, clinic_id = association.device
    with clinic_scope(clinic_id):
        return device_seen(device_id=device_id)


def _echo(_event: evt.Event) -> int:
    return capabilities.SUCCESS


def _with_device(handle: Any) -> Any:
    """Call a handler for the device that sends."""

    def handler(event: evt.Event) -> Any:
        try:
            device = device_of(event)
            if device is None:
                return capabilities.NOT_AUTHORISED
            return handle(event, device)
        except DatabaseError as error:
            logger.warning("a message was not handled", extra={"code": type(error).__name__})
            connection.close()
            return capabilities.OUT_OF_RESOURCES

    return handler


def _finding(event: evt.Event) -> Any:
    try:
        device = device_of(event)
        if device is None:
            yield capabilities.NOT_AUTHORISED, None
            return
        yield from handle_find(event, device)
    except DatabaseError as error:
        logger.warning("a query was not answered", extra={"code": type(error).__name__})
        connection.close()
        yield capabilities.OUT_OF_RESOURCES, None
