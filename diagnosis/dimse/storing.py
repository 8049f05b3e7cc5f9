"""C-STORE: success is answered only after bytes and row are durable."""

import logging
from threading import BoundedSemaphore
from typing import Final

from pydicom.dataset import Dataset
from pynetdicom.events import Event

from diagnosis.ingest.sandbox import MAX_AT_ONCE
from diagnosis.interop import dicom_capabilities as capabilities
from diagnosis.models import Device
from diagnosis.services.receiving import image_receive
from fracture_site.common.errors import DomainError

logger = logging.getLogger(__name__)
# Images that wait lie on the disk; so many are in memory at once, however many peers send.
ROOM_WAIT_S: Final = 60.0
_ROOM: Final = BoundedSemaphore(2 * MAX_AT_ONCE)


def handle_store(event: Event, device: Device) -> Dataset:
    """Take an image in; it is decoded by the limited process, never here."""
    path, request = event.dataset_path, event.request
    if not _ROOM.acquire(timeout=ROOM_WAIT_S):
        path.unlink(missing_ok=True)
        return _status(capabilities.OUT_OF_RESOURCES, "ingest_busy")
    originator = getattr(request, "MoveOriginatorApplicationEntityTitle", None)
    try:
        outcome = image_receive(
            actor=device.membership.user,
            clinic_id=device.clinic_id,
            data=path.read_bytes(),
            originator=str(originator or "").strip(),
        )
    except DomainError as error:
        logger.warning(
            "an image was refused", extra={"clinic_id": device.clinic_id, "code": error.code}
        )
        refused = capabilities.STORE_STATUS.get(error.code, capabilities.CANNOT_UNDERSTAND)
        return _status(refused, error.code)
    except OSError as error:
        logger.warning("an image was not stored", extra={"code": type(error).__name__})
        return _status(capabilities.OUT_OF_RESOURCES, "storage")
    finally:
        _ROOM.release()
        path.unlink(missing_ok=True)
    logger.info(
        "an image was received",
        extra={"clinic_id": device.clinic_id, "image_id": outcome.image.pk},
    )
    return _status(capabilities.SUCCESS, "")


def _status(status: int, comment: str) -> Dataset:
    answer = Dataset()
    answer.Status = status
    if comment:
        answer.ErrorComment = comment[:64]
    return answer
