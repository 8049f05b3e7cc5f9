"""What the commands about backups share: which folder is meant, and the bar."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from tqdm import tqdm

from diagnosis.services.backup_folder import backups
from fracture_site.common.commands import ProgressCommand


class BackupCommand(ProgressCommand):
    """A command that shows how far it is, and names backups by folder."""

    _bar: "tqdm[Any] | None" = None
    _step = ""

    def tell(self, step: str, done: int, total: int) -> None:
        """Move the bar; each step has one of its own."""
        if self.no_progress:
            return
        if self._bar is None or self._step != step:
            self._step, self._bar = step, tqdm(total=total, desc=step, file=sys.stderr)
        self._bar.update(done - self._bar.n)

    def add_folder(self, parser: ArgumentParser) -> None:
        """Add the argument that names a backup."""
        parser.add_argument(
            "backup",
            nargs="?",
            type=Path,
            help="Folder of the backup, or its name in BACKUP_ROOT; without: the newest",
        )

    def folder(self, given: Path | None) -> Path:
        """Return the folder that is meant.

        Raises:
            CommandError: there is none.
        """
        root = Path(settings.BACKUP_ROOT) if settings.BACKUP_ROOT else None
        if given is None:
            whole = [p for p in backups(root) if (p / "manifest.json").is_file()] if root else []
            if not whole:
                raise CommandError("There is no backup yet. Name its folder, or set BACKUP_ROOT.")
            return whole[0]
        if root and not given.exists():
            given = root / given
        return given.resolve()
