"""Shadow, active, back: overlap is refused, reasons are needed, stale hands get nothing."""

import io
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.contrib.auth.models import Permission
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from accounts.models import AuditEvent
from diagnosis.models import ModelChange, ModelVersion
from diagnosis.services.model_registry import model_revision
from diagnosis.services.model_stages import (
    model_activate,
    model_rollback,
    model_shadow,
)
from fracture_site.common.errors import ConflictError, RefusedInputError
from tests.factories import ModelVersionFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def stored(monkeypatch):
    """Take the files of these rows for stored; ``test_model_versions`` stores real ones."""
    monkeypatch.setattr("diagnosis.services.model_stages.model_files_stored", lambda _row: True)


def active() -> set[str]:
    return {str(row) for row in ModelVersion.objects.filter(stage="active")}


def activate(row, **options):
    return model_activate(actor=None, version=row, reason="better", **options)


def test_a_newer_version_of_the_same_model_takes_over_and_is_logged():
    old = ModelVersionFactory(name="m", version="1", stage="active")
    new = ModelVersionFactory(name="m", version="2")

    activate(new)

    assert active() == {"m 2"}
    change = ModelChange.objects.get()
    assert (change.kind, change.reason, change.replaced) == ("activate", "better", [old.pk])
    event = AuditEvent.objects.get(action="model.activate")
    assert (event.target_id, event.details) == (new.pk, {"replaced": [str(old.pk)]})


def test_another_model_for_the_same_images_is_refused_until_it_is_meant_to_replace():
    ModelVersionFactory(name="m", version="1", stage="active")
    other = ModelVersionFactory(name="other", version="1", modalities=["CR"])

    with pytest.raises(ConflictError, match="model_coverage_overlaps"):
        activate(other)
    assert active() == {"m 1"}

    activate(other, replace=True)
    assert active() == {"other 1"}


def test_models_for_other_images_are_active_side_by_side():
    ModelVersionFactory(name="m", version="1", stage="active")
    activate(ModelVersionFactory(name="ct", version="1", modalities=["CT"]))

    assert active() == {"m 1", "ct 1"}


def test_a_version_that_covers_other_images_than_its_predecessor_still_takes_over():
    ModelVersionFactory(name="m", version="1", stage="active", modalities=["CR"])
    activate(ModelVersionFactory(name="m", version="2", modalities=["CT"]))

    assert active() == {"m 2"}


def test_roll_back_undoes_the_newest_activation_and_then_the_one_before():
    one = ModelVersionFactory(name="m", version="1", stage="active")
    two, three = (ModelVersionFactory(name="m", version=v) for v in "23")
    activate(two)
    activate(three)

    assert model_rollback(actor=None, reason="worse") == [two]
    assert active() == {"m 2"}
    assert model_rollback(actor=None, reason="worse") == [one]
    assert active() == {"m 1"}
    with pytest.raises(ConflictError, match="model_nothing_to_roll_back"):
        model_rollback(actor=None, reason="worse")


def test_roll_back_brings_back_all_that_were_replaced():
    for name, part in (("hands", "hand"), ("feet", "foot")):
        ModelVersionFactory(name=name, version="1", stage="active", body_regions=[part])
    activate(ModelVersionFactory(name="all", version="1"), replace=True)
    assert active() == {"all 1"}

    model_rollback(actor=None, reason="worse")

    assert active() == {"hands 1", "feet 1"}


def test_a_recalled_version_never_comes_back():
    from django.utils import timezone

    old = ModelVersionFactory(name="m", version="1", stage="active")
    activate(ModelVersionFactory(name="m", version="2"))
    ModelVersion.objects.filter(pk=old.pk).update(recalled_at=timezone.now())

    for call in (
        lambda: model_rollback(actor=None, reason="worse"),
        lambda: activate(old),
        lambda: model_shadow(actor=None, version=old, on=True, reason="try"),
    ):
        with pytest.raises(ConflictError, match="model_recalled"):
            call()
    assert active() == {"m 2"}


def test_shadow_starts_and_ends():
    row = ModelVersionFactory()
    assert model_shadow(actor=None, version=row, on=True, reason="try").stage == "shadow"
    with pytest.raises(ConflictError, match="model_stage_unchanged"):
        model_shadow(actor=None, version=row, on=True, reason="try")

    assert model_shadow(actor=None, version=row, on=False, reason="done").stage == "registered"


def test_the_active_version_is_no_shadow():
    row = ModelVersionFactory(stage="active")

    with pytest.raises(ConflictError, match="model_is_active"):
        model_shadow(actor=None, version=row, on=True, reason="try")


def test_without_a_reason_nothing_changes():
    row = ModelVersionFactory()

    with pytest.raises(RefusedInputError, match="reason_required"):
        model_activate(actor=None, version=row, reason="  \n ")
    assert active() == set()


def test_files_that_are_not_stored_are_not_activated(monkeypatch):
    monkeypatch.setattr("diagnosis.services.model_stages.model_files_stored", lambda _row: False)

    with pytest.raises(RefusedInputError, match="model_artifact_missing"):
        activate(ModelVersionFactory())


def test_a_decision_on_an_older_state_is_refused():
    seen = model_revision()
    one, two = ModelVersionFactory(name="a"), ModelVersionFactory(name="b", modalities=["CT"])
    activate(one, revision=seen)

    with pytest.raises(ConflictError, match="model_registry_changed"):
        activate(two, revision=seen)


def test_only_staff_with_the_right_changes_models():
    row = ModelVersionFactory()
    right = Permission.objects.get(codename="change_modelversion")
    nobody, member, staff = UserFactory(), UserFactory(), UserFactory(is_staff=True)
    member.user_permissions.add(right)

    for actor in (nobody, member, staff):
        with pytest.raises(PermissionDenied):
            model_activate(actor=actor, version=row, reason="mine")
    staff.user_permissions.add(right)
    operator = type(staff).objects.get(pk=staff.pk)
    model_activate(actor=operator, version=row, reason="mine")

    assert AuditEvent.objects.get(action="model.activate").actor == operator


@pytest.mark.django_db(transaction=True)
def test_two_rivals_that_are_activated_at_the_same_time_are_not_both_active():
    rivals = [ModelVersionFactory(name=name) for name in "ab"]
    barrier = Barrier(2)

    def race(row):
        barrier.wait()
        try:
            activate(row)
        except ConflictError as error:
            return error.code
        finally:
            connection.close()
        return "active"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(race, rivals)) == ["active", "model_coverage_overlaps"]
    assert len(active()) == 1


@pytest.mark.parametrize("change", [{"reason": "another"}, None], ids=["update", "delete"])
def test_the_log_of_changes_is_append_only(change):
    activate(ModelVersionFactory())
    rows = ModelChange.objects.all()

    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        rows.update(**change) if change else rows.delete()


def test_the_commands():
    out = io.StringIO()
    old = ModelVersionFactory(name="m", version="1", stage="active")
    ModelVersionFactory(name="m", version="2", age_min=16, body_regions=["hand"])

    call_command("model_shadow", "m", "2", "--reason", "try", stdout=out)
    call_command("model_activate", "m", "2", "--reason", "better", stdout=out)
    call_command("model_list", stdout=out)
    call_command("model_rollback", "--reason", "worse", stdout=out)

    said = out.getvalue()
    assert "in shadow: m 2" in said
    assert "active     m                              2" in said
    assert "hand; 16- years" in said
    assert said.endswith("active again: m 1\n")
    assert active() == {str(old)}
    with pytest.raises(CommandError, match="No model m 3"):
        call_command("model_activate", "m", "3", "--reason", "better")
    with pytest.raises(CommandError, match="model_is_active"):
        call_command("model_activate", "m", "1", "--reason", "better")
