"""The API's routes as the URLconf has them, and a valid request for each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from diagnosis.api.urls import urlpatterns
from tests.factories import PASSWORD

PUBLIC = {"schema", "docs"}
SAFE = {"get"}
MULTIPART = {"post study-images", "post image-key-images"}


@dataclass(frozen=True)
class Route:
    """One method of one address."""

    name: str
    method: str
    takes_id: bool

    @property
    def noun(self) -> str:
        return self.name.split("-")[0]

    @property
    def is_safe(self) -> bool:
        return self.method in SAFE

    def __str__(self) -> str:
        return f"{self.method} {self.name}"

    def url(self, pk: Any = None) -> str:
        return reverse(f"api:{self.name}", args=[pk] if self.takes_id else [])


def _routes() -> Iterator[Route]:
    for pattern in urlpatterns:
        name = pattern.name
        if name in PUBLIC or name == "unknown":
            continue
        for method in pattern.callback.actions:
            yield Route(name, method, "<uuid:pk>" in str(pattern.pattern))


ROUTES = list(_routes())
WITH_ID = [route for route in ROUTES if route.takes_id]


def body(route: Route, world: Any) -> dict[str, Any]:
    """Return keyword arguments of a request that a member of the world's clinic could send."""
    # fmt: off
    bodies: dict[str, Any] = {
        "post patient-list": {"record_number": "N-1", "family_name": "New"},
        "patch patient-detail": {"given_name": "Grace"},
        "post patient-merge": {"into": str(world.patient.pk)},
        "post patient-unmerge": {},
        "put retention": {
            "keep_years": 12, "minors_until_age": 28, "reports_years": 0, "grace_days": 30,
        },
        "post patient-erase": {
            "record_number": world.patient.record_number, "reason": "person", "password": PASSWORD,
        },
        "post patient-hold": {"reason": "Lawsuit"},
        "post patient-release-hold": {},
        "post patient-export": {"password": PASSWORD},
        "post erasure-cancel": {},
        "post erasure-retry": {},
        "post export-file": {"password": PASSWORD},
        "post study-list": {"patient": str(world.patient.pk)},
        "patch study-detail": {"priority": "stat"},
        "post study-analyses": {},
        "post study-move": {"patient": str(world.patient.pk)},
        "post study-claim": {},
        "post study-release": {},
        "post study-assign": {"doctor": None},
        "post alert-acknowledge": {},
        "post image-move": {"study": str(world.study.pk)},
        "post study-findings": {"image": str(world.image.pk), "box": [5, 5, 50, 50]},
        "patch finding-detail": {"bone": "radius"},
        "post finding-accept": {},
        "post finding-reject": {"reason": "artefact"},
        "post finding-undo": {},
        "post destination-list": {
            "name": "PACS", "kind": "dicom_cstore", "host": "127.0.0.1", "port": 1,
            "called_ae_title": "A", "calling_ae_title": "B", "events": ["report.signed"],
        },
        "patch destination-detail": {"name": "Other"},
        "post destination-test": {},
        "post delivery-send-again": {},
        "post report-list": {"study": str(world.study.pk)},
        "patch report-detail": {"findings": "Changed."},
        "post report-sign": {"password": PASSWORD},
        "post report-agree": {"password": PASSWORD},
        "post report-disagree": {"remark": "I see no line."},
        "post report-withdraw": {"password": PASSWORD, "reason": "Wrong patient"},
        "post study-first-read": {"answer": "yes"},
        "post study-preliminary": {"answer": "no"},
        "post discrepancy-rate": {"severity": "minor"},
        "post discrepancy-resolve": {"resolution": "Report amended."},
        "post recall-contacts": {
            "contacted_at": "2026-01-01T09:00:00Z", "way": "phone", "result": "reached",
        },
        "post recall-close": {"outcome": "informed"},
        "post macro-list": {"name": "wrist", "text": "Nothing seen.", "for_clinic": True},
        "delete macro-detail": {},
        "post image-annotations": {"kind": "arrow", "points": [[1, 1], [9, 9]]},
        "put annotation-detail": {"kind": "length", "points": [[1, 1], [9, 9]]},
        "delete annotation-detail": {},
        "delete keyimage-detail": {},
        "post report-amend": {"reason": "Typing error"},
    }
    # fmt: on
    if str(route) in MULTIPART:
        return {"data": {"file": SimpleUploadedFile("x.png", b"no image")}, "format": "multipart"}
    if str(route) == "patch upload-detail":
        chunk = {"content_type": "application/offset+octet-stream", "HTTP_UPLOAD_OFFSET": "0"}
        return {"data": b"12", **chunk}
    if str(route) == "post study-uploads":
        return {"HTTP_UPLOAD_LENGTH": "4"}
    if route.is_safe or route.noun == "upload":
        return {}
    return {"data": bodies[str(route)], "format": "json"}


def as_read(route: Route) -> str:
    """Return the ``If-Match`` of somebody who has read the world's draft or finding."""
    return {"finding": '"0"', "annotation": '"1"'}.get(route.noun, '"1-1-draft"')


def send(client: Any, route: Route, world: Any, pk: Any = None, **headers: Any) -> Any:
    """Send a valid request to the route, by default about the world's own object."""
    if route.takes_id and pk is None:
        pk = getattr(world, route.noun).pk
    if str(route) == "patch report-detail" or route.noun in {"finding", "annotation"}:
        headers.setdefault("HTTP_IF_MATCH", as_read(route))
    return getattr(client, route.method)(route.url(pk), **body(route, world), **headers)
