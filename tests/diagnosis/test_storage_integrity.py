"""Stored bytes are read again: damage is found, named by ids, and each object gets its turn."""

import hashlib
import io
import logging
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.tenancy import clinic_scope
from diagnosis.housekeeping import verify_objects
from diagnosis.models import ReportVersion, StudyImage
from diagnosis.services import integrity
from diagnosis.services.integrity import objects_count, objects_stored, objects_verify, share_of
from diagnosis.storage import StorageError, object_delete, object_put
from fracture_site.common.logs import JsonFormatter
from tests.factories import ReportVersionFactory, StudyImageFactory

pytestmark = pytest.mark.django_db
TODAY = 7


def stored(kind: str, data: bytes) -> tuple[str, str]:
    key = object_put(data=data, kind=kind, content_type="application/octet-stream")
    return key, hashlib.sha256(data).hexdigest()


def image_with_bytes(**values) -> StudyImage:
    original, served = stored("originals", b"original"), stored("served", b"served")
    return StudyImageFactory(
        original_key=original[0],
        sha256=original[1],
        served_key=served[0],
        served_sha256=served[1],
        **values,
    )


def signed_report() -> ReportVersion:
    version = ReportVersionFactory()
    key, digest = stored("reports", b"%PDF")
    with clinic_scope(version.clinic_id):
        ReportVersion.objects.filter(pk=version.pk).update(
            status="signed",
            signed_by=version.author,
            signed_at=timezone.now(),
            content_sha256="x",
            pdf_key=key,
            pdf_sha256=digest,
        )
        return ReportVersion.objects.get(pk=version.pk)


@pytest.fixture(autouse=True)
def media(tmp_path, settings):
    backend = "fracture_site.common.storage.PrivateFileStorage"
    clinical = {"BACKEND": backend, "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = settings.STORAGES | {"clinical": clinical}
    return tmp_path


def damage_events(clinic_id):
    with clinic_scope(clinic_id):
        return list(AuditEvent.objects.filter(action="object.damaged"))


def verify_command(*arguments):
    output = io.StringIO()
    call_command("verify_objects", "--no-progress", *arguments, stdout=output)
    return output.getvalue()


def test_whole_objects_of_all_clinics_are_read_and_nothing_is_recorded():
    rows = [image_with_bytes(), image_with_bytes(), signed_report()]

    assert "5 objects read, 0 damaged" in verify_command("--all")

    assert [damage_events(row.clinic_id) for row in rows] == [[], [], []]


@pytest.mark.parametrize(("kind", "key"), [("original", "original_key"), ("served", "served_key")])
def test_altered_bytes_are_found_told_and_recorded_by_ids_alone(media, caplog, kind, key):
    image, other = image_with_bytes(), image_with_bytes()
    (media / getattr(image, key)).write_bytes(b"bit rot")

    with pytest.raises(CommandError) as stop, caplog.at_level(logging.ERROR):
        verify_command("--all")

    assert stop.value.returncode == 1
    [event] = damage_events(image.clinic_id)
    assert event.details == {"object": kind, "reason": "altered"}
    assert (event.target_id, event.patient_id) == (image.pk, image.study.patient_id)
    assert (event.actor, event.outcome) == (None, "failed")
    assert damage_events(other.clinic_id) == []
    [line] = [JsonFormatter().format(r) for r in caplog.records if r.levelname == "ERROR"]
    assert "object_altered" in line
    assert str(image.pk) in line
    assert getattr(image, key) not in line


def test_a_missing_pdf_is_damage_and_the_others_are_still_read():
    version, image = signed_report(), image_with_bytes()
    object_delete(version.pdf_key)

    assert objects_verify(objects_stored()) == (3, 1)

    [event] = damage_events(version.clinic_id)
    assert event.details == {"object": "report", "reason": "missing"}
    assert event.target_id == version.pk
    assert damage_events(image.clinic_id) == []


def test_an_object_that_its_row_does_not_name_any_more_is_no_damage():
    image = image_with_bytes()
    before = list(objects_stored())
    replacement = stored("served", b"other")
    object_delete(image.served_key)
    with clinic_scope(image.clinic_id):
        StudyImage.objects.update(served_key=replacement[0], served_sha256=replacement[1])

    assert objects_verify(before) == (2, 0)
    assert damage_events(image.clinic_id) == []


def test_a_store_that_does_not_answer_is_no_damage(monkeypatch):
    image = image_with_bytes()

    def refuse(_key):
        raise StorageError("the object store does not answer")

    monkeypatch.setattr(integrity, "object_read", refuse)

    with pytest.raises(CommandError) as stop:
        verify_command("--all")
    assert stop.value.returncode == 2
    verify_objects()  # the nightly task ends and says so in the log
    assert damage_events(image.clinic_id) == []


def test_each_object_has_its_turn_exactly_once_in_a_rotation():
    ids = [UUID(int=uuid4().int >> 8 << 8 | byte) for byte in (0, 31, 32, 100, 255)]
    for pk in ids:
        image_with_bytes(id=pk)

    turns = [
        entry.row_id
        for share in range(integrity.ROTATION_DAYS)
        for entry in objects_stored(share=share)
        if entry.kind.name == "original"
    ]

    assert sorted(turns) == sorted(ids)
    assert objects_count() == 10


def test_days_that_follow_each_other_have_different_shares():
    first = timezone.now().date()
    days = [first + timedelta(days=n) for n in range(integrity.ROTATION_DAYS)]

    assert len({share_of(day) for day in days}) == integrity.ROTATION_DAYS


def test_the_nightly_task_reads_the_share_of_the_day_alone(media, monkeypatch):
    last = UUID(int=uuid4().int >> 8 << 8 | TODAY)
    next_night = UUID(int=uuid4().int >> 8 << 8 | (TODAY + 1))
    today, tomorrow = image_with_bytes(id=last), image_with_bytes(id=next_night)
    for image in (today, tomorrow):
        (media / image.served_key).unlink()
    monkeypatch.setattr("diagnosis.housekeeping.share_of", lambda _day: TODAY)

    verify_objects()

    assert len(damage_events(today.clinic_id)) == 1
    assert damage_events(tomorrow.clinic_id) == []


def test_a_dry_run_reads_nothing(monkeypatch):
    image = image_with_bytes()
    object_delete(image.original_key)

    assert "2 objects would be read" in verify_command("--all", "--dry-run")
    assert damage_events(image.clinic_id) == []
