"""Clinical objects in a private S3 bucket."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from storages.backends.s3 import S3Storage

from fracture_site.common.storage import StorageError


class PrivateS3Storage(S3Storage):
    """A private bucket; ``url`` signs a link that lives at most a minute."""

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the client raises into OSError, as a local folder does."""
        try:
            yield
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in {"404", "NoSuchKey"}:
                raise FileNotFoundError("no such object") from error
            raise StorageError("the object store refused") from error
        except (Boto3Error, BotoCoreError) as error:
            raise StorageError("the object store does not answer") from error

    def overwrite(self, key: str, data: bytes) -> None:
        """Store bytes under a known key; readers see the old or the new."""
        self.bucket.Object(key).put(Body=data, **self.get_object_parameters(key))

    def written(self, kind: str) -> Iterator[tuple[str, datetime]]:
        """Yield key and time of writing of every object of a kind."""
        for entry in self.bucket.objects.filter(Prefix=f"{kind}/"):
            yield entry.key, entry.last_modified

    def link(self, key: str, *, content_type: str, disposition: str, cache_control: str) -> str:
        """Return a signed address."""
        parameters = {
            "ResponseContentType": content_type,
            "ResponseContentDisposition": disposition,
            "ResponseCacheControl": cache_control,
        }
        return str(self.url(key, parameters=parameters, expire=settings.SIGNED_LINK_SECONDS))
