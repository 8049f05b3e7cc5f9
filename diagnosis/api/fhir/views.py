"""The FHIR endpoints: read, search, capabilities, and orders in."""

import hashlib
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.utils.cache import patch_vary_headers
from django.utils.http import http_date, parse_http_date_safe
from fhir.resources.R4B.resource import Resource
from rest_framework.parsers import FormParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.policy import require
from diagnosis.api.base import AlwaysJson, BoundedJSONParser, ClinicViewSet
from diagnosis.api.fhir.errors import NotAcceptableFormat, fhir_exception_handler
from diagnosis.api.fhir.reader import Reader
from diagnosis.api.fhir.resources import RESOURCES, Served
from diagnosis.api.fhir.search import one, search_asked, search_bundle, search_page
from diagnosis.interop.fhir import ServedResource, fhir_capability_statement
from diagnosis.interop.fhir_base import FhirContext
from diagnosis.models import Patient
from diagnosis.services.fhir_build import fhir_context
from diagnosis.services.fhir_reads import fhir_resource_opened, fhir_resources_listed
from fracture_site.common.models import UUIDModel

FHIR_JSON = "application/fhir+json; charset=utf-8"
OPERATIONS = {"ImagingStudy": ("viewer",)}
_JSON = ("json", "application/json", "application/fhir+json")


class FhirJSONParser(BoundedJSONParser):
    """JSON under its FHIR name."""

    media_type = "application/fhir+json"


class FhirViewSet(ClinicViewSet[Patient]):
    """One resource type for a member of the current clinic."""

    queryset = Patient.objects.none()
    parser_classes = [FhirJSONParser, BoundedJSONParser]
    schema = None
    kind = ""

    @property
    def served(self) -> Served:
        """The row of the table for this type."""
        return RESOURCES[self.kind]

    @property
    def context(self) -> FhirContext:
        """For whom resources are made."""
        return fhir_context(self.membership.clinic_id)

    @property
    def reader(self) -> Reader:
        """Who asks, through which app."""
        return Reader.of(self.actor, self.request.auth)

    def get_exception_handler(self) -> Any:
        """Answer OperationOutcome."""
        return fhir_exception_handler

    def get_authenticate_header(self, _request: Request) -> str:
        """Name the scheme that FHIR clients speak."""
        return 'Bearer realm="fhir"'

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse other formats; orders are repeatable by their numbers, so no key is kept."""
        self.refuse_other_formats(request)
        self._check_length(request)
        super(ClinicViewSet, self).initial(request, *args, **kwargs)
        self.reader.require(self.kind, "s" if self.searches else "r")

    @property
    def searches(self) -> bool:
        """Whether the request lists resources, rather than to name one."""
        return self.action in {"search", "search_by_post"}

    def refuse_other_formats(self, request: Request) -> None:
        """Refuse whoever wants anything but JSON."""
        _refuse_other_formats(request)

    def read(self, request: Request, pk: str) -> HttpResponse:
        """Return one resource; 304 when the client has it."""
        require(user=self.actor, action=self.served.action, clinic_id=self.membership.clinic_id)
        found = one(self.reader, self.served, pk)
        if found is None:
            raise Http404
        source, row = found
        [resource] = source.build(self.context, self.actor, [row])
        fhir_resource_opened(
            actor=self.actor,
            clinic_id=self.membership.clinic_id,
            action=self.served.action,
            noun=self.served.noun,
            target=row if isinstance(row, UUIDModel) else None,
            patient_id=source.patient(row),
        )
        return told(resource, request)

    def search(self, request: Request) -> HttpResponse:
        """Return one page of what was asked in the address."""
        return self._found(request.query_params, private=False)

    def search_by_post(self, request: Request) -> HttpResponse:
        """Return one page of what was asked in the body, where no log sees it."""
        asked = request.query_params.copy()
        asked.update(request.data)
        return self._found(asked, private=True)

    def _found(self, query: QueryDict, *, private: bool) -> HttpResponse:
        clinic_id = self.membership.clinic_id
        require(user=self.actor, action=self.served.action, clinic_id=clinic_id)
        search = search_asked(self.served, query)
        page = search_page(self.context, self.reader, search)
        fhir_resources_listed(
            actor=self.actor,
            clinic_id=clinic_id,
            noun=self.served.noun,
            total=page.total,
            patients=page.patients,
        )
        return told(search_bundle(self.context, search, page, private=private))


class FhirSearchByPost(FhirViewSet):
    """``_search``: parameters as a form, so that no address holds a name or a number."""

    parser_classes = [FormParser]
    only_reads = True


class CapabilityView(APIView):
    """What this server can do; it says nothing of any clinic, so it opens to everybody."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]
    content_negotiation_class = AlwaysJson
    schema = None

    def get(self, request: Request) -> HttpResponse:
        """Return the CapabilityStatement."""
        _refuse_other_formats(request)
        return told(capability_statement(), request)

    def get_exception_handler(self) -> Any:
        """Answer OperationOutcome."""
        return fhir_exception_handler


class UnknownFhirView(FhirViewSet):
    """Whatever else lies under the prefix, so that its 404 is an OperationOutcome."""

    kind = "Patient"

    def unknown(self, _request: Request, *_args: Any, **_kwargs: Any) -> HttpResponse:
        """Answer 404."""
        raise Http404


def capability_statement() -> Resource:
    """Return the statement that follows from the table of resources."""
    return fhir_capability_statement(
        base_url=settings.BASE_URL,
        software_version=str(settings.SPECTACULAR_SETTINGS["VERSION"]),
        at=datetime(2026, 11, 20, tzinfo=UTC),
        resources=[
            ServedResource(
                kind=served.kind,
                search={name: each.kind for name, each in served.search.items()},
                documentation={name: each.documentation for name, each in served.search.items()},
                interactions=("read", "search-type", *served.writes),
                operations=OPERATIONS.get(served.kind, ()),
                includes=[f"{served.kind}:{name}" for name in served.includes],
            )
            for served in RESOURCES.values()
        ]
        + [ServedResource("Binary", {}, interactions=("read",))],
    )


def told(
    resource: Resource, request: HttpRequest | Request | None = None, *, status: int = 200
) -> HttpResponse:
    """Return a resource as JSON with its tag and time; 304 for a client that has this version."""
    body, tag = resource.model_dump_json().encode(), fhir_tag(resource)
    changed: datetime | None = resource.meta.lastUpdated if resource.meta else None
    if request is not None and request.method == "GET" and _has(request, tag, changed):
        response = HttpResponse(status=304)
        del response["Content-Type"]
    else:
        response = HttpResponse(body, content_type=FHIR_JSON, status=status)
    if request is not None:
        response["ETag"] = tag
        if changed is not None:
            response["Last-Modified"] = http_date(changed.timestamp())
    response["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, ["Authorization", "Cookie"])
    return response


def fhir_tag(resource: Resource) -> str:
    """Return the tag that ``told`` gives a resource."""
    body = resource.model_dump_json().encode()
    return f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'


def _has(request: HttpRequest | Request, tag: str, changed: datetime | None) -> bool:
    given = request.headers.get("If-None-Match")
    if given is not None:  # it wins over the time
        return tag in {each.strip() for each in given.split(",")} or given.strip() == "*"
    since = parse_http_date_safe(request.headers.get("If-Modified-Since") or "")
    return since is not None and changed is not None and int(changed.timestamp()) <= since


def _refuse_other_formats(request: Request) -> None:
    wanted = request.query_params.get("_format")
    if wanted is not None and wanted.partition(";")[0].replace(" ", "+") not in _JSON:
        raise NotAcceptableFormat
    accepted = request.headers.get("Accept", "*/*").split(",")
    names = {each.partition(";")[0].strip() for each in accepted}
    if wanted is None and not names & {"*/*", "application/*", "", *_JSON}:
        raise NotAcceptableFormat
