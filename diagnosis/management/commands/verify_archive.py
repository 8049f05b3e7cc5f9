"""Check a backup, or a site that was restored from one."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from diagnosis.management.backup_command import BackupCommand
from diagnosis.services.audit_anchors import AnchorsUnreadableError
from diagnosis.services.backup_folder import NotABackupError, manifest_read
from diagnosis.services.backups import archive_verify, site_verify
from diagnosis.storage import StorageError


class Command(BackupCommand):
    """Exit code 1: something is damaged; 2: it cannot be told."""

    help = "Read a backup again and compare every sha256; --site: compare this site with it"

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_folder(parser)
        parser.add_argument("--site", action="store_true",
                            help="Rows, objects and audit trail of this site")  # fmt: skip

    def handle(self, *_args: Any, **options: Any) -> None:
        folder = self.folder(options["backup"])
        try:
            if options["site"]:
                found = site_verify(manifest_read(folder))
            else:
                found = archive_verify(actor=None, folder=folder, tell=self.tell)
        except NotABackupError as error:
            raise CommandError(f"{folder} holds no whole backup.", returncode=2) from error
        except (StorageError, AnchorsUnreadableError) as error:
            raise CommandError("The object store does not answer.", returncode=2) from error
        for flaw in found.flaws:
            self.stdout.write(flaw)
        self.stdout.write(
            f"{found.rows} rows and {found.objects} objects read, {len(found.flaws)} flaws"
        )
        if found.flaws:
            raise CommandError("This is not what was backed up; see above.")
