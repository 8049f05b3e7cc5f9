"""Whether stored objects are still the bytes that were stored: a share each night, or all.

The share of a day is chosen by the last byte of the row's id, which is random: every object is
read again within ``ROTATION_DAYS`` days, and no table remembers where the last run stopped.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final
from uuid import UUID

from django.db.models import F, Func, IntegerField, QuerySet

from accounts.audit import audit_record
from accounts.models import AuditEvent, Clinic
from accounts.tenancy import clinic_scope
from diagnosis.models import ClinicOwnedModel, ReportVersion, StudyImage, StudyKeyImage
from diagnosis.storage import object_read

logger = logging.getLogger(__name__)

ROTATION_DAYS: Final = 32


class DamagedObjectError(Exception):
    """The stored bytes are not those that were stored; trying again cannot help."""


def served_bytes(image: StudyImage) -> bytes:
    """Return the served copy of an image after checking it.

    Raises:
        DamagedObjectError: its sha256 is not the stored one.
        OSError: storage did not answer, ``FileNotFoundError`` when it has no such object.
    """
    data = object_read(image.served_key)
    if hashlib.sha256(data).hexdigest() != image.served_sha256:
        raise DamagedObjectError
    return data


@dataclass(frozen=True, slots=True)
class _Kind:
    """Columns that name one kind of object, its hash and the patient it belongs to."""

    name: str
    model: type[ClinicOwnedModel]
    key: str
    sha256: str
    patient: str


_KINDS: Final = (
    _Kind("original", StudyImage, "original_key", "sha256", "study__patient_id"),
    _Kind("served", StudyImage, "served_key", "served_sha256", "study__patient_id"),
    _Kind("report", ReportVersion, "pdf_key", "pdf_sha256", "report__study__patient_id"),
    _Kind("key_image", StudyKeyImage, "object_key", "sha256", "image__study__patient_id"),
)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as its row describes it."""

    kind: _Kind
    clinic_id: UUID
    row_id: UUID
    patient_id: UUID
    key: str
    sha256: str


def share_of(day: date) -> int:
    """Return which share of all objects is read on a day."""
    return day.toordinal() % ROTATION_DAYS


def objects_stored(*, share: int | None = None) -> Iterator[StoredObject]:
    """Yield the objects of all clinics, or one share of them.

    No transaction stays open between two of them: the caller reads bytes meanwhile.
    """
    for clinic_id in Clinic.objects.order_by("pk").values_list("pk", flat=True):
        for kind in _KINDS:
            with clinic_scope(clinic_id):
                columns = ("pk", kind.patient, kind.key, kind.sha256)
                rows = list(_rows(kind, share).values_list(*columns))
            for row in rows:
                yield StoredObject(kind, clinic_id, *row)


def objects_count(*, share: int | None = None) -> int:
    """Return how many objects ``objects_stored`` will yield."""
    count = 0
    for clinic_id in Clinic.objects.values_list("pk", flat=True):
        with clinic_scope(clinic_id):
            count += sum(_rows(kind, share).count() for kind in _KINDS)
    return count


def objects_verify(stored: Iterable[StoredObject]) -> tuple[int, int]:
    """Read each object again; return how many were read and how many of them are damaged.

    Damage is written to the clinic's audit trail and logged each time that it is seen.

    Raises:
        StorageError: the store does not answer, which says nothing about its objects.
    """
    read = damaged = 0
    for entry in stored:
        read += 1
        reason = _damage(entry)
        if reason and _record(entry, reason):
            damaged += 1
    return read, damaged


def _rows(kind: _Kind, share: int | None) -> QuerySet[ClinicOwnedModel]:
    rows = kind.model.objects.exclude(**{kind.key: ""}).exclude(**{kind.sha256: ""})
    if share is None:
        return rows
    last_byte = Func(
        F("pk"), template="get_byte(uuid_send(%(expressions)s), 15)", output_field=IntegerField()
    )
    return rows.alias(last_byte=last_byte).filter(
        last_byte__in=range(share % ROTATION_DAYS, 256, ROTATION_DAYS)
    )


def _damage(entry: StoredObject) -> str:
    try:
        data = object_read(entry.key)
    except FileNotFoundError:
        return "missing"
    return "" if hashlib.sha256(data).hexdigest() == entry.sha256 else "altered"


def _record(entry: StoredObject, reason: str) -> bool:
    """Record damage, unless the row names another object by now."""
    kind = entry.kind
    with clinic_scope(entry.clinic_id):
        same = {"pk": entry.row_id, kind.key: entry.key, kind.sha256: entry.sha256}
        row = kind.model.objects.filter(**same).only("pk", "clinic_id").first()
        if row is None:
            return False
        audit_record(
            actor=None,
            action="object.damaged",
            clinic_id=entry.clinic_id,
            target=row,
            patient_id=entry.patient_id,
            outcome=AuditEvent.Outcome.FAILED,
            object=kind.name,
            reason=reason,
        )
    id_name = "image_id" if kind.model is StudyImage else "report_id"
    logger.error(
        "a stored object is damaged",
        extra={
            "code": f"object_{reason}",
            "clinic_id": entry.clinic_id,
            id_name: entry.row_id,
        },
    )
    return True
