"""Fetch one pinned file over HTTP: resumed where it broke off, checked before anyone uses it."""

import hashlib
import http.client
import json
import shutil
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

_CHUNK: Final = 1 << 20
_TIMEOUT_S: Final = 60.0
_ATTEMPTS: Final = 6  # without a single new byte between them
_AGENT: Final = "fracture-site-download/1"
_FOREVER: Final = frozenset({400, 401, 403, 404, 410})


class DownloadError(RuntimeError):
    """The file cannot be had; the text says what to do.

    ``code`` is stable: ``unreachable``, ``refused``, ``no_space``, ``wrong_size``, ``wrong_hash``
    or ``changed``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Source:
    """A file whose publisher's size and MD5 are known.

    MD5 is what the publisher gives. It finds damage, not an attacker who made a second file with
    the same sum: that is what the SHA-256 of the first download is kept for.
    """

    name: str
    url: str
    size: int
    md5: str
    page: str
    licence: str


def fetch(source: Source, folder: Path, *, pause_s: float = 2.0) -> Path:
    """Return the checked file in a folder, fetching what is missing of it.

    The SHA-256 of the first download is written to ``download.lock.json`` there, and every later
    one must have it (trust on first use).

    Args:
        source: what to fetch.
        folder: where it goes; made when it is not there.
        pause_s: before the second attempt, twice as long before each further one.

    Raises:
        DownloadError: not to be had, or not the file that was pinned.
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / source.name, folder / f"{source.name}.part"
    if not target.is_file():
        _require_space(source, part, folder)
        _complete(source, part, pause_s)
        _check(source, part, folder)
        part.replace(target)
    else:
        _check(source, target, folder)
    return target


def _require_space(source: Source, part: Path, folder: Path) -> None:
    missing = source.size - (part.stat().st_size if part.is_file() else 0)
    free = shutil.disk_usage(folder).free
    if free < missing:
        raise DownloadError(
            "no_space", f"{missing / 1e6:.0f} MB are missing, {folder} has {free / 1e6:.0f} MB free"
        )


def _complete(source: Source, part: Path, pause_s: float) -> None:
    failures = 0
    with tqdm(total=source.size, unit="B", unit_scale=True, desc=source.name) as bar:
        while (have := part.stat().st_size if part.is_file() else 0) != source.size:
            if have > source.size:
                part.unlink()
                continue
            bar.n = have
            bar.refresh()
            reason = _continue(source, part, have, bar)
            now = part.stat().st_size if part.is_file() else 0
            if now == source.size:
                return
            failures = 0 if now > have else failures + 1
            if failures >= _ATTEMPTS:
                raise DownloadError(
                    "unreachable",
                    f"{source.url}: {reason}. {now} of {source.size} bytes are here; the same "
                    f"command continues. Without a network, fetch {source.name} from {source.page} "
                    f"and put it into {part.parent}",
                )
            if now <= have:
                time.sleep(pause_s * 2 ** (failures - 1))


def _continue(source: Source, part: Path, have: int, bar: Any) -> str:
    """Fetch from a place on; return why it ended early, ``""`` if it did not."""
    headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(source.url, headers=headers)  # noqa: S310 - a pinned address
    try:
        with _OPENER.open(request, timeout=_TIMEOUT_S) as answer:
            starts = _start_of(answer, have)
            if starts != have:
                bar.n = 0  # the server sends all of it again
            with part.open("ab" if starts == have else "wb") as file:
                return _copy(source, answer, file, bar)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in _FOREVER:
            raise DownloadError(
                "refused",
                f"{source.url} answers {error.code}. Look at {source.page} for a new address",
            ) from error
        if error.code == 416:  # what is here is not a beginning of what is there
            part.unlink(missing_ok=True)
        return f"the server answers {error.code}"
    except (http.client.HTTPException, OSError) as error:
        return f"the connection failed ({type(error).__name__})"


def _start_of(answer: Any, asked: int) -> int:
    """Return from which byte on a server sends; one that ignores the question starts at 0."""
    if answer.status != 206:
        return 0
    given = str(answer.headers.get("Content-Range", "")).removeprefix("bytes ").split("-")[0]
    if not given.isdigit() or int(given) != asked:
        raise http.client.HTTPException("another range was sent than asked for")
    return asked


def _copy(source: Source, answer: Any, file: Any, bar: Any) -> str:
    while chunk := answer.read(_CHUNK):
        file.write(chunk)
        bar.update(len(chunk))
        if file.tell() > source.size:
            file.close()
            Path(file.name).unlink()
            raise DownloadError(
                "wrong_size", f"{source.url} sends more than the {source.size} bytes it should have"
            )
    return "" if file.tell() == source.size else "the connection broke off"


def _check(source: Source, path: Path, folder: Path) -> None:
    """Compare size and hashes; a wrong file is removed, so that the next try starts anew."""
    if path.stat().st_size != source.size:
        raise DownloadError(
            "wrong_size",
            f"{path} has {path.stat().st_size} bytes instead of {source.size}: remove it",
        )
    md5, sha256 = _hashes(path)
    if md5 != source.md5:
        path.unlink()
        raise DownloadError(
            "wrong_hash",
            f"{source.name} has MD5 {md5}, {source.page} says {source.md5}: removed. If it happens "
            "again, the file was replaced or something changes it on the way",
        )
    lock = folder / "download.lock.json"
    known = json.loads(lock.read_text(encoding="utf-8")) if lock.is_file() else {}
    first = known.get(source.name, {}).get("sha256")
    if first is not None and first != sha256:
        raise DownloadError(
            "changed",
            f"{path} has SHA-256 {sha256}, the first download had {first}. Do not use it; see "
            f"{lock}",
        )
    known[source.name] = {
        "url": source.url,
        "bytes": source.size,
        "md5": md5,
        "sha256": sha256,
        "sha256_is": "of the first download, not published by the authors",
    }
    lock.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")


def _hashes(path: Path) -> tuple[str, str]:
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
    return md5.hexdigest(), sha256.hexdigest()


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but never from an encrypted address to an open one."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise DownloadError("refused", f"{req.full_url} leads to an address without encryption")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER: Final = urllib.request.build_opener(_NoDowngrade)
