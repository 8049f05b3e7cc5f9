"""Registering artifacts: once, never under another's name, with files that every host can fetch."""

import hashlib
import io
import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import AuditEvent
from diagnosis import storage
from diagnosis.inference import ModelArtifactError, read_package, shipped_model
from diagnosis.models import ModelVersion
from diagnosis.services.model_files import model_files_stored, model_folder, model_usable
from diagnosis.services.model_stages import shipped_sync
from diagnosis.services.model_versions import model_register, shipped_register
from fracture_site.common.errors import ConflictError, RefusedInputError
from tests.support import models

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def private_store(settings, tmp_path):
    """Keep the files of these tests apart: some are destroyed on purpose."""
    settings.ML_CACHE_DIR = tmp_path / "cache"
    entry = settings.STORAGES["clinical"] | {"OPTIONS": {"location": str(tmp_path / "store")}}
    settings.STORAGES = settings.STORAGES | {"clinical": entry}
    return tmp_path / "store"


@pytest.fixture
def package(tmp_path):
    def build(**changes):
        folder = tmp_path / f"model-{len(list(tmp_path.iterdir()))}"
        return read_package(models.model_folder(folder, **changes))

    return build


def test_registering_twice_is_one_row_and_uses_nothing(package):
    made = package(version="9")

    assert model_register(package=made, card="# Card") == model_register(package=made)

    row = ModelVersion.objects.get()
    assert (row.stage, row.is_active, row.card) == ("registered", False, "# Card")
    assert row.manifest["metrics"]["auroc"]["n"] == 608
    assert set(row.modalities) == {"CR", "DX", "SC", "RG", "photo"}
    actions = AuditEvent.objects.filter(target_id=row.pk).values_list("action", flat=True)
    assert list(actions) == ["model.register"]


@pytest.mark.parametrize(
    "change",
    [
        {"thresholds": {"suspicion": 0.1, "definite": 0.9}},
        {"map_weight": 0.5},
        {"coverage": {"modalities": ["CT"]}},
    ],
    ids=["thresholds", "how evidence is added", "coverage"],
)
def test_a_version_cannot_change_what_it_is(package, change):
    model_register(package=package())

    with pytest.raises(ConflictError, match="model_version_changed"):
        model_register(package=package(**change))


def test_figures_may_be_written_anew(package):
    model_register(package=package())

    model_register(package=package(metrics={}))

    assert ModelVersion.objects.count() == 1


def test_the_same_weights_with_other_thresholds_are_another_version(package):
    one = model_register(package=package())
    other = {"version": "1.1", "thresholds": {"suspicion": 0.1, "definite": 0.9}}
    model_register(package=package(**other))

    assert ModelVersion.objects.filter(sha256=one.sha256).count() == 2


@pytest.mark.parametrize(
    "coverage",
    [
        {"modalities": "CR"},
        {"modalities": ["cr"]},
        {"modalities": ["CR"], "body_regions": ["skull"]},
        {"modalities": ["CR"], "age_years": {"min": 18, "max": 2}},
        {"modalities": ["CR"], "age_years": {"min": True}},
        {"modalities": ["CR"], "patients": ["all"]},
        ["CR"],
    ],
)
def test_a_coverage_that_cannot_be_read_is_refused(package, coverage):
    with pytest.raises(RefusedInputError, match="model_coverage_invalid"):
        model_register(package=package(coverage=coverage))
    assert not ModelVersion.objects.exists()


def test_another_host_fetches_the_files_and_checks_them(package, settings, tmp_path):
    row = model_register(package=package())
    settings.ML_CACHE_DIR = tmp_path / "another host"

    folder = model_folder(row)

    assert read_package(folder).identity.sha256 == row.sha256
    assert folder.parent.stat().st_mode & 0o077 == 0
    assert model_folder(row) == folder
    assert [path.name for path in folder.parent.iterdir()] == [str(row.pk)]


def test_processes_of_a_new_host_that_fetch_at_once_end_with_one_whole_folder(
    package, settings, tmp_path
):
    row = model_register(package=package())
    settings.ML_CACHE_DIR = tmp_path / "new host"
    barrier = Barrier(6)

    def fetch(_number: int):
        barrier.wait()
        return model_folder(row)

    with ThreadPoolExecutor(6) as pool:
        (folder,) = set(pool.map(fetch, range(6)))

    assert read_package(folder).identity.sha256 == row.sha256
    assert [path.name for path in folder.parent.iterdir()] == [str(row.pk)]  # nothing half built


def test_the_files_are_fetched_from_a_bucket(package, settings, s3_server):
    import boto3

    keys = {"access_key": "test", "secret_key": "test", "endpoint_url": s3_server}
    options = {"bucket_name": "models", "region_name": "eu-central-1", "file_overwrite": False}
    boto3.client(
        "s3",
        region_name="eu-central-1",
        endpoint_url=s3_server,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    ).create_bucket(
        Bucket="models", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    settings.STORAGES = settings.STORAGES | {
        "clinical": {
            "BACKEND": "fracture_site.common.storage_s3.PrivateS3Storage",
            "OPTIONS": options | keys,
        }
    }

    row = model_register(package=package())

    assert model_files_stored(row)
    assert read_package(model_folder(row)).identity.sha256 == row.sha256


def test_every_file_that_the_manifest_names_travels_along(package, tmp_path):
    folder = tmp_path / "with a gate"
    models.model_folder(folder)
    (folder / "more.npz").write_bytes(b"thresholds")
    manifest = json.loads((folder / "manifest.json").read_text())
    sha256 = hashlib.sha256(b"thresholds").hexdigest()
    manifest |= {"version": "7", "more": {"file": "more.npz", "sha256": sha256}}
    (folder / "manifest.json").write_text(json.dumps(manifest))

    row = model_register(package=read_package(folder))

    assert (model_folder(row) / "more.npz").read_bytes() == b"thresholds"
    names = {path.name for path in model_folder(row).iterdir()}
    assert names == {path.name for path in folder.iterdir()} - {"MODEL_CARD.md"}


def test_stored_files_with_a_wrong_hash_never_reach_a_worker(package, private_store):
    row = model_register(package=package())
    stored = private_store / storage.artifact_key(row.sha256)
    stored.write_bytes(stored.read_bytes()[:-1] + b"!")

    with pytest.raises(ModelArtifactError, match="wrong sha256"):
        model_folder(row)
    assert model_usable(row) is False


def test_a_damaged_folder_on_a_host_is_fetched_again(package):
    row = model_register(package=package())
    folder = model_folder(row)
    next(folder.glob("*.onnx")).write_bytes(b"another file")

    assert model_usable(row) is False
    assert model_usable(row) is True


def test_a_row_that_disagrees_with_its_manifest_is_not_loaded(package):
    row = model_register(package=package())
    ModelVersion.objects.update(threshold_definite=0.99)

    with pytest.raises(ModelArtifactError, match="threshold_definite"):
        model_folder(ModelVersion.objects.get(pk=row.pk))


def test_storing_the_same_file_twice_is_one_object(private_store):
    for _ in range(2):
        storage.artifact_put(b"weights")

    assert len([path for path in private_store.rglob("*") if path.is_file()]) == 1


@pytest.mark.django_db(transaction=True)
def test_workers_that_start_at_the_same_time_agree():
    barrier = Barrier(4)

    def start(_number: int):
        barrier.wait()
        try:
            return shipped_sync().pk
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(start, range(4)))) == 1
    assert ModelVersion.objects.filter(stage="active").count() == 1


def test_the_command_registers_what_is_shipped_and_can_be_repeated():
    out = io.StringIO()
    call_command("model_sync", stdout=out)
    call_command("model_sync", stdout=out)

    row = ModelVersion.objects.get(stage="active")
    assert row.sha256 == shipped_model().sha256
    assert row.card.startswith("#")
    assert row.sha256[:12] in out.getvalue()


def test_an_upgrade_of_the_software_changes_no_model_in_use(settings, tmp_path):
    call_command("model_sync", verbosity=0)
    settings.ML_MODEL_DIR = models.model_folder(tmp_path / "newer", version="99")
    out = io.StringIO()

    call_command("model_sync", stdout=out)

    assert "another one is active" in out.getvalue()
    assert ModelVersion.objects.get(stage="active").version != "99"
    call_command("model_sync", "--activate", verbosity=0)
    assert ModelVersion.objects.get(stage="active").version == "99"


def test_a_row_of_before_files_were_stored_gets_them():
    row = shipped_register()
    ModelVersion.objects.update(manifest={"metrics": {}}, stage="active", card="")

    assert shipped_sync().pk == row.pk

    assert model_usable(ModelVersion.objects.get())


def test_the_command_says_what_is_wrong(settings, tmp_path):
    settings.ML_MODEL_DIR = tmp_path

    with pytest.raises(CommandError, match="ML_MODEL_DIR"):
        call_command("model_sync")


def test_a_manifest_never_names_a_file_outside_of_its_folder(package, tmp_path):
    row = model_register(package=package())
    manifest = json.loads(json.dumps(row.manifest)) | {"file": "../../escaped.onnx"}
    ModelVersion.objects.update(manifest=manifest)

    with pytest.raises(ModelArtifactError):
        model_folder(ModelVersion.objects.get())
    assert not (tmp_path / "escaped.onnx").exists()
