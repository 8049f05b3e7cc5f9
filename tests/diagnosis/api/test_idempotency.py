"""Repeating a POST: same key, same answer, one effect."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Role
from accounts.tenancy import clinic_scope
from diagnosis.models import IdempotencyRecord, Patient, ReportVersion, StudyImage
from ml.data.synthetic import synthetic_radiograph, to_png
from tests.diagnosis.api.conftest import API, client_of, person
from tests.diagnosis.api.test_images import upload
from tests.factories import (
    PASSWORD,
    ClinicFactory,
    MembershipFactory,
    PatientFactory,
    StudyFactory,
)

pytestmark = pytest.mark.django_db
URL = f"{API}patients/"
ADA = {"record_number": "MRN-1", "family_name": "Lovelace"}


def post(client, body, key="k-1", url=URL):
    return client.post(url, body, HTTP_IDEMPOTENCY_KEY=key)


def test_repetition_gets_the_stored_answer_and_has_no_second_effect(doctor, in_clinic):
    first, second = post(doctor.client, ADA), post(doctor.client, ADA)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.content == first.content
    assert second.headers["Location"] == first.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    with in_clinic():
        assert Patient.objects.count() == 1


def test_order_of_members_does_not_make_another_request(doctor):
    post(doctor.client, ADA)
    assert post(doctor.client, dict(reversed(ADA.items()))).status_code == 201


@pytest.mark.parametrize(
    ("body", "url"),
    [(ADA | {"family_name": "Other"}, URL), (ADA, f"{URL}?x=1"), (ADA, f"{API}studies/")],
)
def test_same_key_with_another_request_is_a_conflict(doctor, body, url, in_clinic):
    post(doctor.client, ADA)
    response = post(doctor.client, body, url=url)
    assert (response.status_code, response.json()["code"]) == (409, "idempotency_key_reused")
    with in_clinic():
        assert Patient.objects.count() == 1


def test_keys_belong_to_a_caller_and_a_clinic(doctor, everything):
    post(doctor.client, ADA)
    colleague = post(everything.client, ADA)
    assert (colleague.status_code, colleague.json()["code"]) == (409, "record_number_taken")
    elsewhere = MembershipFactory(user=doctor.user, clinic=ClinicFactory())
    other = post(client_of(elsewhere), ADA)
    assert other.status_code == 201
    assert "Idempotent-Replayed" not in other.headers


def test_key_stays_free_after_a_refusal(doctor):
    assert post(doctor.client, ADA | {"family_name": ""}).status_code == 400
    assert post(doctor.client, ADA).status_code == 201


def test_kept_answer_is_gone_after_a_day(doctor, in_clinic):
    post(doctor.client, ADA)
    with in_clinic():
        old = timezone.now() - timedelta(days=1, seconds=1)
        IdempotencyRecord.objects.update(created_at=old)
    again = post(doctor.client, ADA)
    assert (again.status_code, again.json()["code"]) == (409, "record_number_taken")
    with in_clinic():
        assert not IdempotencyRecord.objects.exists()


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "ключ", "a\tb"])
def test_key_that_is_no_key_is_refused(doctor, key):
    response = post(doctor.client, ADA, key=key.encode("utf-8").decode("latin-1"))
    assert (response.status_code, response.json()["code"]) == (400, "invalid_idempotency_key")


def test_answer_is_not_replayed_to_a_read_token(everything):
    post(everything.client, ADA)
    reader = client_of(everything.membership, scope="read")
    assert post(reader, ADA).status_code == 403


def test_repeated_upload_counts_the_bytes_of_the_file(technician, world, in_clinic):
    study = StudyFactory(patient=world.patient)
    files = [
        to_png(synthetic_radiograph(seed, region="leg", size=(160, 128)).pixels) for seed in (1, 2)
    ]
    first = upload(technician.client, study, files[0], HTTP_IDEMPOTENCY_KEY="k")
    again = upload(technician.client, study, files[0], HTTP_IDEMPOTENCY_KEY="k")
    other = upload(technician.client, study, files[1], HTTP_IDEMPOTENCY_KEY="k")
    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 409)
    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.json()["code"] == "idempotency_key_reused"
    with in_clinic():
        assert StudyImage.objects.filter(study=study).count() == 1


def test_repeated_signature_answers_200_and_keeps_no_password(doctor, world, in_clinic):
    url = f"{API}reports/{world.report.pk}/sign/"
    first = post(doctor.client, {"password": PASSWORD}, url=url)
    second = post(doctor.client, {"password": PASSWORD}, url=url)
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.headers["ETag"] == first.headers["ETag"]
    with in_clinic():
        assert ReportVersion.objects.filter(status="signed").count() == 1
        record = IdempotencyRecord.objects.get()
    assert PASSWORD not in str(record.body)


@pytest.mark.django_db(transaction=True)
def test_of_simultaneous_requests_with_one_key_one_has_an_effect():
    clinic = ClinicFactory()
    members = person(clinic, *Role.values)
    clients = [client_of(members.membership) for _ in range(4)]
    barrier = Barrier(len(clients))
    # Without the key every one of these would make a study.
    body = {"patient": str(PatientFactory(clinic=clinic).pk)}

    def send(client):
        barrier.wait()
        try:
            return post(client, body, url=f"{API}studies/")
        finally:
            connection.close()

    with ThreadPoolExecutor(len(clients)) as pool:
        answers = list(pool.map(send, clients))
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 3
    with clinic_scope(clinic.pk):
        assert IdempotencyRecord.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_request_that_waits_too_long_for_the_first_is_told(monkeypatch):
    monkeypatch.setattr("diagnosis.services.idempotency.LOCK_WAIT", "100ms")
    clinic = ClinicFactory()
    doctor = person(clinic, Role.DOCTOR)
    name = f"idempotency/{clinic.pk}/{doctor.user.pk}/k-1"

    def send():
        try:
            return post(doctor.client, ADA)
        finally:
            connection.close()

    with clinic_scope(clinic.pk), connection.cursor() as cursor, ThreadPoolExecutor(1) as pool:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        response = pool.submit(send).result()
    assert (response.status_code, response.json()["code"]) == (409, "idempotency_key_in_use")
    assert post(doctor.client, ADA).status_code == 201
