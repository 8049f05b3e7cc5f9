"""Bring a site's data to this release: backup, migrations, static files, model, checks."""

import time
from argparse import ArgumentParser
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from diagnosis.models import IdempotencyRecord
from diagnosis.services.backup_folder import backups, manifest_read
from diagnosis.services.backup_tables import rows_count, snapshot, tables

FLEETING = {IdempotencyRecord._meta.db_table}  # answers that are kept for a day
ROLLBACK = """\
To go back: stop all processes, check the former release out, and with an empty database and an
empty object store (or folder) run its `manage.py restore {backup}`
(docs/runbooks/upgrade.md). What people did after the backup is then lost."""
RESTART = """\
Now restart, with this release: web processes one after the other, workers and couriers (they end
what they hold first), the listeners, beat. Then: curl -fsS {base}/readyz"""


class Command(BaseCommand):
    """Run with this release's code and DATABASE_OWNER_URL; safe to run again after a failure.

    Exit code 1: a step failed. Before the migrations nothing has been changed.
    """

    help = "Back up, migrate, collect static files, register the model and check; say what is next"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add where the backup goes."""
        parser.add_argument("--to", type=Path, help="Folder of all backups (or BACKUP_ROOT)")
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be done")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Go step by step and stop at the first that fails."""
        root = options["to"] or (Path(settings.BACKUP_ROOT) if settings.BACKUP_ROOT else None)
        pending = self._pending()
        if root is None:
            raise CommandError("Where may the backup go? Say --to FOLDER or set BACKUP_ROOT.")
        self.stdout.write(f"{len(pending)} migrations to apply: {', '.join(pending) or 'none'}")
        if options["dry_run"]:
            return
        root = root.resolve()
        backup = self._step("backup", lambda: self._back_up(root), "Nothing was changed.")
        self.stdout.write(f"The backup is {backup}")
        undone = f"The backup is {backup}.\n{ROLLBACK.format(backup=backup)}"
        self._step("migrate", lambda: call_command("db_migrate", verbosity=0), undone)
        self._step("static files", self._collect, undone)
        self._step("model", self._register_model, undone)
        self._step("check", lambda: self._check(backup), undone)
        self.stdout.write(RESTART.format(base=settings.BASE_URL))
        self.stdout.write(ROLLBACK.format(backup=backup))

    def _step(self, name: str, work: Callable[[], Any], undone: str) -> Any:
        """Do one step, say how long it took, or say how things stand."""
        began = time.monotonic()
        try:
            answer = work()
        except BaseException:
            self.stderr.write(f"{name}: FAILED. {undone}")
            raise
        self.stdout.write(f"{name}: done in {time.monotonic() - began:.1f} s")
        return answer

    def _pending(self) -> list[str]:
        """Return the migrations that this release brings.

        Raises:
            CommandError: this database was never migrated, or by a newer release.
        """
        executor = MigrationExecutor(connections["owner"])
        applied, known = executor.loader.applied_migrations, executor.loader.disk_migrations
        if not applied:
            raise CommandError("This database is empty: begin with `manage.py db_migrate`.")
        newer = sorted(
            f"{app}.{name}"
            for app, name in applied
            if app in {"accounts", "diagnosis"} and (app, name) not in known
        )
        if newer:
            raise CommandError(
                f"This database belongs to a newer release ({newer[-1]}); this one cannot read it."
            )
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        return [f"{migration.app_label}.{migration.name}" for migration, _back in plan]

    def _back_up(self, root: Path) -> Path:
        call_command("backup", to=root, no_progress=True, stdout=StringIO())
        newest = backups(root)[0]
        call_command("verify_archive", str(newest), no_progress=True, stdout=StringIO())
        return newest

    def _collect(self) -> None:
        if settings.STATIC_ROOT:
            call_command("collectstatic", interactive=False, clear=True, verbosity=0)

    def _register_model(self) -> None:
        """Register the shipped model; one that does not fit leaves the model in use alone."""
        try:
            call_command("model_sync", stdout=StringIO())
        except CommandError as error:
            self.stdout.write(
                f"The model of this release was not registered: {error} The model in use stays "
                "in use (docs/runbooks/replace-the-model.md)."
            )

    def _check(self, backup: Path) -> None:
        """Check settings, that no migration is left, that no row went away, and the audit trail."""
        call_command("check", deploy=True, databases=["default"], stdout=StringIO())
        if left := self._pending():
            raise CommandError(f"Still to apply: {', '.join(left)}")
        lost = [f"{name} ({before} rows, now {now})" for name, before, now in self._fewer(backup)]
        if lost:
            raise CommandError(f"Rows are missing: {', '.join(lost)}")
        call_command("audit_verify", stdout=StringIO())

    def _fewer(self, backup: Path) -> list[tuple[str, int, int]]:
        """Return clinical tables of which there is less than in the backup."""
        with snapshot() as cursor:
            walls = tables(cursor)
            counted = {
                copy.name: (copy.rows, rows_count(cursor, copy.name, wall=walls[copy.name]))
                for copy in manifest_read(backup).tables
                if walls.get(copy.name) and copy.name not in FLEETING
            }
        return [(name, was, now) for name, (was, now) in counted.items() if now < was]
