"""Sending requests: a token, patience with a busy site, and no effect twice."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from fracture_site_client.errors import ConnectionFailedError, raised

BUSY = frozenset({429, 502, 503, 504})
Progress = Callable[[int, int], None]


class Transport:
    """Repeats what did not arrive or met a busy site.

    Every POST carries an ``Idempotency-Key``, the same for all its attempts: the site does it once
    and answers the repetition with the first answer.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        attempts: int = 5,
        timeout_s: float = 60.0,
        longest_pause_s: float = 60.0,
        http: httpx.Client | None = None,
    ) -> None:
        self._base = base_url.rstrip("/") + "/api/v1/"
        self._attempts, self._longest = attempts, longest_pause_s
        self._headers = {"Authorization": f"Token {token}"}
        self._http = http or httpx.Client(timeout=timeout_s)
        self._pause = time.sleep

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: Callable[[], Iterator[bytes]] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> httpx.Response:
        """Return the answer to a request; ``content`` makes the body anew for each attempt.

        Raises:
            ApiError: the site refused it.
            ConnectionFailedError: the site did not answer.
        """
        sent = {**self._headers, **(headers or {})}
        if method == "POST":
            sent["Idempotency-Key"] = idempotency_key or str(uuid4())
        address = self._address(path)
        for attempt in range(1, self._attempts + 1):
            last = attempt == self._attempts
            try:
                response = self._http.request(
                    method, address, params=params, json=json,
                    content=content() if content else None, headers=sent,
                )  # fmt: skip
            except httpx.TransportError as error:
                if last:
                    raise ConnectionFailedError(type(error).__name__) from error
                self._pause(self._backoff(attempt))
                continue
            if response.status_code in BUSY and not last:
                self._pause(self._asked_pause(response, attempt))
                continue
            if response.is_error:
                raise raised(response)
            return response
        raise AssertionError("unreachable")

    def _address(self, path: str) -> str:
        """Return the address of a path, or of a link of the site.

        The token goes to the site as it was named to us, whatever host a link says.
        """
        parts = urlsplit(path)
        if not parts.scheme:
            return self._base + path
        _before, prefix, rest = parts.path.partition("/api/v1/")
        if not prefix:
            raise ValueError("this is no link of the site")
        return self._base + rest + (f"?{parts.query}" if parts.query else "")

    def _backoff(self, attempt: int) -> float:
        """Return a pause that doubles, with jitter, so that clients do not come back together."""
        return min(self._longest, 0.5 * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret

    def _asked_pause(self, response: httpx.Response, attempt: int) -> float:
        """Return what ``Retry-After`` asks for (seconds or a date), as far as we are patient."""
        asked = response.headers.get("Retry-After", "")
        if asked.isdecimal():
            return min(self._longest, float(asked))
        try:
            seconds = parsedate_to_datetime(asked).timestamp() - time.time()
        except (TypeError, ValueError):
            return self._backoff(attempt)
        return min(self._longest, max(0.0, seconds))


class FileBody:
    """A multipart body of one file that tells how much of it was sent."""

    CHUNK = 2**16

    def __init__(self, file: Path | bytes, name: str, progress: Progress | None) -> None:
        self._file, self._progress = file, progress
        self._size = len(file) if isinstance(file, bytes) else file.stat().st_size
        boundary = uuid4().hex
        safe = "".join(char if char.isalnum() or char in "._-" else "_" for char in name)
        self._head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{safe}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(self._head) + self._size + len(self._tail)),
        }

    def __call__(self) -> Iterator[bytes]:
        """Yield the body from its beginning."""
        yield self._head
        sent = 0
        for chunk in self._chunks():
            yield chunk
            sent += len(chunk)
            if self._progress is not None:
                self._progress(sent, self._size)
        yield self._tail

    def _chunks(self) -> Iterator[bytes]:
        if isinstance(self._file, bytes):
            for begin in range(0, self._size, self.CHUNK):
                yield self._file[begin : begin + self.CHUNK]
            return
        with self._file.open("rb") as stream:
            while chunk := stream.read(self.CHUNK):
                yield chunk
