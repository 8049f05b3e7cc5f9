"""Fill an empty site from a backup and check the result."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from diagnosis.management.backup_command import BackupCommand
from diagnosis.services.audit_anchors import AnchorsUnreadableError
from diagnosis.services.backup_tables import RowsRefusedError
from diagnosis.services.backups import NotABackupError, RestoreRefusedError, backup_restore


class Command(BackupCommand):
    """Needs DATABASE_OWNER_URL. Exit code 1: refused, nothing changed; 2: restored with flaws."""

    help = "Restore a backup into an empty database and an empty object store"

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_folder(parser)
        parser.add_argument(
            "--other-key", action="store_true", help="Go on with another SECRET_KEY than that time"
        )

        parser.add_argument(
            "--erasures", type=Path, help="List of erasures, when it lies neither with the backup "
            "nor at ERASURE_LIST",
        )  # fmt: skip

    def handle(self, *_args: Any, **options: Any) -> None:
        folder = self.folder(options["backup"])
        if self.dry_run:
            self.stdout.write(f"Would restore {folder}")
            return
        try:
            found = backup_restore(
                folder=folder,
                other_key=options["other_key"],
                erasures=options["erasures"],
                tell=self.tell,
            )
        except NotABackupError as error:
            raise CommandError(f"{folder} holds no whole backup.") from error
        except (RestoreRefusedError, RowsRefusedError) as error:
            raise CommandError(str(error)) from error
        except (OSError, AnchorsUnreadableError) as error:
            raise CommandError(
                f"The object store or the backup's disk does not answer ({error}). Empty the "
                "object store and start again.",
                returncode=2,
            ) from error
        for flaw in found.flaws:
            self.stdout.write(flaw)
        self.stdout.write(
            f"Restored: {found.rows} rows, {found.objects} objects read again, "
            f"audit trail checked, {found.erased} patients erased again, {len(found.flaws)} flaws"
        )
        if found.flaws:
            raise CommandError(
                "Restored, but not everything is as it was; see above.", returncode=2
            )
