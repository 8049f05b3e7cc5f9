"""Clinical objects in a private bucket of Google Cloud Storage."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from storages.backends.gcloud import GoogleCloudStorage

from fracture_site.common.storage import StorageError


class PrivateGoogleStorage(GoogleCloudStorage):
    """A private bucket; ``url`` signs a link that lives at most a minute."""

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the client raises into OSError, as a local folder does."""
        try:
            yield
        except NotFound as error:
            raise FileNotFoundError("no such object") from error
        except (GoogleAPIError, GoogleAuthError) as error:
            raise StorageError("the object store does not answer") from error

    def overwrite(self, key: str, data: bytes) -> None:
        """Store bytes under a known key; readers see the old or the new."""
        self.bucket.blob(key).upload_from_string(data)

    def written(self, kind: str) -> Iterator[tuple[str, datetime]]:
        """Yield key and time of writing of every object of a kind."""
        for blob in self.bucket.list_blobs(prefix=f"{kind}/"):
            yield blob.name, blob.updated

    def link(self, key: str, *, content_type: str, disposition: str, cache_control: str) -> str:  # noqa: ARG002 - cannot be asked of a link here
        """Return a signed address."""
        parameters = {"response_type": content_type, "response_disposition": disposition}
        return str(self.url(key, parameters=parameters))
