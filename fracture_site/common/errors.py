"""Errors that people and API clients may see: a stable code, never an exception's own text."""

from collections.abc import Mapping
from typing import Any


class DomainError(Exception):
    """A request that is understood and refused.

    Attributes:
        code: stable, ``snake_case``, part of the API.
        detail: a translated sentence that says what to do.
        fields: field name to sentence, for forms.
        extra: further JSON values for the answer (an id to link to, for example).
    """

    http_status = 400

    def __init__(
        self,
        code: str,
        detail: Any = "",
        *,
        fields: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.fields = dict(fields or {})
        self.extra = dict(extra or {})


class ConflictError(DomainError):
    """The request contradicts the present state (HTTP 409)."""

    http_status = 409


class PreconditionError(DomainError):
    """The object changed since it was read (HTTP 412)."""

    http_status = 412


class RefusedInputError(DomainError):
    """The input is understood but cannot be used (HTTP 422)."""

    http_status = 422


class TooLargeError(DomainError):
    """The upload is over the limit (HTTP 413)."""

    http_status = 413


class UnavailableError(DomainError):
    """A part the request needs does not answer; trying again later helps (HTTP 503)."""

    http_status = 503
