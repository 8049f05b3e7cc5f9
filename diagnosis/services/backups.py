"""Backups: everything at one point in time, and a site on an empty machine from it.

The order makes them consistent while the site runs: first the heads of the audit chains, which
must not be newer than the rows; then all rows in one snapshot; then the objects, which are
written before the row that names them and never change. ``SECRET_KEY`` is not part of a backup,
so that whoever takes one does not have the key to the secrets in it; its fingerprint is.
"""

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from accounts.audit import audit_record
from accounts.models import AuditEvent, User
from diagnosis.services.audit_anchors import KIND as ANCHORS
from diagnosis.services.audit_anchors import trail_verify
from diagnosis.services.backup_folder import (
    Manifest,
    alone,
    backups,
    file_sha256,
    manifest_read,
    manifest_write,
    note_write,
    pool_path,
    pool_put,
    prune,
    table_path,
)
from diagnosis.services.backup_folder import NotABackupError as NotABackupError
from diagnosis.services.backup_tables import (
    TableCopy,
    migrations,
    rows_count,
    rows_load,
    sequences,
    snapshot,
    table_check,
    table_dump,
    tables,
)
from diagnosis.services.erasure_list import erasure_list, erasures_noted
from diagnosis.services.erasure_runs import erasures_replay
from diagnosis.services.integrity import objects_stored, objects_verify
from diagnosis.storage import KINDS, object_list, object_read, object_replace

_NOTE_EVERY_S: Final = 1.0
Tell = Callable[[str, int, int], None]


class RestoreRefusedError(Exception):
    """Nothing was changed; ``code`` says why, the text what to do."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(slots=True)
class Findings:
    """What a check has read, and what is wrong."""

    rows: int = 0
    objects: int = 0
    erased: int = 0  # patients who were erased after the backup, and again after the restore
    flaws: list[str] = field(default_factory=list)


def backup_take(*, actor: User | None, root: Path, keep: int, tell: Tell | None = None) -> Manifest:
    """Make a backup while the site runs, drop those beyond ``keep``, and return its manifest.

    Raises:
        BackupBusyError: another one is being made.
        OSError: storage does not answer, or the folder is full; what is incomplete stays so.
    """
    with alone(root):
        started = timezone.now()
        folder = root / started.strftime("%Y%m%dT%H%M%S%fZ")
        (folder / "tables").mkdir(mode=0o700, parents=True)
        progress = _Progress(folder, tell)
        try:
            manifest = _take(root, folder, started.isoformat(), progress)
        except BaseException:
            progress.end("failed")
            _record(actor, "backup.take", folder.name, failed=True)
            raise
        manifest_write(folder, manifest)
        progress.end("done")
        prune(root, keep)
    _record(actor, "backup.take", folder.name, rows=manifest.rows, objects=len(manifest.objects))
    return manifest


def archive_verify(*, actor: User | None, folder: Path, tell: Tell | None = None) -> Findings:
    """Read a backup again: every row file and every object against its sha256.

    Raises:
        NotABackupError: there is no whole backup in ``folder``.
    """
    manifest, findings = manifest_read(folder), Findings()
    findings.flaws += [f"{key}: was missing when it was copied" for key in manifest.missing]
    for table in manifest.tables:
        findings.rows += table.rows
        if not table_check(table, table_path(folder, table.name)):
            findings.flaws.append(f"rows of {table.name}: damaged")
    total = len(manifest.objects)
    for number, (key, (_size, sha256)) in enumerate(manifest.objects.items(), start=1):
        findings.objects += 1
        if file_sha256(pool_path(folder.parent, sha256)) != sha256:
            findings.flaws.append(f"{key}: damaged or missing")
        if tell:
            tell("objects", number, total)
    note_write(folder, "verified", at=timezone.now().isoformat(), flaws=len(findings.flaws))
    _record(actor, "backup.verify", folder.name, failed=bool(findings.flaws))
    return findings


def site_verify(manifest: Manifest | None = None) -> Findings:
    """Check this site as a whole: objects against their rows, and the audit trail.

    With the manifest of the backup that it was just made from, also the rows of each table.

    Raises:
        StorageError, AnchorsUnreadableError: the store does not answer.
    """
    findings = Findings()
    if manifest:
        with snapshot() as cursor:
            walls = tables(cursor)
            for table in manifest.tables:
                found = rows_count(cursor, table.name, wall=walls[table.name])
                findings.rows += found
                grows = table.name == AuditEvent._meta.db_table  # the restore itself is in it
                if found < table.rows or (found > table.rows and not grows):
                    findings.flaws.append(f"{table.name}: {found} rows, not {table.rows}")
    findings.objects, damaged = objects_verify(objects_stored())
    if damaged:
        findings.flaws.append(f"{damaged} objects damaged or missing")
    for entry in trail_verify():
        if flaw := entry.report.flaw:
            findings.flaws.append(f"audit trail of {entry.clinic_id}: {flaw.code}")
    return findings


def backup_restore(
    *,
    folder: Path,
    other_key: bool = False,
    erasures: Path | None = None,
    tell: Tell | None = None,
) -> Findings:
    """Fill an empty site, database and object store, from a backup, and check the result.

    Who was erased after the backup was taken is erased again: by the list ``erasures``, and by
    those that lie beside the backup and where the settings say.

    Raises:
        NotABackupError: there is no whole backup in ``folder``.
        RestoreRefusedError: the site is not empty, or it is not one that this backup fits.
        OSError: storage does not answer; what is there already stays, and is no whole site.
    """
    manifest = manifest_read(folder)
    lists = {erasures, folder.parent / "erasures.jsonl", erasure_list()}
    gone = [erased for path in lists for erased in erasures_noted(path)]
    _refuse_what_does_not_fit(manifest, folder, other_key=other_key)
    call_command("db_migrate", verbosity=0)
    _refuse_other_release(manifest)
    total = len(manifest.objects)
    for number, (key, (_size, sha256)) in enumerate(manifest.objects.items(), start=1):
        data = pool_path(folder.parent, sha256).read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise RestoreRefusedError("damaged", f"The copy of {key} is damaged.")
        object_replace(key=key, data=data)
        if tell:
            tell("objects", number, total)
    rows_load({table_path(folder, t.name): t for t in manifest.tables}, manifest.sequences)
    findings = site_verify(manifest)
    findings.erased = erasures_replay(gone)
    if findings.erased:
        findings.flaws += site_verify().flaws
    _record(
        None, "backup.restore", manifest.name, failed=bool(findings.flaws), erased=findings.erased
    )
    return findings


class _Progress:
    """Tells how far it is, to whoever called and to whoever looks into the folder."""

    def __init__(self, folder: Path, tell: Tell | None) -> None:
        self._folder, self._tell, self._noted_at = folder, tell, float("-inf")

    def at(self, step: str, done: int, total: int) -> None:
        if self._tell:
            self._tell(step, done, total)
        if time.monotonic() - self._noted_at >= _NOTE_EVERY_S:
            self._noted_at = time.monotonic()
            self._note(state="running", step=step, done=done, total=total)

    def end(self, state: str) -> None:
        self._note(state=state)

    def _note(self, **values: object) -> None:
        note_write(self._folder, "progress", at=timezone.now().isoformat(), **values)


def _take(root: Path, folder: Path, taken_at: str, progress: _Progress) -> Manifest:
    known = _known(root)
    objects = {
        key: pool_put(root, object_read(key)) for key, _written in list(object_list(ANCHORS))
    }
    copies: list[TableCopy] = []
    with snapshot() as cursor:
        walls = tables(cursor)
        made_by, counted_to = migrations(cursor), sequences(cursor)
        for number, (name, wall) in enumerate(walls.items(), start=1):
            progress.at("rows", number, len(walls))
            copies.append(table_dump(cursor, name, wall=wall, path=table_path(folder, name)))
    missing = []
    keys = [key for kind in sorted(KINDS - {ANCHORS}) for key, _written in object_list(kind)]
    for number, key in enumerate(keys, start=1):
        progress.at("objects", number, len(keys))
        if key in known and pool_path(root, known[key][1]).is_file():
            objects[key] = known[key]
            continue
        try:
            objects[key] = pool_put(root, object_read(key))
        except FileNotFoundError:  # deleted since the keys were listed
            missing.append(key)
    return Manifest(
        name=folder.name,
        taken_at=taken_at,
        secret_key=_fingerprint(settings.SECRET_KEY),
        migrations=made_by,
        tables=copies,
        sequences=counted_to,
        objects=objects,
        missing=missing,
    )


def _known(root: Path) -> dict[str, tuple[int, str]]:
    """Return the objects that the newest whole backup has; only the heads ever change."""
    for folder in backups(root):
        try:
            found = manifest_read(folder).objects
        except NotABackupError:
            continue
        return {key: entry for key, entry in found.items() if not key.startswith(f"{ANCHORS}/")}
    return {}


def _refuse_what_does_not_fit(manifest: Manifest, folder: Path, *, other_key: bool) -> None:
    owner, application = (connections[a].settings_dict["USER"] for a in ("owner", "default"))
    if owner == application:
        raise RestoreRefusedError(
            "no_owner", "Set DATABASE_OWNER_URL to the role that will own the tables."
        )
    if not all(table_check(t, table_path(folder, t.name)) for t in manifest.tables):
        raise RestoreRefusedError("damaged", "The rows of this backup are damaged; take another.")
    if not other_key and not _key_fits(manifest):
        raise RestoreRefusedError(
            "other_key",
            "This site has another SECRET_KEY than the one that was backed up. Set that one (or "
            "add it to SECRET_KEY_FALLBACKS). Without it, second factors and the passwords of "
            "destinations are lost: if that is what you want, say --other-key.",
        )
    with connections["owner"].cursor() as cursor:
        for table in ("accounts_user", "accounts_clinic"):
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [f"public.{table}"])
            if cursor.fetchone()[0] and rows_count(cursor, table, wall=False):
                raise RestoreRefusedError(
                    "not_empty",
                    "This site has people or clinics already, and a backup never goes over them. "
                    "Make an empty database, or use another one.",
                )
    for kind in KINDS:
        if next(iter(object_list(kind)), None):
            raise RestoreRefusedError(
                "not_empty",
                "The object store of this site is not empty, and a backup never goes over it. "
                "Name an empty folder or bucket.",
            )


def _refuse_other_release(manifest: Manifest) -> None:
    with connections["owner"].cursor() as cursor:
        here = migrations(cursor)
    if here != manifest.migrations:
        raise RestoreRefusedError(
            "other_release",
            "This backup was made by another release, whose tables differ. Install that release, "
            "restore with it, and upgrade afterwards.",
        )


def _key_fits(manifest: Manifest) -> bool:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return any(hmac.compare_digest(_fingerprint(key), manifest.secret_key) for key in keys)


def _fingerprint(key: str) -> str:
    return hmac.digest(key.encode(), b"fracture-site backup", "sha256").hex()


def _record(
    actor: User | None, action: str, name: str, *, failed: bool = False, **details: Any
) -> None:
    outcome = AuditEvent.Outcome.FAILED if failed else AuditEvent.Outcome.SUCCESS
    audit_record(
        actor=actor, action=action, clinic_id=None, outcome=outcome, backup=name, **details
    )
