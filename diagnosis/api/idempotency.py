"""``Idempotency-Key``: what makes two requests the same, and how an answer is kept and replayed."""

import hashlib
import json
import re
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict
from django.utils.crypto import salted_hmac
from rest_framework.exceptions import ParseError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.models import IdempotencyRecord

_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_KEPT_HEADERS = ("Location", "ETag")
REPLAYED = "Idempotent-Replayed"


def idempotency_key(request: Request) -> str:
    """Return the header's value, empty when it was not sent.

    Raises:
        ParseError: ``invalid_idempotency_key``.
    """
    key: str | None = request.headers.get("Idempotency-Key")
    if key is None:
        return ""
    if not _KEY.fullmatch(key):
        raise ParseError(
            "Idempotency-Key: 1 to 200 visible ASCII characters.", code="invalid_idempotency_key"
        )
    return key


def request_digest(request: Request) -> str:
    """Return a keyed digest of method, address and content; files count by their bytes.

    Keyed, because the content may be a password. Boundaries, file names and the
    order of JSON members do not matter.
    """
    content = [request.method, request.get_full_path(), _plain(request.data)]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return salted_hmac("diagnosis.api.idempotency", text, algorithm="sha256").hexdigest()


def answer_store(response: Response) -> dict[str, Any]:
    """Return the JSON that is kept of an answer; as text, which keeps the order of members."""
    return {
        "content": JSONRenderer().render(response.data).decode(),
        "headers": {name: response[name] for name in _KEPT_HEADERS if name in response},
    }


def answer_replay(record: IdempotencyRecord) -> Response:
    """Return the kept answer, marked as a repetition."""
    return Response(
        json.loads(record.body["content"] or "null"),
        status=record.status_code,
        headers={**record.body["headers"], REPLAYED: "true"},
    )


def _plain(data: Any) -> Any:
    if isinstance(data, QueryDict):
        return {name: [_plain(value) for value in values] for name, values in data.lists()}
    if isinstance(data, UploadedFile):
        digest = hashlib.sha256()
        for chunk in data.chunks():
            digest.update(chunk)
        data.seek(0)
        return {"sha256": digest.hexdigest()}
    return data
