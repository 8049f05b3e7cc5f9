"""Routes that exist in tests only: what a view may do to the middleware."""

from uuid import uuid4

from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from rest_framework.decorators import api_view
from rest_framework.response import Response

from accounts.models import Clinic
from accounts.policy import Action, ActionDeniedError
from accounts.tenancy import current_clinic_id
from diagnosis.models import Patient
from fracture_site.common.errors import ConflictError, UnavailableError
from fracture_site.urls import handler400, handler403, handler404, handler500  # noqa: F401
from fracture_site.urls import urlpatterns as site_urlpatterns


def write_then(outcome: str) -> None:
    """Leave a trace and then go wrong in the wanted way."""
    Clinic.objects.create(name=f"Trace {uuid4()}")
    match outcome:
        case "crash":
            raise ZeroDivisionError
        case "database":
            with connection.cursor() as cursor:
                cursor.execute("SELECT no_such_column")
        case "denied":
            raise ActionDeniedError(Action.REPORT_SIGN)
        case "forbidden":
            raise PermissionDenied
        case "conflict":
            raise ConflictError("taken", "It is taken.")
        case "unavailable":
            raise UnavailableError("storage_unavailable", "Later, please.")
        case "missing":
            raise Http404


def page(_request: HttpRequest, outcome: str) -> HttpResponse:
    write_then(outcome)
    return HttpResponse(b"done")


@api_view(["GET", "POST"])
def endpoint(request, outcome: str) -> Response:
    write_then(outcome)
    return Response(
        {"user": str(request.user.pk), "session": list(request._request.session.keys())}
    )


def where(request: HttpRequest) -> JsonResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('app.clinic', true)")
        told = cursor.fetchone()[0]
    return JsonResponse(
        {
            "scope": str(current_clinic_id()),
            "database": told,
            "membership": str(request.membership and request.membership.pk),
            "in_transaction": connection.in_atomic_block,
        }
    )


def rendered_late(request: HttpRequest) -> TemplateResponse:
    template = engines["django"].from_string("{{ patients.count }} patients")
    return TemplateResponse(request, template, {"patients": Patient.objects.all()})


def streamed(_request: HttpRequest) -> StreamingHttpResponse:
    def body():
        yield f"{current_clinic_id()} "
        yield f"{Patient.objects.count()} {connection.in_atomic_block}"

    return StreamingHttpResponse(body())


def clock(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(timezone.localtime().strftime("%z"))


urlpatterns = [
    path("test/clock", clock),
    path("api/test-clock", clock),
    path("test/where", where),
    path("test/late", rendered_late),
    path("test/streamed", streamed),
    path("test/<str:outcome>", page),
    path("api/test/<str:outcome>", endpoint),
    *site_urlpatterns,
]
