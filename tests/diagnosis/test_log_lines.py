"""Ids lead from a request to its job and on to the worker that did it, through JSON lines alone."""

import io
import json
import logging

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import Role
from diagnosis import tasks
from diagnosis.services.model_stages import shipped_sync
from fracture_site.common.logs import JsonFormatter
from ml.data.synthetic import synthetic_radiograph, to_jpeg
from tests.factories import ApiTokenFactory, StudyFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lines():
    """Return a function that gives the lines logged so far, formatted where they were logged."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logging.getLogger().addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.getLogger().removeHandler(handler)


def upload(client, **headers):
    token = ApiTokenFactory(membership__roles=[Role.TECHNICIAN])
    study = StudyFactory(
        patient__clinic=token.membership.clinic,
        patient__family_name="Canary",
        patient__record_number="CANARY7",
    )
    picture = to_jpeg(synthetic_radiograph(3, size=(240, 300)).pixels)
    response = client.post(
        f"/api/v1/studies/{study.pk}/images/",
        {"file": SimpleUploadedFile("Canary.jpg", picture, "image/jpeg")},
        headers={"Authorization": f"Token {token.secret}", **headers},
    )
    assert response.status_code == 201
    return response


def test_one_id_leads_from_the_upload_to_the_workers_line(client, lines, settings, tmp_path):
    settings.ML_CACHE_DIR = tmp_path
    shipped_sync()

    response = upload(client)
    tasks.run_next_analysis()

    promised, worked = (
        next(line for line in lines() if line["event"] == event)
        for event in ("analysis promised", "claim worked on")
    )
    assert promised["request_id"] == response["X-Request-ID"]
    assert promised["image_id"] == response.json()["id"]
    assert worked["analysis_id"] == promised["analysis_id"]
    assert worked["clinic_id"] == promised["clinic_id"]
    assert int(worked["duration_ms"]) > 0
    assert "request_id" not in worked  # another request's hint may have woken this worker
    assert "canary" not in json.dumps(lines()).lower()


def test_a_proxys_id_is_taken_over_but_nothing_that_might_be_a_name(client):
    given = "0123456789abcdef0123456789abcdef"

    assert client.get("/healthz", headers={"X-Request-ID": given})["X-Request-ID"] == given
    for name in ("Jane Doe", f"{given}\n", f"{given}0", ""):
        answer = client.get("/healthz", headers={"X-Request-ID": name})
        assert answer["X-Request-ID"] not in {name, given}
        assert len(answer["X-Request-ID"]) == 32


def test_ids_do_not_leak_from_one_request_into_the_next(client, lines):
    first = client.get("/healthz")["X-Request-ID"]
    logging.getLogger("test").warning("between requests")
    second = client.get("/healthz")["X-Request-ID"]

    assert first != second
    assert "request_id" not in lines()[-1]
