"""Fields that are not the caller's to set: sent on every write, and unchanged afterwards."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.apps import apps

from tests.diagnosis.api.conftest import API, world_of
from tests.diagnosis.api.routes import MULTIPART, ROUTES, as_read, body
from tests.factories import ClinicFactory, MembershipFactory, PatientFactory

pytestmark = pytest.mark.django_db

WRITES = [
    route
    for route in ROUTES
    if route.method in {"post", "patch"}
    and str(route) not in MULTIPART | {"post patient-merge", "post patient-unmerge"}
    # Files in parts speak in headers and bytes; see test_resumable.
    and route.name != "study-uploads" and route.noun != "upload"
]  # fmt: skip
MODELS = ["patient", "study", "studyimage", "analysis", "report", "reportversion"]


def every_field(foreign):
    """Return a value for each column of each model, and for each property the API shows."""
    values = {}
    for model in MODELS:
        for field in apps.get_model("diagnosis", model)._meta.get_fields():
            if not field.concrete:
                continue
            values[field.name] = values[field.attname] = {
                "UUIDField": str(uuid4()),
                "ForeignKey": str(foreign.patient.pk),
                "OneToOneField": str(foreign.study.pk),
                "FloatField": 0.123,
                "BooleanField": True,
                "DateTimeField": datetime(2001, 1, 1, tzinfo=UTC).isoformat(),
                "DateField": "2001-01-01",
                "JSONField": {"planted": True},
                "ArrayField": ["planted"],
            }.get(type(field).__name__, "1")
    return values | {
        "clinic": str(foreign.clinic.pk),
        "clinic_id": str(foreign.clinic.pk),
        "status": "signed",
        "verdict": "negative",
        "version": 9,
        "verification_hash": "planted",
        "versions": [],
        "images": [],
        "links": {},
        "roles": ["clinic_admin"],
        "is_superuser": True,
    }


_DESCRIPTION = {"fracture_type", "displacement", "severity", "bone", "laterality"}


@pytest.mark.parametrize("route", WRITES, ids=str)
def test_only_writable_fields_are_written(route, everything, world):
    other = ClinicFactory()
    foreign = world_of(other, MembershipFactory(clinic=other).user)
    client = everything.client
    valid = body(route, world)["data"]
    writable = {
        "patient-list": {"record_number", "given_name", "family_name", "birth_date", "sex"},
        "patient-detail": {"record_number", "given_name", "family_name", "birth_date", "sex"},
        "study-list": {"clinical_question", "body_part", "side", "priority", "accession_number"},
        "study-detail": {"clinical_question", "body_part", "side", "priority", "accession_number"},
        "report-list": {"technique", "comparison", "findings", "impression", "recommendation"},
        "report-detail": {"technique", "comparison", "findings", "impression", "recommendation"},
        "report-amend": {"reason"},
        "study-findings": _DESCRIPTION,
        "finding-detail": _DESCRIPTION,
    }.get(route.name, set())
    planted = {
        name: value for name, value in every_field(foreign).items() if name not in writable
    } | valid
    if route.name == "study-detail":
        planted.pop("patient")  # refused by name; see test_studies
    before = snapshot(client, world)
    pk = getattr(world, route.noun).pk if route.takes_id else None
    response = getattr(client, route.method)(route.url(pk), planted, HTTP_IF_MATCH=as_read(route))
    assert response.status_code < 500
    if response.streaming:  # a file
        assert foreign_untouched(foreign)
        return
    assert "planted" not in response.content.decode()
    after = snapshot(client, world)
    for name in ("patient", "study", "report"):
        changed = {k for k in before[name] if before[name][k] != after[name][k]}
        assert changed <= MAY_CHANGE.get(str(route), {}).get(name, set()), name
    for name in ("id", "clinic", "created_at", "merged_into", "probability", "urgency"):
        assert response.json().get(name, None) != planted[name]
    assert foreign_untouched(foreign)


MAY_CHANGE = {
    "patch patient-detail": {"patient": {"given_name", "updated_at"}},
    "patch study-detail": {"study": {"priority", "updated_at", "result", "urgency"}},
    "post study-claim": {"study": {"claim"}},
    "post study-assign": {"study": {"assigned_to", "updated_at"}},
    "patch report-detail": {"report": {"findings", "revision", "updated_at", "author", "versions"}},
    "post study-analyses": {"study": {"status", "updated_at", "images", "result", "urgency"}},
    "post study-move": {"study": {"status", "updated_at", "result", "urgency"}},
    "post image-move": {"study": {"status", "updated_at", "result", "urgency"}},
    "post report-sign": {
        "report": {
            *("status", "signed_by", "signed_at", "verification_hash", "versions", "updated_at"),
        },
        "study": {
            *("status", "updated_at", "result", "verdict", "probability", "region", "urgency"),
        },
    },
}


def snapshot(client, world):
    return {
        name: client.get(f"{API}{path}/{getattr(world, name).pk}/").json()
        for name, path in (("patient", "patients"), ("study", "studies"), ("report", "reports"))
    }


def foreign_untouched(foreign):
    """Nothing of the other clinic has moved here, and nothing from here went there."""
    from accounts.tenancy import clinic_scope
    from diagnosis.models import Patient, Study

    with clinic_scope(foreign.clinic.pk):
        return Patient.objects.count() == 1 and Study.objects.count() == 1


def test_patient_cannot_be_put_into_another_clinic(everything, stranger):
    clinic_id = str(stranger.membership.clinic_id)
    created = everything.client.post(
        f"{API}patients/", {"record_number": "1", "family_name": "A", "clinic": clinic_id}
    )
    assert created.status_code == 201
    assert stranger.client.get(f"{API}patients/").json()["results"] == []
    PatientFactory(clinic=stranger.membership.clinic)
    assert len(everything.client.get(f"{API}patients/").json()["results"]) == 1
