"""The Python client against a running server, a real worker, and a server that misbehaves."""

import re
import sys
import threading
from collections import deque
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path

import pytest
import yaml
from django.utils import timezone
from django.utils.http import http_date
from PIL import Image

from accounts.models import Role
from tests.diagnosis.api.conftest import client_of, world_of
from tests.factories import ClinicFactory, MembershipFactory, PatientFactory
from tests.support.database import ROOT

CLIENT = ROOT / "clients" / "python"
sys.path.insert(0, str(CLIENT / "src"))

from fracture_site_client import (  # noqa: E402
    ApiError,
    ConnectionFailedError,
    FractureSite,
    NotReadyError,
    models,
)

pytestmark = pytest.mark.django_db(transaction=True)


def picture(shade: int = 120) -> bytes:
    stream = BytesIO()
    Image.new("L", (300, 400), shade).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def clinic():
    return ClinicFactory()


@pytest.fixture
def site(live_server, clinic):
    member = MembershipFactory(clinic=clinic, roles=list(Role.values))
    secret = client_of(member)._credentials["HTTP_AUTHORIZATION"].split()[1]
    with FractureSite(live_server.url, secret) as client:
        yield client


def test_the_whole_loop_with_a_real_worker(site, real_worker, tmp_path):
    assert site.me().token.scope == "write"
    patient = site.patient_create(record_number="N-1", family_name="Example", given_name="Ada")
    assert site.patient_by_number("N-1").id == patient.id
    assert site.patient_by_number("N-2") is None
    study = site.study_create(patient.id, clinical_question="Fall", body_part="wrist")
    file = tmp_path / "Example Ada.png"
    file.write_bytes(picture())
    told: list[tuple[int, int]] = []
    image = site.upload(study.id, file, progress=lambda sent, size: told.append((sent, size)))

    assert told[-1] == (file.stat().st_size, file.stat().st_size)
    done = site.wait_for_result(study.id, timeout_s=90, interval_s=0.3)
    assert done.status in {"ready", "failed"}
    assert [each.id for each in done.images] == [image.id]
    assert site.image(image.id).size_bytes == file.stat().st_size
    assert site.image_file(image.id)


def test_the_example_of_the_readme_runs(live_server, clinic, real_worker, tmp_path, monkeypatch):
    member = MembershipFactory(clinic=clinic, roles=list(Role.values))
    secret = client_of(member)._credentials["HTTP_AUTHORIZATION"].split()[1]
    text = (CLIENT / "README.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert "https://fractures.example.org" in example
    monkeypatch.chdir(tmp_path)
    Path("wrist.dcm").write_bytes(picture())  # what a file is, its content says
    names: dict[str, object] = {"token": secret}
    exec(example.replace("https://fractures.example.org", live_server.url), names)  # noqa: S102
    assert names["study"].status in {"ready", "failed"}
    assert names["patient"].record_number == "MRN-1024"


def test_what_stands_around_the_report(site, clinic):
    world = world_of(clinic, MembershipFactory(clinic=clinic).user)
    assert [row.id for row in site.discrepancies(open=True)] == [world.discrepancy.pk]
    assert [row.id for row in site.recalls(open=False)] == []
    assert [row.id for row in site.macros()] == [world.macro.pk]
    assert [row.id for row in site.key_images(world.study.pk)] == [world.keyimage.pk]
    assert site.annotations(world.study.pk) == []


def test_waiting_ends_and_tells_how_it_stands(site):
    patient = site.patient_create(record_number="N-1", family_name="Example")
    study = site.study_create(patient.id)
    site.upload(study.id, picture())  # and no worker
    with pytest.raises(NotReadyError) as caught:
        site.wait_for_result(study.id, timeout_s=0.3, interval_s=0.1)
    assert caught.value.study.status == "queued"


def test_lists_lead_through_all_pages(site, clinic):
    for _ in range(7):
        PatientFactory(clinic=clinic)
    rows = list(site.patients(page_size=3))
    assert len({row.id for row in rows}) == 7


def test_everything_that_is_there_fits_the_models(site, clinic):
    world = world_of(clinic, MembershipFactory(clinic=clinic).user)
    assert site.study(world.study.pk).result is not None
    assert [row.id for row in site.studies(patient=world.patient.pk)] == [world.study.pk]
    assert site.report(world.report.pk).id == world.report.pk
    assert [row.id for row in site.reports()] == [world.report.pk]
    assert [row.id for row in site.model_versions()]
    assert site.request("GET", "me/")["clinic"]["id"] == str(clinic.pk)


def test_refusals_have_codes_and_what_to_go_on_with(site):
    first = site.patient_create(record_number="N-1", family_name="Example")
    with pytest.raises(ApiError) as caught:
        site.patient_create(record_number="N-1", family_name="Other")
    error = caught.value
    assert (error.status, error.code) == (409, "record_number_taken")
    assert error.extra["patient"] == str(first.id)
    with pytest.raises(ApiError, match="invalid") as caught:
        site.study_create(first.id, body_part="heart")
    assert "body_part" in caught.value.fields


def test_the_same_key_has_one_effect(site):
    made = [
        site.patient_create(record_number="N-1", family_name="Example", idempotency_key="k-1")
        for _ in range(2)
    ]
    assert made[0].id == made[1].id


class Moody(HTTPServer):
    """Answers from a list, and notes what it was asked."""

    def __init__(self) -> None:
        self.answers: deque = deque()
        self.asked: list = []
        super().__init__(("127.0.0.1", 0), _Moods)


class _Moods(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        status, headers, answer = self.server.answers.popleft()
        if status == 0:  # hang up
            self.connection.close()
            return
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = _answer  # noqa: N815

    def log_message(self, *_args) -> None:
        pass


@pytest.fixture
def moody():
    server = Moody()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def patient_site(moody):
    client = FractureSite(f"http://127.0.0.1:{moody.server_port}/", "secret", attempts=3)
    client.pauses = []
    client._transport._pause = client.pauses.append
    yield client
    client.close()


PATIENT = (
    b'{"id":"6f1e2c1a-8d3b-4f0e-9a67-0d9a4f3f6a10","record_number":"1","given_name":"",'
    b'"family_name":"X","birth_date":null,"sex":"unknown","merged_into":null,'
    b'"created_at":"2026-11-20T09:30:00Z","updated_at":"2026-11-20T09:30:00Z","new_field":1}'
)


def test_a_busy_site_is_asked_again_when_it_says_so(moody, patient_site):
    later = http_date((timezone.now() + timedelta(seconds=30)).timestamp())
    moody.answers += [
        (503, {"Retry-After": "7"}, b""),
        (429, {"Retry-After": later}, b""),
        (201, {}, PATIENT),
    ]
    patient = patient_site.patient_create(record_number="1", family_name="X")

    assert patient.family_name == "X"  # a field that is new does not matter
    assert patient_site.pauses[0] == 7
    assert 20 < patient_site.pauses[1] <= 31
    keys = {headers["Idempotency-Key"] for _, _, headers, _ in moody.asked}
    assert len(keys) == 1


def test_an_upload_is_sent_whole_again_after_a_broken_line(moody, patient_site):
    moody.answers += [(0, {}, b""), (503, {}, b""), (422, {}, b'{"code": "not_an_image"}')]
    with pytest.raises(ApiError, match="not_an_image"):
        patient_site.upload("s", b"x" * 200_000, name="../Ada Example.dcm")

    bodies = [body for _, _, _, body in moody.asked]
    assert len(bodies) == 3
    assert bodies[0] == bodies[1] == bodies[2]
    assert b"x" * 200_000 in bodies[0]
    assert b'filename=".._Ada_Example.dcm"' in bodies[0]


def test_a_site_that_is_gone_is_given_up_after_the_attempts(moody, patient_site):
    moody.answers += [(0, {}, b"")] * 3
    with pytest.raises(ConnectionFailedError):
        patient_site.me()
    assert len(patient_site.pauses) == 2
    moody.answers += [(502, {}, b"<html>")] * 3
    with pytest.raises(ApiError, match="502 unknown"):
        patient_site.me()


def test_the_token_goes_to_the_site_alone(moody, patient_site):
    page = b'{"results": [], "previous": null, "next": "https://evil.example/api/v1/x/?cursor=1"}'
    moody.answers += [(200, {}, page), (200, {}, b'{"results": [], "next": null}')]
    assert list(patient_site.patients()) == []
    assert [path for _, path, _, _ in moody.asked] == ["/api/v1/patients/", "/api/v1/x/?cursor=1"]
    with pytest.raises(ValueError, match="no link"):
        patient_site.request("GET", "https://evil.example/steal")


def test_whatever_a_model_needs_is_promised_by_the_description():
    described = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
    compared = 0
    for name, schema in described["components"]["schemas"].items():
        model = getattr(models, name, None)
        if model is None or "properties" not in schema:
            continue  # newer than the package; run clients/python/generate.py to have it
        fields = model.model_fields.items()
        needed = {each.alias or key for key, each in fields if each.is_required()}
        assert needed <= set(schema.get("required", ())), f"{name}: run clients/python/generate.py"
        compared += 1
    assert compared > 40


def test_the_package_says_what_it_needs():
    text = (CLIENT / "pyproject.toml").read_text()
    assert 'license = "Apache-2.0"' in text
    assert Path(CLIENT / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
