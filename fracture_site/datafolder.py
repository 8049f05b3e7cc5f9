"""A private folder on this machine: its lock, its secrets, its owner."""

import contextlib
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path


class DataFolderError(Exception):
    """The folder cannot be used; the text says why and what to do."""


@contextlib.contextmanager
def exclusive(data: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel frees it however this process ends.

    Raises:
        DataFolderError: another process holds it, or the folder belongs to another user.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    except PermissionError as error:
        raise DataFolderError(
            f"{data} belongs to another user. Work as the user that created it, or remove it."
        ) from error
    with os.fdopen(descriptor, "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = lock.read().strip() or "unknown"
            raise DataFolderError(
                f"{data} is in use by process {holder}. Stop that one first (Ctrl-C in its "
                "terminal), or work with another data folder."
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def secret(data: Path, name: str) -> str:
    """Return a random secret that stays the same as long as the folder exists."""
    path = data / "secrets.json"
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if name not in known:
        known[name] = secrets.token_urlsafe(36)
        staged = path.with_suffix(".new")
        staged.unlink(missing_ok=True)
        with os.fdopen(os.open(staged, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            json.dump(known, file, indent=2)
        staged.replace(path)
    return known[name]


def private_folder(folder: Path, *, uid: int | None = None) -> None:
    """Create a 0700 folder for ``uid`` (default: ourselves); refuse one that somebody else made.

    Raises:
        DataFolderError: the name is taken by a link, a file, or a folder of another user.
    """
    owner = os.geteuid() if uid is None else uid
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        os.chown(folder, owner, -1)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner:
        raise DataFolderError(
            f"{folder} exists and is not a private folder of user id {owner}. Look who made it, "
            "remove it, and start again."
        )
    folder.chmod(0o700)
