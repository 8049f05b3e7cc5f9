"""Studies over HTTP: request, correct, filter, analyse again, move."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEvent
from diagnosis.models import Study
from tests.diagnosis.api.conftest import API
from tests.factories import PatientFactory, ReportVersionFactory, StudyFactory

pytestmark = pytest.mark.django_db
URL = f"{API}studies/"


def ids(response):
    assert response.status_code == 200, response.content
    return {row["id"] for row in response.json()["results"]}


def test_new_study_is_empty_and_read_back_at_its_location(doctor, clinic):
    patient = PatientFactory(clinic=clinic)
    request = {
        "patient": str(patient.pk),
        "clinical_question": "Fell off a horse",
        "body_part": "wrist",
        "side": "left",
        "priority": "stat",
        "accession_number": "A-1",
    }
    created = doctor.client.post(URL, request)
    assert created.status_code == 201
    body = created.json()
    assert {name: body[name] for name in request} == request
    assert (body["status"], body["result"], body["images"], body["report"]) == (
        "empty",
        None,
        [],
        None,
    )
    assert doctor.client.get(created.headers["Location"]).json() == body


def test_everything_but_the_patient_has_a_default(doctor, clinic):
    patient = PatientFactory(clinic=clinic)
    body = doctor.client.post(URL, {"patient": str(patient.pk)}).json()
    assert (body["priority"], body["body_part"], body["clinical_question"]) == ("routine", "", "")


def test_accession_number_is_taken_once(doctor, world):
    request = {"patient": str(world.patient.pk), "accession_number": "A-1"}
    first = doctor.client.post(URL, request).json()
    again = doctor.client.post(URL, request)
    assert (again.status_code, again.json()["code"]) == (409, "accession_number_taken")
    assert again.json()["study"] == first["id"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("patient", "not-an-id"),
        ("patient", None),
        ("body_part", "head"),
        ("side", "up"),
        ("priority", "high"),
        ("priority", 7),
        ("priority", ["stat"]),
        ("clinical_question", "x" * 2001),
    ],
)
def test_wrong_field_is_named(doctor, world, field, value):
    response = doctor.client.post(URL, {"patient": str(world.patient.pk)} | {field: value})
    assert response.status_code == 400
    assert list(response.json()["fields"]) == [field]


def test_patch_corrects_but_does_not_change_the_patient(doctor, world, clinic):
    address = f"{URL}{world.study.pk}/"
    same = {"priority": "urgent", "patient": str(world.patient.pk)}
    assert doctor.client.patch(address, same).json()["priority"] == "urgent"
    other = PatientFactory(clinic=clinic)
    response = doctor.client.patch(address, {"priority": "stat", "patient": str(other.pk)})
    assert (response.status_code, list(response.json()["fields"])) == (400, ["patient"])
    study = doctor.client.get(address).json()
    assert (study["patient"], study["priority"]) == (str(world.patient.pk), "urgent")


def test_study_moves_to_another_patient_until_it_is_reported(doctor, world, clinic, in_clinic):
    other = PatientFactory(clinic=clinic)
    address = f"{URL}{world.study.pk}/move/"
    moved = doctor.client.post(address, {"patient": str(other.pk)})
    assert (moved.status_code, moved.json()["patient"]) == (200, str(other.pk))
    with in_clinic():
        world.version.delete()
    ReportVersionFactory(
        report=world.report,
        author=doctor.user,
        status="signed",
        signed_by=doctor.user,
        signed_at=timezone.now(),
        pdf_key="reports/x.pdf",
        content_sha256="0" * 64,
    )
    refused = doctor.client.post(address, {"patient": str(world.patient.pk)})
    assert (refused.status_code, refused.json()["code"]) == (409, "study_reported")


def test_analysis_is_asked_for_once_while_it_waits(doctor, world):
    address = f"{URL}{world.study.pk}/analyses/"
    first = doctor.client.post(address)
    assert first.status_code == 202
    assert first.headers["Location"].endswith(f"{URL}{world.study.pk}/")
    [run] = first.json()["analyses"]
    assert (run["image"], run["status"]) == (str(world.image.pk), "queued")
    assert doctor.client.post(address).json()["analyses"][0]["id"] == run["id"]
    study = doctor.client.get(f"{URL}{world.study.pk}/").json()
    assert study["status"] == "queued"
    assert study["images"][0]["analysis"]["id"] == run["id"]
    assert study["images"][0]["result"]["analysis"] == str(world.analysis.pk)


def test_detail_shows_images_with_result_links_and_findings(doctor, world):
    [image] = doctor.client.get(f"{URL}{world.study.pk}/").json()["images"]
    assert image["analysis"]["status"] == "succeeded"
    assert image["result"]["verdict"] == "definite"
    assert image["result"]["thresholds"] == {"suspicion": 0.2, "definite": 0.7}
    assert image["result"]["model"]["sha256"] == world.analysis.model_version.sha256
    [finding] = image["result"]["findings"]
    assert (finding["id"], finding["box"]) == (str(world.finding.pk), [10.0, 20.0, 30.0, 40.0])
    for link in image["links"].values():
        assert doctor.client.get(link).status_code == 200


def test_polling_is_recorded_once(doctor, world, in_clinic, django_capture_on_commit_callbacks):
    for _ in range(3):
        with django_capture_on_commit_callbacks(execute=True):
            doctor.client.get(f"{URL}{world.study.pk}/")
    with in_clinic():
        assert AuditEvent.objects.filter(action="study.open", actor=doctor.user).count() == 1


@pytest.fixture
def three(clinic, in_clinic):
    """A waiting, a suspicious and a reported study of two patients, a day apart."""
    patient = PatientFactory(clinic=clinic)
    rows = {
        "waiting": StudyFactory(patient=patient, status="queued", priority=0),
        "suspicious": StudyFactory(
            patient=patient, status="ready", verdict="suspicion", probability=0.4
        ),
        "reported": StudyFactory(
            patient=PatientFactory(clinic=clinic), status="reported", verdict="negative", priority=1
        ),
    }
    with in_clinic():
        for day, row in enumerate(rows.values(), start=1):
            row.created_at = datetime(2026, 3, day, tzinfo=UTC)
            Study.objects.filter(pk=row.pk).update(created_at=row.created_at)
    return rows


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("status=queued", {"waiting"}),
        ("status=queued&status=ready", {"waiting", "suspicious"}),
        ("verdict=suspicion", {"suspicious"}),
        ("priority=stat&priority=urgent", {"waiting", "reported"}),
        ("created_after=2026-03-02T00:00:00Z", {"suspicious", "reported"}),
        ("created_before=2026-03-02T00:00:00Z", {"waiting"}),
        ("created_after=2026-03-02&created_before=2026-03-03", {"suspicious"}),
        ("status=ready&verdict=negative", set()),
        ("", {"waiting", "suspicious", "reported"}),
    ],
)
def test_filter(doctor, three, query, names):
    assert ids(doctor.client.get(f"{URL}?{query}")) == {str(three[name].pk) for name in names}


def test_filter_by_patient(doctor, three):
    patient = three["reported"].patient_id
    assert ids(doctor.client.get(URL, {"patient": patient})) == {str(three["reported"].pk)}


@pytest.mark.parametrize(
    "query",
    ["status=done", "verdict=", "priority=0", "patient=1", "created_after=soon", "q=%00"],
)
def test_filter_that_cannot_be_understood_is_an_error(doctor, three, query):
    response = doctor.client.get(f"{URL}?{query}")
    assert response.status_code == 400
    assert list(response.json()["fields"]) == [query.split("=")[0]]


def test_search_finds_by_patient_and_question(doctor, clinic):
    patient = doctor.client.post(
        f"{API}patients/", {"record_number": "MRN-7", "family_name": "Gödel"}
    ).json()
    created = doctor.client.post(
        URL, {"patient": patient["id"], "clinical_question": "Skiing accident"}
    ).json()
    for query in ("godel", "mrn-7", "skiing"):
        assert ids(doctor.client.get(URL, {"q": query})) == {created["id"]}
    assert ids(doctor.client.get(URL, {"q": "nobody"})) == set()


def test_times_are_utc_with_offset(doctor, world):
    created = doctor.client.get(f"{URL}{world.study.pk}/").json()["created_at"]
    moment = datetime.fromisoformat(created)
    assert moment.tzinfo is not None
    assert timezone.now() - moment < timedelta(minutes=5)
