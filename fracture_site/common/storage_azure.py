"""Clinical objects in a private container of Azure Blob Storage."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import StorageErrorCode
from django.conf import settings
from django.core.files.base import ContentFile, File
from storages.backends.azure_storage import AzureStorage

from fracture_site.common.storage import ObjectExistsError, StorageError


class PrivateAzureStorage(AzureStorage):
    """A private container; ``url`` signs a link that lives at most a minute."""

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        """Read the whole object at once; the library's file leaks a temporary one on an error."""
        if mode != "rb":
            raise ValueError("objects are opened for reading only")
        blob = self.client.download_blob(self._get_valid_path(name), timeout=self.timeout)
        return ContentFile(blob.readall(), name=name)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the client raises into OSError, as a local folder does."""
        try:
            yield
        except ResourceNotFoundError as error:
            if getattr(error, "error_code", "") == StorageErrorCode.CONTAINER_NOT_FOUND:
                raise StorageError("the object store refused") from error
            raise FileNotFoundError("no such object") from error
        except ResourceExistsError as error:
            raise ObjectExistsError("there is such an object") from error
        except AzureError as error:
            raise StorageError("the object store does not answer") from error

    def overwrite(self, key: str, data: bytes) -> None:
        """Store bytes under a known key; readers see the old or the new."""
        self.client.upload_blob(key, data, overwrite=True, timeout=self.timeout)

    def written(self, kind: str) -> Iterator[tuple[str, datetime]]:
        """Yield key and time of writing of every object of a kind."""
        for blob in self.client.list_blobs(name_starts_with=f"{kind}/"):
            yield blob.name, blob.last_modified

    def link(self, key: str, *, content_type: str, disposition: str, cache_control: str) -> str:
        """Return a signed address."""
        parameters = {
            "content_type": content_type,
            "content_disposition": disposition,
            "cache_control": cache_control,
        }
        return str(self.url(key, parameters=parameters, expire=settings.SIGNED_LINK_SECONDS))
