"""What beat starts by itself: known tasks that expire, safe to repeat, for all clinics."""

from datetime import timedelta

import pytest
from celery import current_app
from django.conf import settings
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.tenancy import clinic_scope
from diagnosis.housekeeping import collect_orphans, expire_idempotency
from diagnosis.models import IdempotencyRecord
from diagnosis.storage import StorageError
from tests.factories import MembershipFactory

pytestmark = pytest.mark.django_db


def answer_of(member, *, age: timedelta) -> None:
    with clinic_scope(member.clinic_id):
        row = IdempotencyRecord.objects.create(
            clinic=member.clinic,
            user_id=member.user_id,
            key=str(age),
            status_code=201,
            body={"family_name": "Example"},
        )
        IdempotencyRecord.objects.filter(pk=row.pk).update(created_at=timezone.now() - age)


def test_everything_in_the_schedule_is_a_task_and_none_piles_up():
    for name, entry in settings.CELERY_BEAT_SCHEDULE.items():
        assert entry["task"] in current_app.tasks, name
        assert entry["options"]["expires"] > 0, name


def test_housekeeping_that_takes_long_is_not_delivered_twice():
    for name in ("collect_orphans", "verify_objects", "expire_idempotency"):
        task = current_app.tasks[f"diagnosis.tasks.{name}"]
        assert task.acks_late is False


def test_old_answers_of_every_clinic_go_although_nobody_posts():
    members = [MembershipFactory(), MembershipFactory()]
    members[1].clinic.is_active = False
    members[1].clinic.save()
    for member in members:
        answer_of(member, age=timedelta(hours=25))
        answer_of(member, age=timedelta(hours=23))

    expire_idempotency()
    expire_idempotency()

    for member in members:
        with clinic_scope(member.clinic_id):
            assert [row.key for row in IdempotencyRecord.objects.all()] == ["23:00:00"]


def test_orphans_are_deleted_and_the_second_run_finds_none(monkeypatch):
    found, deleted = [["served/a", "served/b"], []], []
    monkeypatch.setattr("diagnosis.housekeeping.orphans_find", lambda: found.pop(0))
    monkeypatch.setattr("diagnosis.services.orphans.object_delete", deleted.append)

    collect_orphans()
    collect_orphans()

    assert deleted == ["served/a", "served/b"]
    event = AuditEvent.objects.get(action="storage.collect")
    assert event.details == {"count": 2}


def test_a_store_that_is_away_leaves_orphans_to_the_next_night(monkeypatch, caplog):
    def refuse():
        raise StorageError("the object store does not answer")

    monkeypatch.setattr("diagnosis.housekeeping.orphans_find", refuse)

    collect_orphans()

    assert [record.code for record in caplog.records] == ["storage"]
