"""Patients over HTTP."""

import pytest

from diagnosis.models import Patient
from tests.diagnosis.api.conftest import API
from tests.factories import PatientFactory, StudyFactory

pytestmark = pytest.mark.django_db
URL = f"{API}patients/"
ADA = {
    "record_number": "MRN-1",
    "given_name": "Ada",
    "family_name": "Løvelace",
    "birth_date": "1980-05-01",
    "sex": "female",
}


def test_registered_patient_is_read_back_at_its_location(doctor):
    created = doctor.client.post(URL, ADA)
    assert created.status_code == 201
    assert created.headers["Location"].endswith(f"{URL}{created.json()['id']}/")
    read = doctor.client.get(created.headers["Location"]).json()
    assert read == created.json()
    assert {name: read[name] for name in ADA} == ADA
    assert read["merged_into"] is None


def test_record_number_is_taken_once_per_clinic(doctor, stranger):
    first = doctor.client.post(URL, ADA).json()
    again = doctor.client.post(URL, ADA)
    assert again.status_code == 409
    body = again.json()
    assert (body["code"], body["patient"]) == ("record_number_taken", first["id"])
    assert "record_number" in body["fields"]
    assert stranger.client.post(URL, ADA).status_code == 201


def test_patch_changes_what_is_sent_and_empties_the_birth_date(doctor):
    address = doctor.client.post(URL, ADA).headers["Location"]
    changed = doctor.client.patch(address, {"given_name": "Augusta", "birth_date": None}).json()
    assert (changed["given_name"], changed["birth_date"]) == ("Augusta", None)
    assert changed["family_name"] == ADA["family_name"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("record_number", ""),
        ("record_number", "x" * 65),
        ("family_name", "   "),
        ("family_name", None),
        ("birth_date", "yesterday"),
        ("birth_date", "2999-01-01"),
        ("birth_date", "1700-01-01"),
        ("sex", "woman"),
        ("sex", 1),
    ],
)
def test_wrong_field_is_named(doctor, field, value):
    response = doctor.client.post(URL, ADA | {field: value})
    assert response.status_code == 400
    body = response.json()
    assert body["code"] == "invalid"
    assert list(body["fields"]) == [field]
    assert isinstance(body["fields"][field], str)


def test_search_finds_beginnings_of_words_whatever_the_accents(doctor):
    doctor.client.post(URL, ADA)
    doctor.client.post(URL, {"record_number": "MRN-2", "family_name": "Hopper"})

    def found(query):
        rows = doctor.client.get(URL, {"q": query}).json()["results"]
        return [row["family_name"] for row in rows]

    assert found("love") == ["Løvelace"]
    assert found("ada lovel") == ["Løvelace"]
    assert found("hopper 1980") == []
    assert found("1980-05-01") == ["Løvelace"]
    assert set(found("mrn")) == {"Løvelace", "Hopper"}
    assert found("!?") == []


def test_record_number_finds_exactly_one(doctor):
    doctor.client.post(URL, ADA)
    doctor.client.post(URL, ADA | {"record_number": "MRN-11"})
    rows = doctor.client.get(URL, {"record_number": "MRN-1"}).json()["results"]
    assert [row["record_number"] for row in rows] == ["MRN-1"]


def test_merge_moves_the_studies_and_unmerge_gives_them_back(doctor, clinic):
    kept, doubled = PatientFactory(clinic=clinic), PatientFactory(clinic=clinic)
    study = StudyFactory(patient=doubled)
    merged = doctor.client.post(f"{URL}{doubled.pk}/merge/", {"into": str(kept.pk)})
    assert (merged.status_code, merged.json()["merged_into"]) == (200, str(kept.pk))
    address = f"{API}studies/{study.pk}/"
    assert doctor.client.get(address).json()["patient"] == str(kept.pk)
    listed = [row["id"] for row in doctor.client.get(URL).json()["results"]]
    assert str(doubled.pk) not in listed

    restored = doctor.client.post(f"{URL}{doubled.pk}/unmerge/")
    assert (restored.status_code, restored.json()["merged_into"]) == (200, None)
    assert doctor.client.get(address).json()["patient"] == str(doubled.pk)
    again = doctor.client.post(f"{URL}{doubled.pk}/unmerge/")
    assert (again.status_code, again.json()["code"]) == (409, "patient_not_merged")


def test_merge_with_itself_is_refused(doctor, world):
    response = doctor.client.post(
        f"{URL}{world.patient.pk}/merge/", {"into": str(world.patient.pk)}
    )
    assert (response.status_code, response.json()["code"]) == (422, "same_patient")


def test_merged_patient_takes_no_study(doctor, clinic, in_clinic):
    kept, doubled = PatientFactory(clinic=clinic), PatientFactory(clinic=clinic)
    with in_clinic():
        Patient.objects.filter(pk=doubled.pk).update(merged_into=kept)
    response = doctor.client.post(f"{API}studies/", {"patient": str(doubled.pk)})
    assert (response.status_code, response.json()["code"]) == (409, "patient_merged")
    assert response.json()["patient"] == str(kept.pk)


@pytest.mark.parametrize(("sent", "kept"), [("F", "female"), ("m", "male"), ("other", "other")])
def test_sex_is_understood_in_words_and_as_in_dicom(doctor, sent, kept):
    body = {"record_number": f"S-{sent}", "family_name": "Example", "sex": sent}
    answer = doctor.client.post(f"{API}patients/", body)
    assert (answer.status_code, answer.json()["sex"]) == (201, kept)
    assert doctor.client.post(f"{API}patients/", body | {"sex": "x"}).status_code == 400
