"""Private object storage: no object has a public address."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, Storage
from storages.backends.azure_storage import AzureStorage
from storages.backends.gcloud import GoogleCloudStorage
from storages.backends.s3 import S3Storage


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


class PrivateS3Storage(S3Storage):
    """A private bucket; ``url`` signs a link that lives at most a minute."""


class PrivateGoogleStorage(GoogleCloudStorage):
    """A private bucket; ``url`` signs a link that lives at most a minute."""


class PrivateAzureStorage(AzureStorage):
    """A private container; ``url`` signs a link that lives at most a minute."""

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        """Read the whole object at once; the library's file leaks a temporary one on an error."""
        if mode != "rb":
            raise ValueError("objects are opened for reading only")
        blob = self.client.download_blob(self._get_valid_path(name), timeout=self.timeout)
        return ContentFile(blob.readall(), name=name)


class NoDefaultStorage(Storage):
    """Fails loudly when code stores a file without naming the clinical storage."""

    def __getattribute__(self, name: str) -> Any:
        """Refuse the storage operations."""
        if name in {"open", "save", "url", "delete", "exists", "path"}:
            raise NotImplementedError("name the 'clinical' storage explicitly")
        return super().__getattribute__(name)
