"""The parts of the OpenAPI description that all operations share."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_serializer,
)
from rest_framework import serializers

F = TypeVar("F", bound=Callable[..., Any])

IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="The `ETag` of the draft that you have read.",
)
IF_MATCH_OPTIONAL = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="Sign only what you have read."
)
FINDING_IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="The `revision` of the finding that you have read; 0 before the first decision.",
)
ANNOTATION_IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="The `revision` of the annotation that you have read.",
)
_IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description=(
        "Your own name for this request, 1 to 200 characters. A repetition within a day gets the "
        "same answer with `Idempotent-Replayed: true` and has no second effect."
    ),
)


class Refusal(NamedTuple):
    """One documented error: status, stable code, and when it is given."""

    status: int
    code: str
    text: str


_SHARED = {
    refusal.code: refusal
    for refusal in (
        Refusal(400, "invalid", "Some fields are missing or wrong; see `fields`."),
        Refusal(400, "invalid_cursor", "The cursor was not made by this server."),
        Refusal(401, "not_authenticated", "No token and no session, or `invalid_token`."),
        Refusal(403, "permission_denied", "Roles or token do not allow this; it is audited."),
        Refusal(404, "not_found", "It does not exist, or it is another clinic's."),
        Refusal(409, "idempotency_key_reused", "The key was sent with another request."),
        Refusal(412, "draft_changed", "Somebody saved the draft in between."),
        Refusal(412, "finding_changed", "Somebody decided about the finding in between."),
        Refusal(413, "too_large", "The file is larger than this site takes."),
        Refusal(428, "precondition_required", "If-Match is missing."),
        Refusal(503, "storage", "The object store does not answer; try again."),
    )
}


class ErrorSerializer(serializers.Serializer[Any]):
    """Every error: a stable code for programs, a sentence for people."""

    code = serializers.CharField(help_text="Stable; programs decide by it.")
    detail = serializers.CharField(help_text="A sentence for people, translated.")
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.CharField(), required=False, help_text="Field name to sentence."
    )


extend_schema_serializer(component_name="Error")(ErrorSerializer)


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes ``Authorization: Token …``."""

    target_class = "accounts.api.authentication.MiddlewareTokenAuthentication"
    name = "apiToken"

    def get_security_definition(self, _auto_schema: Any) -> dict[str, str]:
        """Return the header; OpenAPI has no word for the scheme ``Token``."""
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token <your API token>`",
        }


def binary(media_type: str, description: str) -> dict[tuple[int, str], Any]:
    """Return a documented file answer."""
    return {(200, media_type): OpenApiResponse(OpenApiTypes.BINARY, description=description)}


def operation(
    summary: str,
    description: str,
    *,
    responses: dict[Any, Any],
    request: Any = None,
    errors: tuple[str | Refusal, ...] = (),
    parameters: tuple[Any, ...] = (),
) -> Callable[[F], F]:
    """Describe an operation; authentication and permission errors are added.

    An operation that can answer ``idempotency_key_reused`` also takes the key.
    """
    refusals = [
        _SHARED[entry] if isinstance(entry, str) else entry
        for entry in ("not_authenticated", "permission_denied", *errors)
    ]
    if _SHARED["idempotency_key_reused"] in refusals:
        parameters = (*parameters, _IDEMPOTENCY_KEY)
    return extend_schema(
        summary=summary,
        description=description,
        request=request,
        responses={**responses, **_error_responses(refusals)},
        parameters=list(parameters),
    )


def _error_responses(refusals: list[Refusal]) -> dict[int, OpenApiResponse]:
    by_status: dict[int, list[Refusal]] = {}
    for refusal in refusals:
        by_status.setdefault(refusal.status, []).append(refusal)
    return {
        status: OpenApiResponse(
            ErrorSerializer,
            description=" ".join(f"`{each.code}`: {each.text}" for each in group),
            examples=[
                OpenApiExample(each.code, {"code": each.code, "detail": each.text})
                for each in group
            ],
        )
        for status, group in sorted(by_status.items())
    }
