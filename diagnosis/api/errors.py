"""One shape for every error of the API: ``{"code", "detail", "fields"?}``."""

from typing import Any

from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from accounts.audit import audit_denial
from accounts.policy import ActionDeniedError
from fracture_site.common.errors import DomainError


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Translate domain, policy and DRF errors; ``None`` lets a bug become a 500."""
    if isinstance(error, DomainError):
        body: dict[str, Any] = {"code": error.code, "detail": str(error.detail or error.code)}
        if error.fields:
            body["fields"] = {name: str(text) for name, text in error.fields.items()}
        return Response(body | error.extra, status=error.http_status)
    if isinstance(error, ActionDeniedError):
        audit_denial(request=context["request"]._request, error=error)
    response = drf_exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, exceptions.ValidationError):
        response.data = {
            "code": "invalid",
            "detail": "Some fields are missing or wrong; see 'fields'.",
            "fields": response.data,
        }
    else:
        code = getattr(error, "default_code", None)
        detail = getattr(error, "detail", None)
        code = getattr(detail, "code", code) or {
            status.HTTP_404_NOT_FOUND: "not_found",
            status.HTTP_403_FORBIDDEN: "permission_denied",
        }.get(response.status_code, "error")
        response.data = {"code": code, "detail": response.data.get("detail", code)}
    return response
