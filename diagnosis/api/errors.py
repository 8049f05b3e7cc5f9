"""One shape for every error of the API: ``{"code", "detail", "fields"?}``."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.utils.translation import gettext as _
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from accounts.audit import audit_denial
from accounts.policy import ActionDeniedError
from fracture_site.common.errors import DomainError

_CODES = {
    status.HTTP_401_UNAUTHORIZED: "not_authenticated",
    status.HTTP_403_FORBIDDEN: "permission_denied",
    status.HTTP_404_NOT_FOUND: "not_found",
}


class BodyTooLarge(exceptions.APIException):
    """The request is larger than this endpoint takes; nothing of it was read."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"
    default_detail = "The request is too large."


class LengthRequired(exceptions.APIException):
    """A body in chunks has no length to check before it is read, and WSGI would drop it."""

    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_code = "length_required"
    default_detail = "Send the body with Content-Length, not in chunks."


class PreconditionRequired(exceptions.APIException):
    """A change must name the version it was made from."""

    status_code = status.HTTP_428_PRECONDITION_REQUIRED
    default_code = "precondition_required"
    default_detail = "Send If-Match with the ETag of the draft that you have read."


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Translate domain, policy and DRF errors; ``None`` lets a bug become a 500."""
    if isinstance(error, DomainError):
        return _domain_answer(error)
    if isinstance(error, ActionDeniedError):
        audit_denial(request=context["request"]._request, action=error.action)
        error = exceptions.PermissionDenied(_("Your roles in this clinic do not allow this."))
    if isinstance(error, SuspiciousOperation):
        error = BodyTooLarge() if isinstance(error, RequestDataTooBig) else exceptions.ParseError()
    response = drf_exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, exceptions.ValidationError):
        response.data = {
            "code": "invalid",
            "detail": str(_("Some fields are missing or wrong; see 'fields'.")),
            "fields": _fields(error.detail),
        }
    else:
        detail = getattr(error, "detail", "")
        code = getattr(detail, "code", None) or _CODES.get(response.status_code, "error")
        # Plain text: other renderers than JSON know neither DRF's nor lazy strings.
        response.data = {"code": str(code), "detail": str(response.data.get("detail", code))}
    return response


def _domain_answer(error: DomainError) -> Response:
    body: dict[str, Any] = {"code": error.code, "detail": str(error.detail or error.code)}
    if error.fields:
        body["fields"] = {name: str(text) for name, text in error.fields.items()}
    return Response(body | error.extra, status=error.http_status)


def _fields(detail: Any) -> dict[str, str]:
    """Return one sentence a field, whatever DRF's validators nested."""
    if not isinstance(detail, Mapping):
        return {"non_field_errors": _sentence(detail)}
    return {str(name): _sentence(text) for name, text in detail.items()}


def _sentence(detail: Any) -> str:
    if isinstance(detail, Mapping):
        return " ".join(f"{name}: {_sentence(text)}" for name, text in detail.items())
    if isinstance(detail, list):
        return " ".join(_sentence(text) for text in detail)
    return str(detail)
