"""Every read, change and refusal is one audit event: over all routes of the API, and the pages."""

import pytest
from django.core.cache import cache
from django.db import transaction
from django.test import Client as Browser
from django.urls import reverse

from accounts.models import AuditEvent, Role
from accounts.tenancy import clinic_scope
from tests.diagnosis.api.conftest import person, world_of
from tests.diagnosis.api.routes import ROUTES, send
from tests.factories import PatientFactory

pytestmark = pytest.mark.django_db
# Tell nothing of a patient: the caller, registered models, where results are sent, and states of
# deliveries, which are ids. Parts of a file are nothing to anybody: the image made of them is told.
QUIET = {"get me", "get model-list", "get destination-list", "get destination-detail",
         "get delivery-list", "get delivery-detail", "get macro-list",
         "get macro-detail", "get dashboard", "get upload-detail", "post study-uploads",
         "patch upload-detail", "delete upload-detail",
         "get retention", "get erasure-list", "get erasure-detail", "get export-detail",
         }  # fmt: skip
OF_NO_PATIENT = {"get audit-event-list", "post destination-list", "patch destination-detail",
                 "post destination-test", "post macro-list", "delete macro-detail",
                 "put retention"}  # fmt: skip
# Change nothing with what ``routes.body`` sends: the state is that already.
SAME_AS_BEFORE = {"post study-assign", "post study-move", "post study-release", "post image-move",
                  "post report-list"}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_was_read_before():
    cache.clear()


def events_of(clinic):
    with clinic_scope(clinic.pk):
        return list(AuditEvent.objects.filter(clinic=clinic).order_by("id"))


def told(clinic, act):
    """Return the answer and the events of one request, and undo it."""
    point, before = transaction.savepoint(), len(events_of(clinic))
    answer = act()
    events = events_of(clinic)[before:]
    transaction.savepoint_rollback(point)
    return answer, events


def is_complete(event, who, clinic, *, patient: bool) -> bool:
    about = event.patient_id is not None or "patients" in event.details or not patient
    return event.actor_id == who.user.pk and event.clinic_id == clinic.pk and about


def test_each_request_of_a_member_is_one_event(clinic, everything):
    world, wrong = world_of(clinic, everything.user), []
    for route in ROUTES:
        cache.clear()  # several of them open the same study
        answer, events = told(clinic, lambda: send(everything.client, route, world))  # noqa: B023
        name = str(route)
        silent = name in QUIET | SAME_AS_BEFORE or answer.status_code >= 400
        if len(events) != (0 if silent else 1):
            wrong.append((name, answer.status_code, [event.action for event in events]))
        for event in events:
            if not is_complete(event, everything, clinic, patient=name not in OF_NO_PATIENT):
                wrong.append((name, "incomplete"))
            if event.outcome != "success":
                wrong.append((name, event.outcome))
    assert wrong == []


def test_each_refused_action_is_one_denial(clinic, doctor):
    world, wrong, refused = world_of(clinic, doctor.user), [], 0
    for who in (person(clinic, Role.TECHNICIAN), person(clinic, Role.CLINIC_ADMIN)):
        for route in ROUTES:
            answer, events = told(clinic, lambda: send(who.client, route, world))  # noqa: B023
            if answer.status_code != 403:
                continue
            refused += 1
            [denial] = events or [None]
            if denial is None or denial.outcome != "denied" or denial.actor_id != who.user.pk:
                wrong.append((str(route), [event.action for event in events]))
    assert refused > 15
    assert wrong == []


def test_a_foreign_request_leaves_nothing_in_the_clinics_trail(clinic, stranger):
    world = world_of(clinic, person(clinic, Role.DOCTOR).user)
    for route in ROUTES:
        if route.takes_id:
            _answer, events = told(clinic, lambda: send(stranger.client, route, world))  # noqa: B023
            assert events == []


@pytest.mark.parametrize(
    ("page", "noun", "expected"),
    [
        ("worklist", None, ["study.list"]),
        ("patient-list", None, ["patient.list"]),
        ("patient-detail", "patient", ["patient.open"]),
        ("patient-edit", "patient", ["patient.open"]),
        ("alert-list", None, ["alert.list"]),
        ("study-detail", "study", ["study.open", "report.open"]),
        ("study-views", "study", ["study.open"]),
        ("study-film", "study", ["study.open"]),
        ("study-deidentified", "study", ["study.export_deidentified"]),
        ("image-rendition", "image", ["image.open"]),
        ("image-photo", "image", ["image.open"]),
        ("image-file", "image", ["image.open"]),
    ],
)
def test_each_page_that_tells_of_a_patient_says_so(clinic, everything, page, noun, expected):
    world = world_of(clinic, everything.user)
    browser = Browser()
    browser.force_login(everything.user)
    pk = [getattr(world, noun).pk] if noun else []

    def read():
        answer = browser.get(reverse(f"diagnosis:{page}", args=pk))
        return answer, b"".join(answer.streaming_content) if answer.streaming else answer.content

    (answer, _content), events = told(clinic, read)
    assert answer.status_code == 200
    assert [event.action for event in events] == expected
    assert all(is_complete(event, everything, clinic, patient=True) for event in events)


@pytest.mark.django_db(transaction=True)
def test_a_list_that_is_asked_for_again_is_one_event_until_it_tells_of_somebody_else(
    clinic, everything
):
    world_of(clinic, everything.user)

    def listed():
        assert everything.client.get("/api/v1/patients/").status_code == 200
        return [event for event in events_of(clinic) if event.action == "patient.list"]

    assert len(listed()) == len(listed()) == 1
    other = PatientFactory(clinic=clinic)
    [_first, second] = listed()
    assert second.patient_id is None
    assert str(other.pk) in second.details["patients"]
