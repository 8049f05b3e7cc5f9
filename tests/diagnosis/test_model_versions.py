"""Registering artifacts: once, never under another's name, and exactly one is active."""

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import AuditEvent
from diagnosis import inference
from diagnosis.inference import ModelIdentity
from diagnosis.models import ModelVersion
from diagnosis.services.model_versions import model_version_register
from fracture_site.common.errors import ConflictError

pytestmark = pytest.mark.django_db

FIRST = ModelIdentity(
    name="detector",
    version="1",
    sha256="a" * 64,
    preprocessing_version="p1",
    calibration_id="c1",
    threshold_suspicion=0.3,
    threshold_definite=0.7,
    metrics={"auroc": 0.9},
)
SECOND = replace(FIRST, version="2", sha256="b" * 64)


def test_registering_twice_is_one_row():
    first = model_version_register(model=FIRST, activate=True)
    again = model_version_register(model=FIRST, activate=True)

    assert first == again
    row = ModelVersion.objects.get()
    assert row.is_active
    assert row.manifest == {"metrics": {"auroc": 0.9}}
    actions = AuditEvent.objects.filter(target_id=row.pk).values_list("action", flat=True)
    assert sorted(actions) == ["model.activate", "model.register"]


@pytest.mark.parametrize(
    "change",
    [{"sha256": "c" * 64}, {"threshold_definite": 0.8}, {"calibration_id": "c2"}],
    ids=["weights", "thresholds", "calibration"],
)
def test_a_version_cannot_change_what_it_is(change):
    model_version_register(model=FIRST)

    with pytest.raises(ConflictError, match="model_version_changed"):
        model_version_register(model=replace(FIRST, **change))


def test_the_same_weights_with_other_thresholds_are_another_version():
    model_version_register(model=FIRST)

    model_version_register(model=replace(FIRST, version="1.1", threshold_definite=0.8))

    assert ModelVersion.objects.filter(sha256=FIRST.sha256).count() == 2


def test_activating_one_version_retires_the_other():
    old = model_version_register(model=FIRST, activate=True)
    new = model_version_register(model=SECOND, activate=True)
    assert ModelVersion.objects.get(is_active=True) == new

    again = model_version_register(model=FIRST, activate=True)

    assert again == old
    assert ModelVersion.objects.get(is_active=True) == old


@pytest.mark.django_db(transaction=True)
def test_workers_that_start_at_the_same_time_agree():
    barrier = Barrier(4)

    def start(_number: int):
        barrier.wait()
        try:
            return model_version_register(model=FIRST, activate=True).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(start, range(4)))) == 1
    assert ModelVersion.objects.filter(is_active=True).count() == 1


def test_the_command_registers_what_is_shipped_and_can_be_repeated():
    out = io.StringIO()
    call_command("model_sync", stdout=out)
    call_command("model_sync", stdout=out)

    row = ModelVersion.objects.get(is_active=True)
    assert row.sha256 == inference.shipped_model().sha256
    assert row.sha256[:12] in out.getvalue()


def test_the_command_says_what_is_wrong(settings, tmp_path):
    settings.ML_MODEL_DIR = tmp_path

    with pytest.raises(CommandError, match="ML_MODEL_DIR"):
        call_command("model_sync")
