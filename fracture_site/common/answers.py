"""How a refusal is told: a page to a person, JSON to a program in the form that it speaks."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import loader

FHIR_PREFIX = "/fhir/"
API_PREFIXES = ("/api/", FHIR_PREFIX)


def is_api(request: HttpRequest) -> bool:
    """Return whether the caller is a program that expects JSON."""
    return request.path.startswith(API_PREFIXES)


def error_response(
    request: HttpRequest, status: int, code: str, detail: str, *, bare: bool = False
) -> HttpResponse:
    """Return the error in the form that the caller reads; it needs no database.

    ``bare`` prefers the page that is made for the status over the one that shows ``detail``.
    """
    if request.path.startswith(FHIR_PREFIX):
        kind = "transient" if status >= 500 else "processing"
        body = operation_outcome(kind, code, detail)
        return JsonResponse(body, status=status, content_type="application/fhir+json")
    if is_api(request):
        return JsonResponse({"code": code, "detail": detail}, status=status)
    page = loader.select_template([f"{status}.html", "error.html"] if bare else ["error.html"])
    return HttpResponse(page.render({"code": code, "detail": detail}), status=status)


def operation_outcome(kind: str, code: str, detail: str) -> dict[str, Any]:
    """Return an error in FHIR: ``kind`` is an issue type of FHIR, ``code`` our stable one."""
    issue = {
        "severity": "error",
        "code": kind,
        "details": {"coding": [{"code": code}], "text": str(detail)},
        "diagnostics": str(detail),
    }
    return {"resourceType": "OperationOutcome", "issue": [issue]}
