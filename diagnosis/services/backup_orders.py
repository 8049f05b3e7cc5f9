"""Backups that a person asks for on a page: a worker makes and checks them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from celery import current_app
from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError as BrokerError

from accounts.audit import audit_record
from accounts.models import User
from diagnosis.services.backup_folder import backups, manifest_read, note_read
from diagnosis.services.backups import NotABackupError, archive_verify, backup_take
from fracture_site.common.errors import DomainError, UnavailableError

# A worker that was killed says nothing; the largest table or object takes less.
_SILENT = timedelta(minutes=15)
TAKE, VERIFY = "diagnosis.tasks.take_backup", "diagnosis.tasks.verify_backup"


@dataclass(frozen=True, slots=True)
class BackupRow:
    """One backup as the page shows it; ``percent`` while it is being made."""

    name: str
    state: str
    begun_at: datetime | None
    rows: int = 0
    objects: int = 0
    size: int = 0
    missing: int = 0
    step: str = ""
    percent: int = 0
    verified_at: datetime | None = None
    flaws: int = 0


def may_back_up(user: User) -> bool:
    """Tell whether the person may: site administrators with all rights."""
    return user.is_active and user.is_staff and user.is_superuser


def backup_root() -> Path | None:
    """Return the folder of backups, if the site has one."""
    return Path(settings.BACKUP_ROOT) if settings.BACKUP_ROOT else None


def backup_rows() -> list[BackupRow]:
    """Return all backups, newest first."""
    root = backup_root()
    return [_row(folder) for folder in backups(root)] if root else []


def backup_order(*, actor: User) -> None:
    """Ask a worker for a backup.

    Raises:
        DomainError: ``no_backup_root``.
        UnavailableError: ``broker``; nothing was asked for.
    """
    if backup_root() is None:
        raise DomainError("no_backup_root", _("Set BACKUP_ROOT first; then backups can be made."))
    _send(TAKE, str(actor.pk))
    audit_record(actor=actor, action="backup.order", clinic_id=None)


def backup_check_order(*, actor: User, name: str) -> None:
    """Ask a worker to read a backup again.

    Raises:
        DomainError: ``no_backup``.
        UnavailableError: ``broker``; nothing was asked for.
    """
    _folder(name)
    _send(VERIFY, str(actor.pk), name)
    audit_record(actor=actor, action="backup.check_order", clinic_id=None, backup=name)


def backup_ordered_take(*, actor_id: UUID | None) -> None:
    """Make the backup that was asked for (``None``: by the clock), if there is a place for it."""
    if root := backup_root():
        backup_take(actor=_person(actor_id), root=root, keep=settings.BACKUP_KEEP)


def backup_ordered_check(*, actor_id: UUID, name: str) -> None:
    """Read the backup again that was named."""
    archive_verify(actor=_person(actor_id), folder=_folder(name))


def _folder(name: str) -> Path:
    root = backup_root()
    for folder in backups(root) if root else []:
        if folder.name == name:
            return folder
    raise DomainError("no_backup", _("This backup does not exist any more."))


def _row(folder: Path) -> BackupRow:
    progress, verified = note_read(folder, "progress"), note_read(folder, "verified")
    try:
        manifest = manifest_read(folder)
    except NotABackupError:
        done, total = int(progress.get("done", 0)), int(progress.get("total", 0))
        at = _time(progress.get("at"))
        alive = at is not None and timezone.now() - at < _SILENT
        return BackupRow(
            name=folder.name,
            state="running" if alive and progress.get("state") == "running" else "failed",
            begun_at=at,
            step=str(progress.get("step", "")),
            percent=100 * done // total if total else 0,
        )
    return BackupRow(
        name=folder.name,
        state="whole",
        begun_at=_time(manifest.taken_at),
        rows=manifest.rows,
        objects=len(manifest.objects),
        size=manifest.size,
        missing=len(manifest.missing),
        verified_at=_time(verified.get("at")),
        flaws=int(verified.get("flaws", 0)),
    )


def _time(text: object) -> datetime | None:
    return parse_datetime(text) if isinstance(text, str) else None


def _person(pk: UUID | None) -> User | None:
    return User.objects.filter(pk=pk).first() if pk else None


def _send(task: str, *arguments: str) -> None:
    options = settings.JOB_WAKE_TRANSPORT_OPTIONS
    try:
        with current_app.connection_for_write(
            connect_timeout=0.5, transport_options=options
        ) as broker:
            current_app.send_task(
                task, args=arguments, connection=broker, retry=False, expires=3600,
                ignore_result=True,
            )  # fmt: skip
    except (BrokerError, OSError) as error:
        raise UnavailableError(
            "broker", _("The workers cannot be reached. Nothing was begun; try again in a minute.")
        ) from error
