"""C-STORE: success is answered only after bytes and row are durable."""

import logging
from pathlib import Path

from pydicom.dataset import Dataset
from pynetdicom.events import Event

from diagnosis.interop import dicom_capabilities as capabilities
from diagnosis.models import Device
from diagnosis.services.receiving import image_receive
from fracture_site.common.errors import DomainError

logger = logging.getLogger(__name__)


def handle_store(event: Event, device: Device) -> Dataset:
    """Take an image in; it is decoded by the limited process, never here."""
    path: Path = event.dataset_path
    try:
        outcome = image_receive(
            actor=device.membership.user, clinic_id=device.clinic_id, data=path.read_bytes()
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
