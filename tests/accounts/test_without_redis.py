"""Redis is down: the API, pages and uploads work; doors that must count attempts stay shut."""

import logging
import socket
import time
from collections.abc import Iterator

import pytest
from allauth.mfa.totp.internal import auth as totp
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from redis.exceptions import RedisError

from accounts.api.throttling import PatientThrottle
from accounts.models import AuditEvent
from accounts.tenancy import clinic_scope
from diagnosis.models import Study
from diagnosis.services.report_basis import report_basis
from ml.data.synthetic import synthetic_radiograph, to_png
from tests.factories import (
    PASSWORD,
    ApiTokenFactory,
    PatientFactory,
    ReportFactory,
    ReportVersionFactory,
    StudyFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["refuses", "hangs"])
def address(request) -> Iterator[str]:
    """Return the address of a Redis that refuses connections, or takes them and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if request.param == "refuses":
            server.close()
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture
def _no_remembered_attempts():
    """Replaces the fixture that empties a cache that answers."""


@pytest.fixture(autouse=True)
def _down(address, settings, monkeypatch):
    settings.CACHES = {"default": settings.CACHES["default"] | {"LOCATION": address}}
    monkeypatch.setattr(PatientThrottle, "is_out", False)
    monkeypatch.setattr(PatientThrottle, "left_alone_until", float("-inf"))


@pytest.fixture
def client(doctor) -> Client:
    client = Client()
    client.force_login(doctor.user)
    return client


def token_client(member) -> Client:
    return Client(headers={"authorization": f"Token {ApiTokenFactory(membership=member).secret}"})


def test_the_api_answers_and_tells_once(doctor, caplog):
    client = token_client(doctor)
    PatientFactory(clinic=doctor.clinic)
    with caplog.at_level(logging.WARNING, "accounts.api.throttling"):
        for _ in range(4):
            assert len(client.get("/api/v1/patients/").json()["results"]) == 1
    assert len(caplog.records) == 1


def test_a_cache_that_hangs_is_given_half_a_second():
    began = time.monotonic()
    with pytest.raises(RedisError):
        cache.get("anything")
    assert time.monotonic() - began < 2


def test_the_limit_counts_again_when_redis_is_back(doctor, settings, monkeypatch, redis):
    client = token_client(doctor)
    assert client.get("/api/v1/me/").status_code == 200
    back = settings.CACHES["default"] | {"LOCATION": settings.REDIS_URL}
    settings.CACHES = {"default": back}
    monkeypatch.setattr(PatientThrottle, "left_alone_until", float("-inf"))
    monkeypatch.setattr(PatientThrottle, "rate", "1/min", raising=False)
    assert client.get("/api/v1/me/").status_code == 200
    assert client.get("/api/v1/me/").status_code == 429


def test_sign_in_says_that_it_cannot_check(doctor):
    client = Client()
    assert client.get(reverse("account_login")).status_code == 200
    form = {"login": doctor.user.email, "password": PASSWORD}
    answer = client.post(reverse("account_login"), form)
    assert answer.status_code == 503
    assert "cannot be checked at the moment" in answer.content.decode()
    assert answer["Retry-After"]
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("form", [{"password": PASSWORD}, {"otp": "123456"}])
def test_signing_says_that_it_cannot_check_and_does_not(doctor, form):
    totp.TOTP.activate(doctor.user, "A" * 32)
    report = ReportFactory(clinic=doctor.clinic, study__patient__clinic=doctor.clinic)
    ReportVersionFactory(report=report, author=doctor.user, number=1)
    answer = token_client(doctor).post(
        f"/api/v1/reports/{report.pk}/sign/",
        form,
        content_type="application/json",
    )
    assert (answer.status_code, answer.json()["code"]) == (503, "attempts_unavailable")
    assert answer["Retry-After"]
    assert not AuditEvent.objects.filter(action="report.sign").exists()


def test_signing_on_the_page_keeps_the_text_and_says_why_it_is_not_signed(client, doctor):
    report = ReportFactory(clinic=doctor.clinic, study__patient__clinic=doctor.clinic)
    version = ReportVersionFactory(report=report, author=doctor.user, number=1)
    with clinic_scope(doctor.clinic_id):
        basis = report_basis(Study.objects.get(pk=report.study_id))
    form = {"findings": "New text.", "basis": basis, "revision": version.revision}
    answer = client.post(f"/reports/{report.pk}/sign/", form | {"password": PASSWORD}, follow=True)
    assert "cannot be checked at the moment" in answer.content.decode()
    with clinic_scope(doctor.clinic_id):
        version.refresh_from_db()
    assert (version.status, version.findings) == ("draft", "New text.")


def test_pages_open(client, doctor):
    study = StudyFactory(patient__clinic=doctor.clinic)
    for url in ("/", "/patients/", f"/studies/{study.pk}/", "/tokens/"):
        assert client.get(url).status_code == 200, url


def test_uploads_are_taken(client, doctor, tmp_path, settings):
    backend = "fracture_site.common.storage.PrivateFileStorage"
    clinical = {"BACKEND": backend, "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = settings.STORAGES | {"clinical": clinical}
    study = StudyFactory(patient__clinic=doctor.clinic)
    for number, (url, sender) in enumerate(
        [
            (f"/studies/{study.pk}/upload/", client),
            (f"/api/v1/studies/{study.pk}/images/", token_client(doctor)),
        ]
    ):
        data = to_png(synthetic_radiograph(number, region="leg", size=(160, 128)).pixels)
        answer = sender.post(url, {"file": SimpleUploadedFile("x.png", data)})
        assert answer.status_code == 201, answer.content
