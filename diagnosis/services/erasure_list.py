"""Who was erased, as random ids, kept outside of the database.

A backup that is older than an erasure brings the person back. The list (``ERASURE_LIST``, beside
the backups unless it is set) and the log therefore hold a line for each: clinic, patient, moment.
``restore`` erases them again, and ``manage.py erase_again`` does after a restore by other means.
"""

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.utils import timezone

logger = logging.getLogger(__name__)


class ErasureListError(OSError):
    """The list cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Erased:
    """One line."""

    clinic_id: UUID
    patient_id: UUID


def erasure_list() -> Path | None:
    """Return where the list lies."""
    return Path(settings.ERASURE_LIST) if settings.ERASURE_LIST else None


def erasure_note(*, clinic_id: UUID, patient_id: UUID) -> None:
    """Add a patient to the list, on the disk before this returns; twice does no harm.

    Raises:
        ErasureListError: it was not written.
    """
    line = json.dumps(
        {"at": timezone.now().isoformat(), "clinic": str(clinic_id), "patient": str(patient_id)}
    )
    logger.info("patient erased %s", line)
    path = erasure_list()
    if path is None:
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "a", encoding="ascii") as file:
            file.write(f"{line}\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ErasureListError("the list of erasures was not written") from error


def erasures_noted(path: Path | None) -> list[Erased]:
    """Return everybody on a list, each once.

    Raises:
        ErasureListError: the list cannot be read; nobody may open the site before it can.
    """
    if path is None or not path.is_file():
        return []
    try:
        lines = [json.loads(text) for text in path.read_text(encoding="ascii").splitlines()]
        return list(dict.fromkeys(Erased(UUID(x["clinic"]), UUID(x["patient"])) for x in lines))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ErasureListError("the list of erasures cannot be read") from error
