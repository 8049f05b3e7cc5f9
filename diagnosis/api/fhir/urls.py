"""Routes of FHIR R4, below ``/fhir/R4/``: made from the table of resources."""

from typing import Any

from django.urls import URLPattern, path, re_path

from diagnosis.api.fhir.binaries import BinaryViewSet
from diagnosis.api.fhir.orders import OrderViewSet
from diagnosis.api.fhir.resources import RESOURCES
from diagnosis.api.fhir.viewer_links import ViewerLinkViewSet
from diagnosis.api.fhir.views import (
    CapabilityView,
    FhirSearchByPost,
    FhirViewSet,
    UnknownFhirView,
)

app_name = "fhir"
_VIEWS: dict[str, type[FhirViewSet]] = {"ServiceRequest": OrderViewSet}
_UNKNOWN: dict[str, Any] = dict.fromkeys(["get", "post", "put", "patch", "delete"], "unknown")


def _routes(kind: str) -> list[URLPattern]:
    view, writes = _VIEWS.get(kind, FhirViewSet), RESOURCES[kind].writes
    searching: dict[str, Any] = {"get": "search"}
    reading: dict[str, Any] = {"get": "read"}
    if "create" in writes:
        searching["post"] = "create"
    if "update" in writes:
        reading["put"] = "update"
    return [
        path(kind, view.as_view(searching, kind=kind), name=f"{kind}-search"),
        path(
            f"{kind}/_search",
            FhirSearchByPost.as_view({"post": "search_by_post"}, kind=kind),
            name=f"{kind}-search-by-post",
        ),
        path(f"{kind}/<str:pk>", view.as_view(reading, kind=kind), name=f"{kind}-read"),
    ]


urlpatterns: list[URLPattern] = [
    path("metadata", CapabilityView.as_view(), name="fhir-metadata"),
    *(route for kind in RESOURCES for route in _routes(kind)),
    path(
        "ImagingStudy/<str:pk>/$viewer",
        ViewerLinkViewSet.as_view({"get": "link"}),
        name="ImagingStudy-viewer",
    ),
    path("Binary/<str:pk>", BinaryViewSet.as_view({"get": "read"}), name="Binary-read"),
    re_path(r"", UnknownFhirView.as_view(_UNKNOWN), name="unknown"),
]
