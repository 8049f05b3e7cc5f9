"""Back up everything, rows and objects, while the site runs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from diagnosis.management.backup_command import BackupCommand
from diagnosis.services.backup_folder import BackupBusyError
from diagnosis.services.backups import backup_take


class Command(BackupCommand):
    """Exit code 1: nothing was backed up; 3: another backup is being made."""

    help = "Back up all rows and objects into a folder; what it has already is not copied again"

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--to", type=Path, help="Folder of all backups (or BACKUP_ROOT)")
        parser.add_argument("--keep", type=int, default=settings.BACKUP_KEEP, metavar="N",
                            help="Remove all but the newest N backups")  # fmt: skip

    def handle(self, *_args: Any, **options: Any) -> None:
        root = options["to"] or (Path(settings.BACKUP_ROOT) if settings.BACKUP_ROOT else None)
        if root is None:
            raise CommandError("Where to? Say --to FOLDER or set BACKUP_ROOT.")
        if self.dry_run:
            self.stdout.write(f"Would back up into {root}")
            return
        try:
            made = backup_take(
                actor=None, root=root.resolve(), keep=max(1, options["keep"]), tell=self.tell
            )
        except BackupBusyError as error:
            raise CommandError("Another backup is being made.", returncode=3) from error
        except OSError as error:
            raise CommandError(
                f"The backup is not whole ({error}). Look whether the folder is full and the "
                "object store answers, then start again: what was copied is not copied twice."
            ) from error
        self.stdout.write(
            f"{root / made.name}: {made.rows} rows of {len(made.tables)} tables, "
            f"{len(made.objects)} objects, {made.size} bytes"
        )
        if made.missing:
            raise CommandError(f"{len(made.missing)} objects went away while they were copied.")
