"""Private object storage: no object has a public address.

The local folder is here. Each object store has a module of its own beside this one, so that a
process loads the client of the one that is configured and of no other.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, Protocol
from uuid import uuid4

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, Storage


class StorageError(OSError):
    """The object store does not answer or refuses; a missing object is FileNotFoundError."""


class ObjectExistsError(StorageError):
    """Somebody else stored an object under this key a moment ago."""


class PrivateStore(Protocol):
    """What every kind of store can do beyond Django's own ``Storage``."""

    def errors(self) -> AbstractContextManager[None]:
        """Turn what the store's client raises into OSError, as a local folder does."""

    def overwrite(self, key: str, data: bytes) -> None:
        """Store bytes under a known key; readers see the old or the new."""

    def written(self, kind: str) -> Iterator[tuple[str, datetime]]:
        """Yield key and time of writing of every object of a kind."""

    def link(
        self, key: str, *, content_type: str, disposition: str, cache_control: str
    ) -> str | None:
        """Return a signed address that lives a minute; ``None`` where there are none."""


class PrivateFileStorage(FileSystemStorage):
    """A local folder (0700, files 0600) that only the application reads."""

    def __init__(self, location: str, *, durable: bool = True) -> None:
        super().__init__(
            location=location, file_permissions_mode=0o600, directory_permissions_mode=0o700
        )
        self._durable = durable
        Path(location).mkdir(mode=0o700, parents=True, exist_ok=True)

    def _save(self, name: str, content: "File[bytes]") -> str:
        """Store all of it or nothing: what a full disk cuts short is removed again.

        The row that names the object commits after this and survives a power cut; so must the
        bytes and their name.
        """
        path = Path(self.path(name))
        young = Path(name).with_name(f".{uuid4()}")
        try:
            super()._save(str(young), content)  # type: ignore[misc]
            if self._durable:
                _flush(path.with_name(young.name))
            path.with_name(young.name).replace(path)
        except OSError:
            with suppress(OSError):
                path.with_name(young.name).unlink()
            raise
        if self._durable:
            _flush(path.parent)
            _flush(path.parent.parent)
        return name

    def errors(self) -> AbstractContextManager[None]:
        """Leave errors as they are: the system's own are OSErrors."""
        return nullcontext()

    def overwrite(self, key: str, data: bytes) -> None:
        """Store bytes under a known key; readers see the old or the new."""
        path = Path(self.path(key))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        young = path.with_name(f".{uuid4()}")
        young.touch(mode=0o600)
        young.write_bytes(data)
        young.replace(path)

    def written(self, kind: str) -> Iterator[tuple[str, datetime]]:
        """Yield key and time of writing of every object of a kind."""
        root = Path(self.path(""))
        for path in (root / kind).rglob("*"):
            if path.is_file():
                changed = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
                yield path.relative_to(root).as_posix(), changed

    def link(self, _key: str, **_answer: str) -> None:
        """Return none: files are streamed."""
        return

    def url(self, name: str | None) -> NoReturn:
        """Refuse: files are streamed by a view that checks and audits."""
        raise NotImplementedError("clinical files have no URL")


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class NoDefaultStorage(Storage):
    """Fails loudly when code stores a file without naming the clinical storage."""

    def __getattribute__(self, name: str) -> Any:
        """Refuse the storage operations."""
        if name in {"open", "save", "url", "delete", "exists", "path"}:
            raise NotImplementedError("name the 'clinical' storage explicitly")
        return super().__getattribute__(name)
