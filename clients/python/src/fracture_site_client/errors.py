"""What can go wrong, with the site's stable codes."""

from collections.abc import Mapping
from typing import Any

import httpx


class ApiError(Exception):
    """The site refused a request.

    Attributes:
        status: HTTP status.
        code: stable word to decide by, for example ``image_in_other_study``.
        detail: a sentence for people.
        fields: field name to sentence, when fields were wrong.
        extra: further values of the answer, such as ids to go on with.
        address: the address that was asked, without its parameters.
    """

    def __init__(self, status: int, body: Mapping[str, Any], address: str) -> None:
        self.status = status
        self.code = str(body.get("code", "unknown"))
        self.detail = str(body.get("detail", ""))
        self.fields: dict[str, str] = dict(body.get("fields", {}))
        known = {"code", "detail", "fields"}
        self.extra = {key: value for key, value in body.items() if key not in known}
        self.address = address
        super().__init__(f"{status} {self.code}: {self.detail}")


class ConnectionFailedError(Exception):
    """The site did not answer, after all attempts."""


def raised(response: httpx.Response) -> ApiError:
    """Return the error of a response."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    return ApiError(response.status_code, body, response.request.url.path)
