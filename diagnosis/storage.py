"""Clinical objects: random keys, bytes in and out, and answers that serve them privately.

A key says what kind of object it is and nothing of whom. Objects are written
before the row that names them commits, so a row never points to nothing; an
object without a row is removed by ``manage.py collect_orphans``.
"""

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, BinaryIO, Final, cast
from uuid import uuid4

from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage, storages
from django.http import FileResponse, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _

from fracture_site.common.errors import UnavailableError
from fracture_site.common.storage import ObjectExistsError, PrivateStore, StorageError

__all__ = [
    "KINDS",
    "StorageError",
    "artifact_exists",
    "artifact_key",
    "artifact_put",
    "artifact_response",
    "artifact_size",
    "download",
    "object_delete",
    "object_list",
    "object_put",
    "object_put_file",
    "object_read",
    "object_replace",
    "object_response",
]

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
    with _store_errors():
        _private().overwrite(key, data)


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
    try:
        with _store_errors():
            if _store().exists(key):
                return sha256
            stored = _store().save(key, ContentFile(data, name=key))
            if stored != key:  # somebody else was faster, with the same bytes
                _store().delete(stored)
    except ObjectExistsError:  # Azure's way to say the same
        return sha256
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
    with _store_errors():
        yield from _private().written(kind)


def object_response(*, key: str, content_type: str, download_name: str = "") -> HttpResponseBase:
    """Answer a request that was checked and audited with the object.

    A local folder streams; a bucket gives a redirect to a link that lives at
    most ``SIGNED_LINK_SECONDS``. ``download_name`` makes the browser save it; it
    must hold nothing of the patient.

    Raises:
        UnavailableError: ``storage``; the object cannot be had at the moment.
    """
    disposition = content_disposition_header(bool(download_name), download_name) or "inline"
    try:
        with _store_errors():
            link = _private().link(
                key,
                content_type=content_type,
                disposition=disposition,
                cache_control=_CACHE_NOTHING,
            )
            if link is not None:
                return _redirect(link)
            response = FileResponse(_store().open(key), content_type=content_type)
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


def _redirect(link: str) -> HttpResponseBase:
    response = HttpResponseRedirect(link)
    response["Cache-Control"] = _CACHE_NOTHING
    response["Referrer-Policy"] = "no-referrer"
    return response


def _store() -> Storage:
    return storages["clinical"]


def _private() -> PrivateStore:
    return cast("PrivateStore", _store())


def _store_errors() -> AbstractContextManager[None]:
    return _private().errors()
