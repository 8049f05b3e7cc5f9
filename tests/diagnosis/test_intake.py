"""More images than can be read: machines wait with theirs, people and emergencies are taken."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role
from accounts.tenancy import clinic_scope
from diagnosis.dimse.storing import handle_store
from diagnosis.models import Analysis, Patient, Priority, StudyImage
from ml.data.synthetic import to_png
from tests.factories import (
    AnalysisFactory,
    ApiTokenFactory,
    DeviceFactory,
    PatientFactory,
    StudyFactory,
    StudyImageFactory,
)
from tests.interop.test_dicomweb import client_of, stow
from tests.support.dicom_studies import dicom, pixels

pytestmark = pytest.mark.django_db


@pytest.fixture
def member():
    return ApiTokenFactory(membership__roles=list(Role.values)).membership


@pytest.fixture
def waiting():
    """An image of another clinic that nobody has taken for an hour: all share the workers."""
    hour = timezone.now() - timedelta(hours=1)
    return AnalysisFactory(image=StudyImageFactory(), due_at=hour)


def post(member, study, seed=1):
    file = SimpleUploadedFile("x.png", to_png(pixels(seed)), "image/png")
    return client_of(member).post(f"/api/v1/studies/{study.pk}/images/", {"file": file})


def test_a_program_is_told_to_send_later_and_nothing_is_kept(member, waiting):
    study = StudyFactory(patient=PatientFactory(clinic=member.clinic))
    answer = post(member, study)
    assert (answer.status_code, answer.json()["code"]) == (503, "queue_full")
    assert int(answer["Retry-After"]) > 0
    with clinic_scope(member.clinic_id):
        assert not StudyImage.objects.exists()


def test_what_is_there_already_is_answered_and_room_comes_back(member, waiting, settings):
    study = StudyFactory(patient=PatientFactory(clinic=member.clinic))
    settings.INTAKE_MAX_QUEUE_AGE = timedelta(0)
    assert post(member, study).status_code == 201
    settings.INTAKE_MAX_QUEUE_AGE = timedelta(minutes=10)
    assert post(member, study).status_code == 200
    assert post(member, study, seed=2).status_code == 503
    with clinic_scope(waiting.clinic_id):
        Analysis.objects.filter(pk=waiting.pk).update(due_at=timezone.now())
    assert post(member, study, seed=2).status_code == 201


@pytest.mark.parametrize("priority", [Priority.STAT, Priority.URGENT])
def test_what_is_urgent_is_always_taken(member, waiting, priority):
    patient = PatientFactory(clinic=member.clinic)
    assert post(member, StudyFactory(patient=patient, priority=priority)).status_code == 201


def test_a_person_at_a_page_is_never_refused(member, waiting):
    study = StudyFactory(patient=PatientFactory(clinic=member.clinic))
    browser = Client()
    browser.force_login(member.user)
    file = SimpleUploadedFile("x.png", to_png(pixels(1)), "image/png")
    answer = browser.post(reverse("diagnosis:study-upload", args=[study.pk]), {"file": file})
    assert answer.status_code in {200, 201}
    with clinic_scope(member.clinic_id):
        assert Analysis.objects.get().status == "queued"


def test_an_archive_keeps_what_it_sends_and_no_patient_is_made(member, waiting, tmp_path):
    assert stow(client_of(member), dicom(1)).status_code == 503
    path = tmp_path / "x.dcm"
    path.write_bytes(dicom(1))
    device = DeviceFactory(membership=member, clinic=member.clinic)
    event = SimpleNamespace(dataset_path=path, request=SimpleNamespace())
    answer = handle_store(event, device)
    assert (answer.Status, answer.ErrorComment) == (0xA700, "queue_full")
    with clinic_scope(member.clinic_id):
        assert not Patient.objects.exists()
