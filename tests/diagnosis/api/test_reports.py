"""Reports over HTTP: draft with ETags, signature, amendment, PDF."""

import pytest

from accounts.models import AuditEvent
from tests.diagnosis.api.conftest import API
from tests.factories import PASSWORD, PatientFactory, StudyFactory

pytestmark = pytest.mark.django_db
URL = f"{API}reports/"


@pytest.fixture
def study(clinic):
    return StudyFactory(patient=PatientFactory(clinic=clinic), body_part="wrist")


@pytest.fixture
def draft(doctor, study):
    response = doctor.client.post(URL, {"study": str(study.pk), "impression": "No fracture."})
    assert response.status_code == 201, response.content
    return response


@pytest.fixture
def address(draft):
    return draft.headers["Location"]


def sign(client, address, **body):
    return client.post(f"{address}sign/", body or {"password": PASSWORD})


def test_report_is_prefilled_and_takes_the_texts_sent_along(draft, doctor, study):
    body = draft.json()
    assert (body["study"], body["status"], body["version"]) == (str(study.pk), "draft", 1)
    assert "wrist" in body["technique"]
    assert body["impression"] == "No fracture."
    assert body["author"]["id"] == str(doctor.user.pk)
    assert (body["signed_by"], body["signed_at"], body["verification_hash"]) == (None, None, "")


def test_study_has_one_report(draft, doctor, study):
    again = doctor.client.post(URL, {"study": str(study.pk)})
    assert (again.status_code, again.json()) == (200, draft.json())
    assert again.headers["ETag"] == draft.headers["ETag"]
    refused = doctor.client.post(URL, {"study": str(study.pk), "findings": "Other."})
    assert (refused.status_code, refused.json()["code"]) == (409, "report_exists")
    assert refused.json()["report"] == draft.json()["id"]
    assert doctor.client.get(draft.headers["Location"]).json() == draft.json()


def test_reports_are_found_by_study(draft, doctor, world, study):
    rows = doctor.client.get(URL, {"study": study.pk}).json()["results"]
    texts = {"technique", "comparison", "findings", "impression", "recommendation"}
    unread = texts | {"recalled", "versions"}  # texts are read, and audited, one report at a time
    assert rows == [{k: v for k, v in draft.json().items() if k not in unread}]
    assert len(doctor.client.get(URL).json()["results"]) == 2
    detail = doctor.client.get(f"{API}studies/{study.pk}/").json()
    assert detail["report"] == draft.json()["id"]


def test_draft_is_saved_with_the_etag_that_was_read(draft, doctor, address):
    saved = doctor.client.patch(
        address, {"findings": "Cortex intact."}, HTTP_IF_MATCH=draft.headers["ETag"]
    )
    assert saved.status_code == 200
    assert saved.json()["findings"] == "Cortex intact."
    assert saved.json()["impression"] == "No fracture."
    assert saved.headers["ETag"] != draft.headers["ETag"]
    assert doctor.client.get(address).headers["ETag"] == saved.headers["ETag"]


@pytest.mark.parametrize("tag", ["", "*"])
def test_draft_is_not_saved_without_its_etag(draft, doctor, address, tag):
    response = doctor.client.patch(address, {"findings": "X"}, HTTP_IF_MATCH=tag)
    assert (response.status_code, response.json()["code"]) == (428, "precondition_required")


@pytest.mark.parametrize("tag", ['"1-1"', "1", '"2-1-draft"', '"1-99-draft"', "\x00", '""', "W/"])
def test_wrong_etag_is_412(draft, doctor, address, tag):
    response = doctor.client.patch(address, {"findings": "X"}, HTTP_IF_MATCH=tag)
    assert (response.status_code, response.json()["code"]) == (412, "draft_changed")


def test_of_two_writers_the_second_is_told(draft, doctor, everything, address):
    tag = draft.headers["ETag"]
    first = doctor.client.patch(address, {"findings": "First."}, HTTP_IF_MATCH=tag)
    second = everything.client.patch(address, {"findings": "Second."}, HTTP_IF_MATCH=tag)
    assert (first.status_code, second.status_code) == (200, 412)
    assert second.json()["revision"] == first.json()["revision"]
    assert doctor.client.get(address).json()["findings"] == "First."


def test_weak_and_listed_etags_match(draft, doctor, address):
    """A proxy that compresses makes the tag weak."""
    tags = f'"9-9-draft", W/{draft.headers["ETag"]}'
    response = doctor.client.patch(address, {"findings": "X"}, HTTP_IF_MATCH=tags)
    assert response.status_code == 200


def test_signed_report_is_complete_and_final(draft, doctor, address, study, in_clinic):
    signed = sign(doctor.client, address)
    assert signed.status_code == 200, signed.content
    body = signed.json()
    assert body["status"] == "signed"
    assert body["signed_by"]["id"] == str(doctor.user.pk)
    assert len(body["verification_hash"]) == 64
    assert doctor.client.get(f"{API}studies/{study.pk}/").json()["status"] == "reported"
    again = sign(doctor.client, address)
    assert (again.status_code, again.json()["code"]) == (409, "already_signed")
    for tag in ("", signed.headers["ETag"], draft.headers["ETag"]):
        changed = doctor.client.patch(address, {"findings": "X"}, HTTP_IF_MATCH=tag)
        assert (changed.status_code, changed.json()["code"]) == (409, "already_signed")
    with in_clinic():
        assert AuditEvent.objects.filter(action="report.sign", actor=doctor.user).count() == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"password": "wrong"}, 403, "reauthentication_failed"),
        ({"otp": "123456"}, 403, "reauthentication_failed"),
        ({}, 403, "reauthentication_required"),
        ({"password": ""}, 400, "invalid"),
        ({"password": ["a"]}, 400, "invalid"),
        ({"password": "\x00"}, 400, "invalid"),
    ],
)
def test_signature_needs_the_signers_own_credentials(doctor, address, body, status, code):
    response = doctor.client.post(f"{address}sign/", body)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert doctor.client.get(address).json()["status"] == "draft"


def test_signature_of_another_text_than_was_read_is_412(draft, doctor, everything, address):
    tag = draft.headers["ETag"]
    everything.client.patch(address, {"impression": "Fracture!"}, HTTP_IF_MATCH=tag)
    response = doctor.client.post(f"{address}sign/", {"password": PASSWORD}, HTTP_IF_MATCH=tag)
    assert (response.status_code, response.json()["code"]) == (412, "draft_changed")


def test_amendment_is_a_new_version_with_a_reason(doctor, address):
    early = doctor.client.post(f"{address}amend/", {"reason": "Typing error"})
    assert (early.status_code, early.json()["code"]) == (409, "not_signed")
    first = sign(doctor.client, address).json()
    missing = doctor.client.post(f"{address}amend/", {"reason": " "})
    assert (missing.status_code, list(missing.json()["fields"])) == (400, ["reason"])
    amended = doctor.client.post(f"{address}amend/", {"reason": "Typing error"})
    assert amended.status_code == 200
    body = amended.json()
    assert (body["version"], body["status"], body["reason"]) == (2, "draft", "Typing error")
    assert [(v["number"], v["status"]) for v in body["versions"]] == [(1, "signed"), (2, "draft")]
    assert body["versions"][0]["verification_hash"] == first["verification_hash"]
    twice = doctor.client.post(f"{address}amend/", {"reason": "Again"})
    assert (twice.status_code, twice.json()["code"]) == (409, "draft_exists")


def test_pdf_of_each_signed_version(doctor, address):
    early = doctor.client.get(f"{address}pdf/")
    assert (early.status_code, early.json()["code"]) == (409, "not_signed")
    sign(doctor.client, address)
    first = doctor.client.get(f"{address}pdf/", HTTP_ACCEPT="application/pdf")
    assert first.status_code == 200
    assert first.headers["Content-Type"] == "application/pdf"
    assert first.headers["Content-Disposition"].startswith('attachment; filename="report-')
    assert first.headers["Cache-Control"] == "private, no-store"
    assert first.content.startswith(b"%PDF-")
    amended = doctor.client.post(f"{address}amend/", {"reason": "More detail"})
    doctor.client.patch(address, {"findings": "More."}, HTTP_IF_MATCH=amended.headers["ETag"])
    assert doctor.client.get(f"{address}pdf/").content == first.content
    sign(doctor.client, address)
    second = doctor.client.get(f"{address}pdf/")
    assert second.content != first.content
    assert doctor.client.get(f"{address}pdf/?version=1").content == first.content
    assert doctor.client.get(f"{address}pdf/?version=3").status_code == 409
    for version in ("0", "-1", "x", "1" * 5000):
        assert doctor.client.get(f"{address}pdf/", {"version": version}).status_code == 400


def test_technician_reads_but_does_not_write(technician, doctor, address, study):
    assert technician.client.get(address).status_code == 200
    sign(doctor.client, address)
    assert technician.client.get(f"{address}pdf/").status_code == 200


def test_a_report_is_not_signed_over_a_patient_that_changed_since(draft, doctor, study, address):
    other = PatientFactory(clinic=study.clinic)
    doctor.client.post(f"{API}studies/{study.pk}/move/", {"patient": str(other.pk)})
    refused = sign(doctor.client, address)
    assert (refused.status_code, refused.json()["code"]) == (412, "study_changed")
    etag = doctor.client.get(address).headers["ETag"]
    doctor.client.patch(address, {"findings": "Read again."}, headers={"If-Match": etag})
    assert sign(doctor.client, address).status_code == 200
