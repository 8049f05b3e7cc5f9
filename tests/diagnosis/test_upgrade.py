"""The command that brings a site's data to this release; the whole way is `make upgrade-drill`."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from accounts.tenancy import clinic_scope
from diagnosis.models import Study
from tests.factories import ReportVersionFactory, StudyFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


@pytest.fixture
def site(tmp_path, settings):
    """A site with rows of its own and no objects, so that a backup takes a moment."""
    options = {"location": str(tmp_path / "media")}
    clinical = {"BACKEND": "fracture_site.common.storage.PrivateFileStorage", "OPTIONS": options}
    settings.STORAGES = settings.STORAGES | {"clinical": clinical}
    settings.ML_CACHE_DIR = tmp_path / "cache"
    settings.STATIC_ROOT = tmp_path / "static"
    settings.BACKUP_ROOT = str(tmp_path / "backups")
    settings.SILENCED_SYSTEM_CHECKS = ["async.E001"]  # browser tests of the same process ask for it
    ReportVersionFactory()
    return tmp_path


def upgrade(**options) -> str:
    said = StringIO()
    call_command("upgrade", stdout=said, **options)
    return said.getvalue()


def test_a_dry_run_says_what_is_to_be_done_and_does_nothing(site):
    assert upgrade(dry_run=True).startswith("0 migrations to apply: none")
    assert not (site / "backups").exists()


def test_an_upgrade_backs_up_first_checks_last_and_says_how_to_go_back(site):
    said = upgrade()

    (told,) = (site / "backups").glob("*/manifest.json")
    backup, manifest = told.parent, json.loads(told.read_text())
    kept = {table["name"]: table["rows"] for table in manifest["tables"]}
    assert kept["diagnosis_study"] == 1
    assert [line.partition(":")[0] for line in said.splitlines() if ": done in" in line] == [
        "backup", "migrate", "static files", "model", "check",
    ]  # fmt: skip
    assert f"restore {backup}" in said
    assert (site / "static" / "css").is_dir()


def test_rows_that_went_away_meanwhile_are_named(site, monkeypatch):
    study = StudyFactory()

    def lose_one(*_args, **_options):
        with clinic_scope(study.clinic_id):
            Study.objects.filter(pk=study.pk).delete()

    def without_model(name, *args, **options):
        return lose_one() if name == "model_sync" else call_command(name, *args, **options)

    monkeypatch.setattr("diagnosis.management.commands.upgrade.call_command", without_model)

    with pytest.raises(CommandError, match=r"diagnosis_study \(2 rows, now 1\)"):
        upgrade()


def test_the_database_of_a_newer_release_is_left_alone(site):
    with connections["owner"].cursor() as owner:
        owner.execute(
            "INSERT INTO django_migrations (app, name, applied) "
            "VALUES ('diagnosis', '9999_of_tomorrow', now())"
        )
    try:
        with pytest.raises(CommandError, match="newer release"):
            upgrade()
    finally:
        with connections["owner"].cursor() as owner:
            owner.execute("DELETE FROM django_migrations WHERE name = '9999_of_tomorrow'")
    assert not (site / "backups").exists()


def test_without_a_place_for_the_backup_nothing_is_done(site, settings):
    settings.BACKUP_ROOT = ""

    with pytest.raises(CommandError, match="Where may the backup go"):
        upgrade()
