"""Calling a DICOMweb server: is it there (QIDO), take these objects (STOW-RS, PS3.18 10.5)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from diagnosis.transport.errors import PeerRefusedError
from diagnosis.transport.http import Answer, http_request

_FAILED: Final = "00081198"  # Failed SOP Sequence


def echo(url: str, secrets: Mapping[str, str]) -> None:
    """Ask the server for one study.

    Raises:
        TransportError: it does not answer, or not to us.
    """
    answer = http_request(
        "GET",
        f"{url.rstrip('/')}/studies?limit=1",
        headers={"Accept": "application/dicom+json"},
        secrets=secrets,
    )
    _check(answer)


def store(url: str, secrets: Mapping[str, str], files: Sequence[bytes]) -> None:
    """Give DICOM files to the server, all in one request.

    Raises:
        PeerRefusedError: ``not_authorised``, or ``peer_refused``: it does not take them all.
        PeerUnavailableError: it does not answer.
    """
    boundary = uuid4().hex
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = b"".join(head + file + b"\r\n" for file in files) + f"--{boundary}--\r\n".encode()
    content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'
    answer = http_request(
        "POST",
        f"{url.rstrip('/')}/studies",
        body=body,
        headers={"Content-Type": content_type, "Accept": "application/dicom+json"},
        secrets=secrets,
    )
    _check(answer)
    if answer.status == 202 or _some_failed(answer.body):
        raise PeerRefusedError("peer_refused")


def _check(answer: Answer) -> None:
    if answer.status in {401, 403}:
        raise PeerRefusedError("not_authorised")
    if not 200 <= answer.status < 300:
        raise PeerRefusedError("peer_refused")


def _some_failed(body: bytes) -> bool:
    try:
        found: Any = json.loads(body or b"{}")
    except ValueError:
        return False  # an answer in XML: its status has said that all went well
    entry = found[0] if isinstance(found, list) and found else found
    return isinstance(entry, dict) and bool(entry.get(_FAILED, {}).get("Value"))
