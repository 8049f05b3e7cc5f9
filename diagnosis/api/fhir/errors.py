"""OperationOutcome for every error, whoever raised it."""

from typing import Any

from rest_framework import exceptions, status
from rest_framework.response import Response

from diagnosis.api.errors import exception_handler
from fracture_site.common.answers import operation_outcome

_TYPES = {
    status.HTTP_400_BAD_REQUEST: "invalid",
    status.HTTP_401_UNAUTHORIZED: "login",
    status.HTTP_403_FORBIDDEN: "forbidden",
    status.HTTP_404_NOT_FOUND: "not-found",
    status.HTTP_405_METHOD_NOT_ALLOWED: "not-supported",
    status.HTTP_406_NOT_ACCEPTABLE: "not-supported",
    status.HTTP_409_CONFLICT: "conflict",
    status.HTTP_412_PRECONDITION_FAILED: "conflict",
    status.HTTP_413_REQUEST_ENTITY_TOO_LARGE: "too-long",
    status.HTTP_415_UNSUPPORTED_MEDIA_TYPE: "not-supported",
    status.HTTP_422_UNPROCESSABLE_ENTITY: "processing",
    status.HTTP_429_TOO_MANY_REQUESTS: "throttled",
    status.HTTP_503_SERVICE_UNAVAILABLE: "transient",
}


class BadSearch(exceptions.APIException):
    """A parameter that is not known, or a value that cannot be understood."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "search_invalid"


class BadResource(exceptions.APIException):
    """A body that is not the resource it should be."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "resource_invalid"


class NotAcceptableFormat(exceptions.APIException):
    """Another format than JSON was asked for."""

    status_code = status.HTTP_406_NOT_ACCEPTABLE
    default_code = "format_not_supported"
    default_detail = "Only JSON is spoken here."


class ChangedMeanwhile(exceptions.APIException):
    """``If-Match`` names another version than the present one."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "changed_meanwhile"
    default_detail = "The resource was changed since you read it. Read it again."


def fhir_exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the error of the API as an OperationOutcome with the same stable code."""
    response = exception_handler(error, context)
    if response is not None:
        told = response.data
        detail = " ".join([told["detail"], *_fields(told)])
        kind = _TYPES.get(response.status_code, "processing")
        response.data = operation_outcome(kind, str(told["code"]), detail)
        response.content_type = "application/fhir+json"
    return response


def _fields(told: dict[str, Any]) -> list[str]:
    return [f"{name}: {text}" for name, text in told.get("fields", {}).items()]
