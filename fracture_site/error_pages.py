"""What Django's and allauth's error handlers answer."""

import errno
import sys
from typing import Final

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from diagnosis.storage import StorageError
from fracture_site.common.answers import error_response

_DISK: Final = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}
RETRY_AFTER_S: Final = "10"


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
    """Answer 500; 503 when the reason is a part that is away and comes back.

    Django calls this while it handles the exception, for views and middleware alike. Each
    service has undone its part, and the request's transaction is rolled back.
    """
    if _is_away(sys.exception()):
        detail = _("Something went wrong on our side. Nothing was changed; please try again.")
        answer = error_response(request, 503, "unavailable", detail)
        answer["Retry-After"] = RETRY_AFTER_S
        return answer
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


def _is_away(error: BaseException | None) -> bool:
    """Tell whether the database, the object store or the disk is the reason."""
    if isinstance(error, OperationalError | InterfaceError | StorageError):
        return True
    return isinstance(error, OSError) and error.errno in _DISK
