"""What a person or program sees when no view answered: a page, or JSON below ``/api/``."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 400."""
    return error_response(request, 400, "bad_request", _("This request cannot be understood."))


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 403."""
    return error_response(request, 403, "permission_denied", _("Your roles do not allow this."))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 404."""
    return error_response(request, 404, "not_found", _("There is nothing here, or not for you."))


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500, with as few parts as possible."""
    detail = _("Something went wrong on our side. Nothing was changed; please try again.")
    if _is_api(request):
        return JsonResponse({"code": "internal", "detail": detail}, status=500)
    return render(request, "500.html", {"detail": detail}, status=500, using=None)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403: the form is older than the sign-in or the choice of clinic."""
    return error_response(
        request,
        403,
        "csrf_failed",
        _("This page is out of date. Go back, reload it and try again."),
    )


def error_response(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
    """Return the error in the form that the caller reads."""
    if _is_api(request):
        return JsonResponse({"code": code, "detail": detail}, status=status)
    return render(request, "error.html", {"code": code, "detail": detail}, status=status)


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
