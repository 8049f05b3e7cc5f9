"""The folder of backups: each has a manifest and its tables, all share one pool of objects.

    BACKUP_ROOT/20261120T154500Z/manifest.json   written last: a backup without one is not whole
    BACKUP_ROOT/20261120T154500Z/tables/*.copy.gz
    BACKUP_ROOT/20261120T154500Z/progress.json
    BACKUP_ROOT/objects/ab/abcd…                 by sha256, each once

A backup therefore costs the rows and the objects that are new since the last one.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from diagnosis.services.backup_tables import TableCopy

FORM: Final = 1
POOL: Final = "objects"
_CHUNK: Final = 2**20


class BackupBusyError(Exception):
    """Another backup is being made in this folder."""


class NotABackupError(Exception):
    """There is no complete backup at this place, or one of a form that this release cannot read."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. ``objects`` are key to size and sha256."""

    name: str
    taken_at: str
    secret_key: str
    migrations: list[list[str]]
    tables: list[TableCopy]
    sequences: dict[str, int]
    objects: dict[str, tuple[int, str]]
    missing: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """All rows of all tables."""
        return sum(table.rows for table in self.tables)

    @property
    def size(self) -> int:
        """Bytes of all objects."""
        return sum(size for size, _sha256 in self.objects.values())


def manifest_write(folder: Path, manifest: Manifest) -> None:
    """Make the backup whole."""
    text = json.dumps({"form": FORM} | asdict(manifest), indent=1, sort_keys=True)
    _replace(folder / "manifest.json", text.encode())


def manifest_read(folder: Path) -> Manifest:
    """Return what a backup holds.

    Raises:
        NotABackupError: there is none, or none that this release can read.
    """
    try:
        found: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
        if found.pop("form") != FORM:
            raise NotABackupError
        found["tables"] = [
            TableCopy(**{**table, "columns": tuple(table["columns"])}) for table in found["tables"]
        ]
        found["objects"] = {
            key: (size, _hexadecimal(sha256)) for key, (size, sha256) in found["objects"].items()
        }
        return Manifest(**found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotABackupError from error


def _hexadecimal(sha256: str) -> str:
    return bytes.fromhex(sha256).hex()  # it becomes part of a path


def backups(root: Path) -> list[Path]:
    """Return the folders of all backups, also of unfinished ones, newest first."""
    if not root.is_dir():
        return []
    return sorted((p for p in root.iterdir() if p.is_dir() and p.name != POOL), reverse=True)


def note_write(folder: Path, name: str, **values: Any) -> None:
    """Leave a note beside a backup: how far it is, or when it was checked."""
    _replace(folder / f"{name}.json", json.dumps(values).encode())


def note_read(folder: Path, name: str) -> dict[str, Any]:
    """Return a note; nothing when there is none."""
    try:
        found: dict[str, Any] = json.loads((folder / f"{name}.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def table_path(folder: Path, table: str) -> Path:
    """Return where the rows of a table lie."""
    return folder / "tables" / f"{table}.copy.gz"


def pool_put(root: Path, data: bytes) -> tuple[int, str]:
    """Add an object to the pool, unless it is there, and return its size and sha256."""
    sha256 = hashlib.sha256(data).hexdigest()
    path = pool_path(root, sha256)
    if not path.is_file() or path.stat().st_size != len(data):
        _replace(path, data)
    return len(data), sha256


def pool_path(root: Path, sha256: str) -> Path:
    """Return where an object lies."""
    return root / POOL / sha256[:2] / sha256


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file; empty when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError:
        return ""
    return digest.hexdigest()


def prune(root: Path, keep: int) -> int:
    """Remove all but the newest whole backups, and objects that none of those names."""
    whole = [folder for folder in backups(root) if (folder / "manifest.json").is_file()]
    for folder in whole[keep:]:
        (folder / "manifest.json").unlink()
        shutil.rmtree(folder)
    kept = [manifest_read(folder) for folder in whole[:keep]]
    named = {sha256 for manifest in kept for _size, sha256 in manifest.objects.values()}
    for path in [p for p in (root / POOL).glob("*/*") if p.name not in named]:
        path.unlink()
    return len(whole[keep:])


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel frees it however this process ends.

    Raises:
        BackupBusyError: another process holds it.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (root / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupBusyError from error
        yield


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    young = path.with_name(f".{uuid4()}")
    descriptor = os.open(young, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        young.replace(path)
    except OSError:
        young.unlink(missing_ok=True)
        raise
