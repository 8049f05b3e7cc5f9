"""What Django's and allauth's error handlers answer."""

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from fracture_site.common.answers import error_response


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:  # noqa: ARG001
    """Answer 400."""
    detail = _("This request cannot be understood.")
    return error_response(request, 400, "bad_request", detail, bare=True)


def permission_denied(
    request: HttpRequest,
    exception: Exception | None = None,  # noqa: ARG001
) -> HttpResponse:
    """Answer 403."""
    detail = _("Your roles do not allow this.")
    return error_response(request, 403, "permission_denied", detail, bare=True)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:  # noqa: ARG001
    """Answer 404: also for what exists in another clinic."""
    detail = _("There is nothing here, or not for you.")
    return error_response(request, 404, "not_found", detail, bare=True)


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """Answer 429: allauth calls this when a rate limit is reached."""
    return error_response(
        request, 429, "too_many_requests", _("Too many attempts. Please wait a few minutes.")
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500."""
    detail = _("Something went wrong on our side. Nothing was changed; please try again.")
    return error_response(request, 500, "internal", detail, bare=True)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001
    """Answer 403: the form is older than the sign-in or the choice of clinic."""
    return error_response(
        request,
        403,
        "csrf_failed",
        _("This page is out of date. Go back, reload it and try again."),
    )
