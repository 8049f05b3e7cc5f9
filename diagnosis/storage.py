"""Clinical objects: random keys, bytes in and out, and answers that serve them privately.

A key says what kind of object it is and nothing of whom. Objects are written
before the row that names them commits, so a row never points to nothing; an
object without a row is removed by ``manage.py collect_orphans``.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final
from uuid import uuid4

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import StorageErrorCode
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage, storages
from django.http import FileResponse, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from storages.backends.azure_storage import AzureStorage
from storages.backends.gcloud import GoogleCloudStorage
from storages.backends.s3 import S3Storage

from fracture_site.common.errors import UnavailableError

KINDS: Final = frozenset(
    {
        "originals",
        "parts",
        "served",
        "renditions",
        "thumbnails",
        "heatmaps",
        "keyimages",
        "reports",
        "models",
        "anchors",
        "exports",
    }
)
_SUFFIXES: Final = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/tiff": ".tif",
    "application/dicom": ".dcm",
    "application/pdf": ".pdf",
    "application/zip": ".zip",
}
# A served object is shown or downloaded, never run: not even its own scripts.
_POLICY: Final = "default-src 'none'; sandbox"
# Pages show the same picture again and again; downloads leave no copy in the browser.
_CACHE_SHOWN: Final = "private, max-age=300"
_CACHE_NOTHING: Final = "private, no-store"
_CACHE_FOR_EVER: Final = "private, max-age=31536000, immutable"


class StorageError(OSError):
    """The object store does not answer or refuses; a missing object is FileNotFoundError."""


def object_put(*, data: bytes, kind: str, content_type: str) -> str:
    """Store bytes under a new random key and return the key.

    Raises:
        StorageError: nothing usable was stored.
    """
    return _save(ContentFile(data), kind, content_type)


def object_put_file(*, stream: BinaryIO, kind: str, content_type: str) -> str:
    """Store what an open file holds, however large it is, under a new random key.

    Raises:
        StorageError: nothing usable was stored.
    """
    return _save(File(stream), kind, content_type)


def _save(content: File[Any], kind: str, content_type: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"unknown kind of object: {kind}")
    name = uuid4()
    key = f"{kind}/{name.hex[:2]}/{name}{_SUFFIXES.get(content_type, '')}"
    content.name = key
    content.content_type = content_type  # type: ignore[attr-defined]  # S3 stores it
    with _store_errors():
        return _store().save(key, content)


def object_replace(*, key: str, data: bytes) -> None:
    """Store bytes under a known key, whatever was there before; readers see the old or the new.

    Raises:
        StorageError: nothing usable was stored.
    """
    store = _store()
    with _store_errors():
        if isinstance(store, S3Storage):
            store.bucket.Object(key).put(Body=data, **store.get_object_parameters(key))
        elif isinstance(store, GoogleCloudStorage):
            store.bucket.blob(key).upload_from_string(data)
        elif isinstance(store, AzureStorage):
            store.client.upload_blob(key, data, overwrite=True, timeout=store.timeout)
        else:
            path = Path(store.path(key))
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            young = path.with_name(f".{uuid4()}")
            young.touch(mode=0o600)
            young.write_bytes(data)
            young.replace(path)


def artifact_key(sha256: str) -> str:
    """Return where a model's file lies: the one kind of object that is named by its content."""
    return f"models/{sha256[:2]}/{sha256}"


def artifact_put(data: bytes) -> str:
    """Store a file of a model under its sha256 and return the sha256; safe to repeat and to race.

    Raises:
        StorageError: nothing usable was stored.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    key = artifact_key(sha256)
    with _store_errors():
        if not _store().exists(key):
            try:
                stored = _store().save(key, ContentFile(data, name=key))
            except ResourceExistsError:  # Azure's way to say the same
                return sha256
            if stored != key:  # somebody else was faster, with the same bytes
                _store().delete(stored)
    return sha256


def artifact_exists(sha256: str) -> bool:
    """Tell whether a model's file is stored.

    Raises:
        StorageError: the store does not answer.
    """
    with _store_errors():
        return bool(_store().exists(artifact_key(sha256)))


def artifact_size(sha256: str) -> int:
    """Return how many bytes a model's file has.

    Raises:
        FileNotFoundError: it is not stored.
        StorageError: the store does not answer.
    """
    with _store_errors():
        return int(_store().size(artifact_key(sha256)))


def artifact_response(sha256: str) -> HttpResponseBase:
    """Answer with a model's file, which never changes under its name.

    It comes from this site even where a bucket holds it: a script of ours reads it, which a
    redirect to another origin would only allow with rules on the bucket.

    Raises:
        UnavailableError: ``storage``; the file cannot be had at the moment.
    """
    try:
        with _store_errors():
            stored = _store().open(artifact_key(sha256))
            response = FileResponse(stored, content_type="application/octet-stream")
    except OSError as error:
        raise _unavailable() from error
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = _POLICY
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["Cache-Control"] = _CACHE_FOR_EVER
    response["ETag"] = f'"{sha256}"'
    return response


def object_read(key: str) -> bytes:
    """Return the bytes of an object.

    Raises:
        FileNotFoundError: there is no such object.
        StorageError: the store does not answer.
    """
    with _store_errors(), _store().open(key) as stored:
        data: bytes = stored.read()
        return data


def object_delete(key: str) -> None:
    """Remove an object; one that is gone already is fine.

    Raises:
        StorageError: the store does not answer.
    """
    with _store_errors():
        _store().delete(key)


def object_list(kind: str) -> Iterator[tuple[str, datetime]]:
    """Yield key and time of writing of every stored object of a kind.

    Raises:
        StorageError: the store does not answer.
    """
    store = _store()
    with _store_errors():
        if isinstance(store, S3Storage):
            for entry in store.bucket.objects.filter(Prefix=f"{kind}/"):
                yield entry.key, entry.last_modified
        elif isinstance(store, GoogleCloudStorage):
            for blob in store.bucket.list_blobs(prefix=f"{kind}/"):
                yield blob.name, blob.updated
        elif isinstance(store, AzureStorage):
            for blob in store.client.list_blobs(name_starts_with=f"{kind}/"):
                yield blob.name, blob.last_modified
        else:
            root = Path(store.path(""))
            for path in (root / kind).rglob("*"):
                if path.is_file():
                    written = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
                    yield path.relative_to(root).as_posix(), written


def object_response(*, key: str, content_type: str, download_name: str = "") -> HttpResponseBase:
    """Answer a request that was checked and audited with the object.

    A local folder streams; a bucket gives a redirect to a link that lives at
    most ``SIGNED_LINK_SECONDS``. ``download_name`` makes the browser save it; it
    must hold nothing of the patient.

    Raises:
        UnavailableError: ``storage``; the object cannot be had at the moment.
    """
    store = _store()
    disposition = content_disposition_header(bool(download_name), download_name) or "inline"
    try:
        with _store_errors():
            if isinstance(store, S3Storage | GoogleCloudStorage | AzureStorage):
                return _redirect(store, key, content_type, disposition)
            response = FileResponse(store.open(key), content_type=content_type)
    except OSError as error:
        raise _unavailable() from error
    response["Content-Disposition"] = disposition
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = _POLICY
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["Cache-Control"] = _CACHE_NOTHING if download_name else _CACHE_SHOWN
    response["Vary"] = "Cookie, Authorization"
    return response


def download(content: bytes) -> HttpResponse:
    """Answer with a ZIP file that was made for one download and that no cache keeps."""
    return HttpResponse(
        content,
        content_type="application/zip",
        headers={
            "Content-Disposition": 'attachment; filename="images.zip"',
            "Cache-Control": _CACHE_NOTHING,
            "X-Content-Type-Options": "nosniff",
        },
    )


def _unavailable() -> UnavailableError:
    return UnavailableError("storage", _("The image store does not answer. Try again in a minute."))


def _redirect(
    store: S3Storage | GoogleCloudStorage | AzureStorage,
    key: str,
    content_type: str,
    disposition: str,
) -> HttpResponseBase:
    if isinstance(store, S3Storage):
        parameters = {
            "ResponseContentType": content_type,
            "ResponseContentDisposition": disposition,
            "ResponseCacheControl": _CACHE_NOTHING,
        }
        link = store.url(key, parameters=parameters, expire=settings.SIGNED_LINK_SECONDS)
    elif isinstance(store, AzureStorage):
        parameters = {
            "content_type": content_type,
            "content_disposition": disposition,
            "cache_control": _CACHE_NOTHING,
        }
        link = store.url(key, parameters=parameters, expire=settings.SIGNED_LINK_SECONDS)
    else:
        parameters = {"response_type": content_type, "response_disposition": disposition}
        link = store.url(key, parameters=parameters)
    response = HttpResponseRedirect(link)
    response["Cache-Control"] = _CACHE_NOTHING
    response["Referrer-Policy"] = "no-referrer"
    return response


def _store() -> Storage:
    return storages["clinical"]


@contextmanager
def _store_errors() -> Iterator[None]:
    """Turn what the clients of the object stores raise into OSError, as a local folder does."""
    try:
        yield
    except NotFound as error:
        raise FileNotFoundError("no such object") from error
    except ResourceNotFoundError as error:
        if getattr(error, "error_code", "") == StorageErrorCode.CONTAINER_NOT_FOUND:
            raise StorageError("the object store refused") from error
        raise FileNotFoundError("no such object") from error
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in {"404", "NoSuchKey"}:
            raise FileNotFoundError("no such object") from error
        raise StorageError("the object store refused") from error
    except (AzureError, Boto3Error, BotoCoreError, GoogleAPIError, GoogleAuthError) as error:
        raise StorageError("the object store does not answer") from error
