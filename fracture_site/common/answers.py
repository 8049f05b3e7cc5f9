"""How a refusal is told: a page to a person, ``{"code", "detail"}`` to a program."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import loader

API_PREFIX = "/api/"


def is_api(request: HttpRequest) -> bool:
    """Return whether the caller is a program that expects JSON."""
    return request.path.startswith(API_PREFIX)


def error_response(
    request: HttpRequest, status: int, code: str, detail: str, *, bare: bool = False
) -> HttpResponse:
    """Return the error in the form that the caller reads; it needs no database.

    ``bare`` prefers the page that is made for the status over the one that shows ``detail``.
    """
    if is_api(request):
        return JsonResponse({"code": code, "detail": detail}, status=status)
    page = loader.select_template([f"{status}.html", "error.html"] if bare else ["error.html"])
    return HttpResponse(page.render({"code": code, "detail": detail}), status=status)
