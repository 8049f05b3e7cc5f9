"""Liveness asks nobody; readiness names what is down, quickly, and tells nothing else."""

import time
from datetime import timedelta
from threading import Event
from types import SimpleNamespace

import pytest
from django.core.files.storage import storages
from django.core.management import call_command
from django.db import DatabaseError
from django.utils import timezone

from diagnosis.models import ModelVersion
from fracture_site import health
from tests.factories import AnalysisFactory, ModelVersionFactory

pytestmark = pytest.mark.django_db(transaction=True)
PARTS = {"database", "broker", "storage", "model"}


@pytest.fixture(autouse=True)
def nothing_is_remembered(monkeypatch):
    monkeypatch.setattr(health, "TIMEOUT_S", 10)  # a busy machine is no part that is down

    def forget():
        for probe in (*health.PROBES.values(), health.QUEUE):
            probe.forget()

    forget()
    yield
    forget()


@pytest.fixture
def model():
    call_command("model_sync", verbosity=0)


def refuse() -> None:
    raise DatabaseError("FATAL: password of fracture_app is wrong at 10.0.0.7")


def broken(monkeypatch, part: str, ask=refuse) -> None:
    monkeypatch.setitem(health.PROBES, part, health.Probe(ask))


def test_liveness_asks_no_database(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        response = client.get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_everything_works(client, model):
    response = client.get("/readyz")

    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        **dict.fromkeys(PARTS, "ok"),
        "queue": "ok",
        "oldest_queued_seconds": 0,
    }
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("part", sorted(PARTS))
def test_a_part_that_is_down_is_named_and_nothing_else_is_told(client, model, monkeypatch, part):
    broken(monkeypatch, part)

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.headers["Retry-After"]
    answer = response.json()
    assert answer["status"] == "failed"
    assert {name for name in PARTS if answer[name] != "ok"} == {part}
    assert "fracture_app" not in response.content.decode()


@pytest.mark.parametrize(
    ("part", "status", "word"),
    [
        ("broker", 200, "degraded"),
        ("model", 200, "degraded"),
        ("database", 503, "failed"),
        ("storage", 503, "failed"),
    ],
)
def test_a_load_balancer_keeps_pages_whose_analyses_have_to_wait(
    client, model, monkeypatch, part, status, word
):
    broken(monkeypatch, part)

    response = client.get("/readyz?for=web")

    assert (response.status_code, response.json()["status"]) == (status, word)


def test_a_part_that_hangs_neither_blocks_nor_piles_up_threads(client, model, monkeypatch):
    monkeypatch.setattr(health, "TIMEOUT_S", 1.5)
    release, asked = Event(), []

    def hang() -> None:
        asked.append(True)
        release.wait(10)

    broken(monkeypatch, "storage", hang)
    try:
        begin = time.monotonic()
        answers = [client.get("/readyz").json() for _ in range(2)]
        took = time.monotonic() - begin
    finally:
        release.set()

    assert [answer["storage"] for answer in answers] == ["failed", "failed"]
    assert took < 2 * 2.5
    assert len(asked) == 1


def test_asking_often_asks_the_parts_once(client, model, monkeypatch):
    asked = []
    broken(monkeypatch, "storage", lambda: asked.append(True))

    for _ in range(5):
        client.get("/readyz")

    assert len(asked) <= 2  # an answer counts for a second


def test_no_registered_model_is_not_ready(client):
    assert client.get("/readyz").json()["model"] == "failed"


def test_an_active_model_whose_files_are_not_stored_is_not_ready(client):
    ModelVersionFactory(stage="active")

    assert client.get("/readyz").json()["model"] == "failed"
    assert ModelVersion.objects.count() == 1


@pytest.fixture
def folder(settings, tmp_path):
    """A folder for clinical objects that nobody else uses."""
    place = tmp_path / "media"
    storage = settings.STORAGES["clinical"] | {"OPTIONS": {"location": str(place)}}
    settings.STORAGES = settings.STORAGES | {"clinical": storage}
    return place


def test_the_store_is_asked_by_writing_and_nothing_stays(client, model, folder):
    assert client.get("/readyz").json()["storage"] == "ok"

    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_a_folder_that_is_gone_is_not_ready(client, model, folder):
    assert storages["clinical"]  # makes the folder
    folder.rmdir()

    assert client.get("/readyz").json()["storage"] == "failed"


def test_a_folder_that_cannot_be_written_is_not_ready(client, model, folder, monkeypatch):
    monkeypatch.setattr("django.core.files.storage.FileSystemStorage._save", _refuse_to_write)

    assert client.get("/readyz").json()["storage"] == "failed"


def _refuse_to_write(*_args):
    raise OSError(30, "Read-only file system")


def test_a_disk_that_is_nearly_full_is_not_ready(client, model, folder, monkeypatch):
    monkeypatch.setattr(health, "MIN_FREE_BYTES", 2**62)

    answer = client.get("/readyz?for=web")

    assert (answer.status_code, answer.json()["storage"]) == (503, "failed")


def test_a_bucket_that_takes_no_objects_is_not_ready(client, model, settings, s3_server):
    options = {"bucket_name": "gone", "endpoint_url": s3_server, "region_name": "us-east-1",
               "access_key": "test", "secret_key": "test"}  # fmt: skip
    backend = "fracture_site.common.storage_s3.PrivateS3Storage"
    settings.STORAGES = settings.STORAGES | {"clinical": {"BACKEND": backend, "OPTIONS": options}}

    assert client.get("/readyz").json()["storage"] == "failed"


def test_the_store_is_written_at_most_every_ten_seconds(client, model, folder, monkeypatch):
    written = []
    monkeypatch.setattr(
        "fracture_site.common.storage.PrivateFileStorage._save",
        lambda _self, name, _content: written.append(name) or name,
    )
    clock = [1000.0]
    probe = health.Probe(health._storage, fresh_s=health._STORAGE_FRESH_S)
    monkeypatch.setattr(health, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    for clock[0] in (1000.0, 1005.0, 1009.0, 1011.0):
        probe.start()
        assert probe.answer(deadline=clock[0] + 60) == "ok"

    assert len(written) == 2


def test_a_broker_that_is_gone_is_told(client, model):
    from celery import current_app

    current_app.conf.broker_write_url = "redis://127.0.0.1:1/0"
    try:
        response = client.get("/readyz")
    finally:
        current_app.conf.broker_write_url = None

    assert (response.status_code, response.json()["broker"]) == (503, "failed")


def test_jobs_that_wait_for_long_are_told_but_do_not_take_the_site_away(client, model):
    AnalysisFactory(due_at=timezone.now() - timedelta(minutes=5))
    AnalysisFactory(due_at=timezone.now() + timedelta(minutes=5))

    response = client.get("/readyz")

    assert response.status_code == 200, response.json()
    assert response.json()["queue"] == "late"
    assert 295 <= response.json()["oldest_queued_seconds"] <= 310
