"""One uploaded file to a trusted image: the way in of this package."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import BinaryIO, Final

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from diagnosis.ingest.messages import REFUSALS
from diagnosis.ingest.results import (
    Answer,
    FilmProposal,
    FilmTask,
    IngestedImage,
    IngestLimits,
    Processed,
    Refusal,
)
from diagnosis.ingest.sandbox import SandboxBusyError, SandboxUnavailableError, sandbox
from fracture_site.common.errors import (
    DomainError,
    RefusedInputError,
    TooLargeError,
    UnavailableError,
)
from ml.film import Corners

__all__ = [
    "FilmProposal",
    "FilmTask",
    "IngestLimits",
    "IngestedImage",
    "film_look",
    "ingest_image",
    "limits_from_settings",
    "warm_up",
]

CHUNK_BYTES: Final = 1 << 20


def limits_from_settings() -> IngestLimits:
    """Return the limits of this installation."""
    return IngestLimits(
        max_bytes=settings.INGEST_MAX_BYTES,
        max_pixels=settings.INGEST_MAX_PIXELS,
        min_side=settings.INGEST_MIN_SIDE,
        max_frames=settings.INGEST_MAX_FRAMES,
        cpu_seconds=settings.INGEST_CPU_SECONDS,
        wall_seconds=settings.INGEST_WALL_SECONDS,
        memory_bytes=settings.INGEST_MEMORY_BYTES,
    )


def warm_up() -> None:
    """Start the limited process before the first upload needs it."""
    sandbox.start()


def ingest_image(
    source: bytes | Path | BinaryIO,
    limits: IngestLimits | None = None,
    *,
    film: FilmTask | None = None,
) -> IngestedImage:
    """Check, decode, sanitise and render one file in a limited process.

    Args:
        source: the bytes, a path, or an open binary file such as an upload, which is read from its
            start, whatever its position.
        limits: bounds; those of the settings when left out.
        film: given when the file is a photograph of a film; the image is the straightened film.

    Raises:
        RefusedInputError: the file cannot be used; ``code`` is one of
            ``diagnosis.ingest.results.INGEST_CODES``, ``detail`` its translated sentence.
        TooLargeError: the same for ``too_large``.
        UnavailableError: ``ingest_busy`` or ``ingest_unavailable``, the file is not to blame.
    """
    result, digest, size = _run(source, limits, film)
    if not isinstance(result, Processed):
        raise _refused("crashed")
    return _ingested(result, digest, size)


def film_look(data: bytes, corners: Corners | None = None) -> FilmProposal:
    """Say where the film is in a photograph, and whether the photo is good enough.

    Raises:
        RefusedInputError, TooLargeError, UnavailableError: as ``ingest_image``.
    """
    result, _digest, _size = _run(data, None, FilmTask(corners=corners, only_look=True))
    if not isinstance(result, FilmProposal):
        raise _refused("crashed")
    return result


def _run(
    source: bytes | Path | BinaryIO, limits: IngestLimits | None, film: FilmTask | None
) -> tuple[Answer, str, int]:
    bounds = limits if limits is not None else limits_from_settings()
    with _descriptor(source) as descriptor:
        size = os.fstat(descriptor).st_size
        if size == 0:
            raise _refused("empty_file")
        if size > bounds.max_bytes:
            raise _refused("too_large")
        digest = _sha256(descriptor, size)
        try:
            result = sandbox.run(descriptor, bounds, film)
        except SandboxBusyError as error:
            sentence = _("Many images are being checked right now. Try again in a minute.")
            raise UnavailableError("ingest_busy", sentence) from error
        except (SandboxUnavailableError, OSError) as error:
            sentence = _("Images cannot be checked at the moment. Try again in a minute.")
            raise UnavailableError("ingest_unavailable", sentence) from error
    if isinstance(result, Refusal):
        raise _refused(result.code)
    return result, digest, size


def _refused(code: str) -> DomainError:
    kind = TooLargeError if code == "too_large" else RefusedInputError
    return kind(code, REFUSALS[code])


def _ingested(result: Processed, digest: str, size: int) -> IngestedImage:
    return IngestedImage(
        original_sha256=digest,
        original_size=size,
        served_sha256=hashlib.sha256(result.served).hexdigest(),
        **{field.name: getattr(result, field.name) for field in fields(result)},
    )


@contextmanager
def _descriptor(source: bytes | Path | BinaryIO) -> Iterator[int]:
    """Yield a descriptor to read the file from; bytes go into memory, never onto a disk."""
    if isinstance(source, Path):
        with source.open("rb") as stream:
            yield stream.fileno()
        return
    if not isinstance(source, bytes):
        source.seek(0)  # also writes out what an upload handler still holds back
        try:
            descriptor = source.fileno()
        except (AttributeError, OSError):  # an upload that is kept in memory
            source = source.read()
        else:
            yield descriptor
            return
    descriptor = os.memfd_create("upload", os.MFD_CLOEXEC)
    try:
        view = memoryview(source)
        while view:
            view = view[os.write(descriptor, view) :]
        yield descriptor
    finally:
        os.close(descriptor)


def _sha256(descriptor: int, size: int) -> str:
    digest = hashlib.sha256()
    at = 0
    while at < size:
        chunk = os.pread(descriptor, CHUNK_BYTES, at)
        if not chunk:
            break
        digest.update(chunk)
        at += len(chunk)
    return digest.hexdigest()
