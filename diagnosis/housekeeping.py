"""What the clock asks Celery for, apart from jobs: expiry, plans, checks and backups."""

import logging
from uuid import UUID

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.utils import timezone

from diagnosis.services.audit_anchors import (
    AnchorsUnreadableError,
    trail_verify,
    verification_record,
)
from diagnosis.services.backup_folder import BackupBusyError, NotABackupError
from diagnosis.services.backup_orders import backup_ordered_check, backup_ordered_take
from diagnosis.services.idempotency import idempotency_expire
from diagnosis.services.integrity import objects_stored, objects_verify, share_of
from diagnosis.services.orphans import orphans_delete, orphans_find
from diagnosis.services.patient_exports import patient_exports_expire
from diagnosis.services.resumable import uploads_expire
from diagnosis.services.retention import retention_propose
from fracture_site.common.errors import DomainError

logger = logging.getLogger(__name__)

# These may take longer than a broker waits for an answer, and a run that is lost costs nothing: it
# is acknowledged before it starts, and the next one goes on.
_HOUSEKEEPING = {"acks_late": False, "soft_time_limit": 3600, "time_limit": 3660}
_LONG = {"acks_late": False, "soft_time_limit": 8 * 3600, "time_limit": 8 * 3600 + 60}


@shared_task(name="diagnosis.tasks.propose_erasures", **_HOUSEKEEPING)  # type: ignore[untyped-decorator]
def propose_erasures() -> int:
    """Plan what the clinics' policies no longer keep."""
    return retention_propose()


@shared_task(name="diagnosis.tasks.expire_idempotency", **_HOUSEKEEPING)  # type: ignore[untyped-decorator]
def expire_idempotency() -> None:
    """Delete answers that were kept for a day, and files of patients whose time is over."""
    idempotency_expire()
    try:
        patient_exports_expire()
    except OSError as error:
        logger.warning("files stay until the next run", exc_info=error, extra={"code": "storage"})


@shared_task(name="diagnosis.tasks.expire_uploads", **_HOUSEKEEPING)  # type: ignore[untyped-decorator]
def expire_uploads() -> None:
    """Delete parts of files that were not finished in time."""
    uploads_expire()


@shared_task(name="diagnosis.tasks.collect_orphans", **_HOUSEKEEPING)  # type: ignore[untyped-decorator]
def collect_orphans() -> None:
    """Delete stored objects that no row names."""
    try:
        orphans_delete(orphans_find())
    except OSError as error:
        logger.warning("orphans stay until the next run", exc_info=error, extra={"code": "storage"})


@shared_task(name="diagnosis.tasks.verify_objects", **_HOUSEKEEPING)  # type: ignore[untyped-decorator]
def verify_objects() -> None:
    """Read today's share of the stored objects again; damage is recorded by the service."""
    try:
        objects_verify(objects_stored(share=share_of(timezone.now().date())))
    except OSError:
        logger.exception("objects were not verified", extra={"code": "storage"})
    except SoftTimeLimitExceeded:
        logger.exception("not all objects were verified", extra={"code": "timeout"})


@shared_task(name="diagnosis.tasks.verify_audit_trail", **_HOUSEKEEPING)  # type: ignore[untyped-decorator]
def verify_audit_trail() -> None:
    """Check the audit trail of all clinics; the service records and logs what is broken."""
    try:
        verification_record(trail_verify())
    except AnchorsUnreadableError:
        logger.exception("the audit trail was not checked", extra={"code": "storage"})


@shared_task(name="diagnosis.tasks.take_backup", **_LONG)  # type: ignore[untyped-decorator]
def take_backup(actor_id: str = "") -> None:
    """Back everything up; what went wrong is in the log, and on the page of backups."""
    try:
        backup_ordered_take(actor_id=UUID(actor_id) if actor_id else None)
    except BackupBusyError:
        logger.info("a backup is being made already")
    except OSError:
        logger.exception("the backup is not whole", extra={"code": "storage"})


@shared_task(name="diagnosis.tasks.verify_backup", **_LONG)  # type: ignore[untyped-decorator]
def verify_backup(actor_id: str, name: str) -> None:
    """Read a backup again."""
    try:
        backup_ordered_check(actor_id=UUID(actor_id), name=name)
    except (DomainError, NotABackupError):
        logger.warning("there is no such backup to verify")
