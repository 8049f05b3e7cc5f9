"""Routes of DICOMweb, below ``/api/dicomweb/``; without a slash at the end, as PS3.18 has them."""

from typing import Any

from django.urls import URLPattern, path

from diagnosis.api.dicomweb.retrieve import RetrieveViewSet
from diagnosis.api.dicomweb.search import SearchViewSet
from diagnosis.api.dicomweb.store import StoreViewSet

app_name = "dicomweb"


class StudiesViewSet(SearchViewSet, StoreViewSet):
    """Studies are searched for and stored at the same address."""


class StudyViewSet(RetrieveViewSet, StoreViewSet):
    """A study is retrieved from and stored to the same address."""


_STUDY = "studies/<str:study>"
_SERIES = f"{_STUDY}/series/<str:series>"
_INSTANCE = f"{_SERIES}/instances/<str:instance>"


def _get(method: str) -> dict[str, Any]:
    return {"get": method}


_search, _retrieve = SearchViewSet.as_view, RetrieveViewSet.as_view
urlpatterns: list[URLPattern] = [
    path("studies", StudiesViewSet.as_view({"get": "studies", "post": "store"}), name="studies"),
    path("series", _search(_get("series")), name="all-series"),
    path("instances", _search(_get("instances")), name="all-instances"),
    path(_STUDY, StudyViewSet.as_view({"get": "instances", "post": "store"}), name="study"),
    path(f"{_STUDY}/metadata", _retrieve(_get("metadata")), name="study-metadata"),
    path(f"{_STUDY}/thumbnail", _retrieve(_get("thumbnail")), name="study-thumbnail"),
    path(f"{_STUDY}/series", _search(_get("series")), name="series-list"),
    path(f"{_STUDY}/instances", _search(_get("instances")), name="study-instances"),
    path(_SERIES, _retrieve(_get("instances")), name="series"),
    path(f"{_SERIES}/metadata", _retrieve(_get("metadata")), name="series-metadata"),
    path(f"{_SERIES}/thumbnail", _retrieve(_get("thumbnail")), name="series-thumbnail"),
    path(f"{_SERIES}/instances", _search(_get("instances")), name="instance-list"),
    path(_INSTANCE, _retrieve(_get("instances")), name="instance"),
    path(f"{_INSTANCE}/metadata", _retrieve(_get("metadata")), name="instance-metadata"),
    path(f"{_INSTANCE}/rendered", _retrieve(_get("rendered")), name="instance-rendered"),
    path(f"{_INSTANCE}/thumbnail", _retrieve(_get("thumbnail")), name="instance-thumbnail"),
    path(f"{_INSTANCE}/frames/<str:frames>", _retrieve(_get("frames")), name="frames"),
    path(
        f"{_INSTANCE}/frames/<str:frames>/rendered",
        _retrieve(_get("rendered")),
        name="frame-rendered",
    ),
    path(f"{_INSTANCE}/bulkdata/<str:tag>", _retrieve(_get("bulkdata")), name="bulkdata"),
]
