"""The page of backups: for administrators of the site alone, who prove to be there."""

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent
from diagnosis.services.backup_folder import Manifest, manifest_write, note_write
from tests.factories import PASSWORD, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db
PAGE = reverse("diagnosis:backups")


@pytest.fixture
def keeper(client):
    user = UserFactory(is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


@pytest.fixture
def root(tmp_path, settings):
    settings.BACKUP_ROOT = str(tmp_path)
    return tmp_path


@pytest.fixture
def whole(root):
    folder = root / "20261120T002300000000Z"
    folder.mkdir()
    manifest = Manifest(folder.name, "2026-11-20T00:23:00+00:00", "", [], [], {}, {"x": (5, "ab")})
    manifest_write(folder, manifest)
    return folder


def waiting_tasks(redis):
    return [message.decode() for message in redis.lrange("celery", 0, -1)]


@pytest.mark.parametrize(
    "person",
    [
        lambda: MembershipFactory(roles=["clinic_admin", "doctor"]).user,
        lambda: UserFactory(is_staff=True),
        lambda: UserFactory(is_superuser=True),
    ],
    ids=["clinic administrator", "staff without rights", "superuser who is no staff"],
)
def test_nobody_else_gets_in(client, person, root):
    client.force_login(person())
    assert client.get(PAGE).status_code == 403
    for name in ("backup-take", "backup-check"):
        answer = client.post(reverse(f"diagnosis:{name}"), {"password": PASSWORD})
        assert answer.status_code == 403
    assert not AuditEvent.objects.filter(action__startswith="backup.").exists()


def test_without_a_folder_it_says_what_to_set(client, keeper, settings, redis):
    settings.BACKUP_ROOT = ""
    assert b"BACKUP_ROOT" in client.get(PAGE).content
    answer = client.post(reverse("diagnosis:backup-take"), {"password": PASSWORD}, follow=True)
    assert b"Set BACKUP_ROOT first" in answer.content
    assert waiting_tasks(redis) == []


def test_a_backup_is_asked_for_once_the_person_proved_to_be_there(client, keeper, root, redis):
    take = reverse("diagnosis:backup-take")
    client.post(take, {"password": "wrong"})
    assert waiting_tasks(redis) == []
    client.post(take, {"password": PASSWORD})
    [task] = waiting_tasks(redis)
    assert "diagnosis.tasks.take_backup" in task
    assert AuditEvent.objects.get(action="backup.order").actor == keeper


def test_it_shows_what_there_is_and_how_far_the_next_one_is(client, keeper, whole, root):
    running = root / "20261120T120000000000Z"
    running.mkdir()
    note_write(running, "progress", at=timezone.now().isoformat(), state="running",
               step="objects", done=30, total=120)  # fmt: skip
    page = client.get(PAGE).content.decode()
    assert page.index(running.name) < page.index(whole.name)
    assert 'value="25"' in page
    assert "every 2s" in page
    note_write(running, "progress", at="2026-11-20T12:00:01+00:00", state="running")  # was killed
    note_write(whole, "verified", at="2026-11-20T08:00:00+00:00", flaws=2)
    part = client.get(PAGE, headers={"HX-Request": "true"}).content.decode()
    assert "Not whole" in part
    assert "2 flaws" in part
    assert "every 2s" not in part


def test_a_check_names_a_backup_that_exists(client, keeper, whole, redis):
    check = reverse("diagnosis:backup-check")
    answer = client.post(check, {"password": PASSWORD, "name": "../../etc"}, follow=True)
    assert b"does not exist any more" in answer.content
    assert waiting_tasks(redis) == []
    client.post(check, {"password": PASSWORD, "name": whole.name})
    [task] = waiting_tasks(redis)
    assert "diagnosis.tasks.verify_backup" in task
