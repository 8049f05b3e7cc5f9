"""Telling other software by webhook that something happened: ids only, signed, never who it is."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from diagnosis.models import Delivery, Destination, Event, ReportVersion
from diagnosis.services.destination_secrets import secrets_of
from diagnosis.transport.errors import PeerRefusedError
from diagnosis.transport.http import http_request

TIMESTAMP: Final = "Fracture-Timestamp"
SIGNATURE: Final = "Fracture-Signature"


def webhook_prepare(delivery: Delivery) -> Callable[[], list[Any]]:
    """Return what sends a delivery as a signed POST."""
    destination = delivery.destination
    secrets, keys = secrets_of(destination), signing_keys(destination)
    body = json.dumps(webhook_body(delivery), sort_keys=True, separators=(",", ":")).encode()

    def send() -> list[Any]:
        _post(destination.url, body, secrets, keys)
        return [{"content": "webhook", "id": str(delivery.pk)}]

    return send


def webhook_check(destination: Destination) -> None:
    """Send a signed ``ping``."""
    body = json.dumps({"id": str(destination.pk), "type": "ping"}, sort_keys=True).encode()
    _post(destination.url, body, secrets_of(destination), signing_keys(destination))


def webhook_body(delivery: Delivery) -> dict[str, Any]:
    """Return what is told: the same bytes at every attempt, so that a receiver can drop doubles."""
    body: dict[str, Any] = {
        "id": str(delivery.pk),
        "type": _type(delivery),
        "created_at": delivery.created_at.isoformat(),
        "clinic": str(delivery.clinic_id),
        "study": str(delivery.study_id),
    }
    if delivery.event == Event.REPORT_SIGNED:
        version = ReportVersion.objects.only("number", "report_id").get(pk=delivery.subject)
        body |= {"report": str(version.report_id), "version": version.number}
        body["type"] = "report.signed" if version.number == 1 else "report.amended"
    if delivery.event == Event.MODEL_RECALLED:
        body["model"] = str(UUID(delivery.subject[:32]))
    return body


def webhook_signature(body: bytes, *, timestamp: int, keys: list[str]) -> str:
    """Return one ``v1=`` HMAC-SHA256 over ``<timestamp>.<body>`` for each key, newest first."""
    signed = f"{timestamp}.".encode() + body
    digests = (hmac.new(key.encode(), signed, hashlib.sha256).hexdigest() for key in keys)
    return ",".join(f"v1={digest}" for digest in digests)


def signing_keys(destination: Destination) -> list[str]:
    """Return the keys in force: ``signing_key`` holds one, or the new and the old one with a blank.

    Raises:
        PeerRefusedError: ``signing_key_missing``: nobody could tell that it is us.
    """
    keys = secrets_of(destination).get("signing_key", "").split()
    if not keys:
        raise PeerRefusedError("signing_key_missing")
    return keys


def _type(delivery: Delivery) -> str:
    return {Event.RESULT_READY: "study.ready"}.get(Event(delivery.event), delivery.event)


def _post(url: str, body: bytes, secrets: dict[str, str], keys: list[str]) -> None:
    now = int(time.time())
    answer = http_request(
        "POST",
        url,
        body=body,
        headers={
            "Content-Type": "application/json",
            TIMESTAMP: str(now),
            SIGNATURE: webhook_signature(body, timestamp=now, keys=keys),
        },
        secrets=secrets,
    )
    if not 200 <= answer.status < 300:
        raise PeerRefusedError("webhook_refused")
