"""Backup and restore: a site on an empty machine is the one that was backed up, to the byte."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, connections, transaction

from accounts.audit import audit_record
from accounts.audit_chain import chains_seal
from accounts.models import AuditEvent, User
from accounts.tenancy import clinic_scope
from diagnosis.models import Patient, ReportVersion, StudyImage
from diagnosis.services.audit_anchors import anchors_write
from diagnosis.services.backup_folder import (
    alone,
    backups,
    manifest_read,
    manifest_write,
    note_read,
    pool_path,
    table_path,
)
from diagnosis.services.backups import archive_verify, backup_take
from diagnosis.storage import KINDS, object_delete, object_list, object_put
from tests.factories import (
    MembershipFactory,
    PatientFactory,
    ReportVersionFactory,
    StudyFactory,
    StudyImageFactory,
)
from tests.support.database import empty_all_tables

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])
CHANGES = {"accounts_auditevent"}  # a backup and a restore are audited


@pytest.fixture
def use_store(settings):
    """Return what makes a folder the object store of the site."""

    def use(folder):
        backend = "fracture_site.common.storage.PrivateFileStorage"
        clinical = {"BACKEND": backend, "OPTIONS": {"location": str(folder)}}
        settings.STORAGES = settings.STORAGES | {"clinical": clinical}

    return use


@pytest.fixture
def site(use_store, tmp_path):
    """Two clinics with images, one of them with a signed report, and a trail that is anchored."""
    use_store(tmp_path / "store")
    members = [MembershipFactory(doctor=True), MembershipFactory(doctor=True)]
    for member in members:
        with clinic_scope(member.clinic_id):
            study = StudyFactory(patient=PatientFactory(clinic=member.clinic))
            StudyImageFactory(study=study, **_bytes("original_key", "sha256", b"original"),
                              **_bytes("served_key", "served_sha256", b"served"))  # fmt: skip
            audit_record(actor=member.user, action="study.open", clinic_id=member.clinic_id,
                         target=study, patient_id=study.patient_id)  # fmt: skip
    version = ReportVersionFactory(report__study=study, author=member.user)
    with clinic_scope(member.clinic_id):
        ReportVersion.objects.filter(pk=version.pk).update(
            status="signed", signed_by=member.user, signed_at=version.created_at,
            content_sha256="x", **_bytes("pdf_key", "pdf_sha256", b"%PDF"),
        )  # fmt: skip
    chains_seal()
    anchors_write()
    return members


def _bytes(key_name, sha256_name, data):
    data += PatientFactory.build().pk.bytes
    kind = {"original_key": "originals", "served_key": "served", "pdf_key": "reports"}[key_name]
    key = object_put(data=data, kind=kind, content_type="application/octet-stream")
    return {key_name: key, sha256_name: hashlib.sha256(data).hexdigest()}


@pytest.fixture
def root(tmp_path, settings):
    settings.BACKUP_ROOT = str(tmp_path / "backups")
    return tmp_path / "backups"


@pytest.fixture
def taken(site, root):
    return root / backup_take(actor=None, root=root, keep=3).name


@pytest.fixture
def empty_site(taken, use_store, tmp_path):
    """An empty machine, after the backup was taken."""
    empty_all_tables()
    use_store(tmp_path / "new")
    return taken


def test_a_restored_site_is_the_one_that_was_backed_up(site, empty_site, root, capsys):
    call_command("restore", no_progress=True)
    assert "0 flaws" in capsys.readouterr().out
    again = backup_take(actor=None, root=root, keep=3)
    before = manifest_read(empty_site)
    assert before.rows > 100
    assert [t for t in again.tables if t.name not in CHANGES] == [
        t for t in before.tables if t.name not in CHANGES
    ]
    assert again.objects == before.objects
    assert len({sha for _size, sha in before.objects.values()}) == 6  # and the heads
    for member in site:
        with clinic_scope(member.clinic_id):
            assert Patient.objects.count() == StudyImage.objects.count() == 1
    call_command("verify_archive", str(empty_site), site=True)


def test_what_guards_the_rows_guards_the_restored_ones(site, empty_site):
    call_command("restore", no_progress=True)
    assert Patient.objects.count() == 0  # no clinic, no rows
    member = site[0]
    with clinic_scope(member.clinic_id):
        audit_record(actor=None, action="study.open", clinic_id=member.clinic_id)
        with pytest.raises(DatabaseError), transaction.atomic():
            AuditEvent.objects.filter(clinic=member.clinic_id).update(action="x")
    chains_seal()
    call_command("audit_verify")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE NOT condeferrable), count(*) FROM pg_constraint "
            "WHERE contype = 'f' AND conname LIKE '%%_in_clinic'"
        )
        strict, of_clinics = cursor.fetchone()
        assert strict == of_clinics > 20
        cursor.execute("SELECT count(*) FROM pg_trigger WHERE tgenabled <> 'O'")
        assert cursor.fetchone() == (0,)


def test_rows_that_are_committed_meanwhile_are_all_in_or_all_out(site, root):
    member = site[0]

    def write() -> None:
        with clinic_scope(member.clinic_id):
            StudyFactory(patient=PatientFactory(clinic=member.clinic))
        connections.close_all()

    def meanwhile(step, done, total):
        if (step, done) == ("rows", 1):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(write).result()

    manifest = backup_take(actor=None, root=root, keep=3, tell=meanwhile)
    rows = {table.name: table.rows for table in manifest.tables}
    assert rows["diagnosis_patient"] == rows["diagnosis_study"] == 2
    assert archive_verify(actor=None, folder=root / manifest.name).flaws == []


def test_a_backup_costs_what_is_new_and_the_old_ones_go(taken, root):
    known = {path: path.stat().st_mtime_ns for path in (root / "objects").glob("*/*")}
    object_put(data=b"new", kind="originals", content_type="image/png")
    backup_take(actor=None, root=root, keep=1)
    [left] = backups(root)
    assert left != taken
    now = {path: path.stat().st_mtime_ns for path in (root / "objects").glob("*/*")}
    assert known.items() <= now.items()
    assert len(now) == len(known) + 1
    for kind in KINDS:
        for key, _written in list(object_list(kind)):
            object_delete(key)
    backup_take(actor=None, root=root, keep=1)
    assert list((root / "objects").glob("*/*")) == []


def test_two_at_once_are_one(site, root):
    with alone(root), pytest.raises(CommandError) as refused:
        call_command("backup", no_progress=True)
    assert refused.value.returncode == 3
    assert backups(root) == []


def test_a_backup_that_cannot_end_is_none_and_says_so(site, root, capsys):
    root.mkdir()
    (root / "objects").write_text("in the way")
    with pytest.raises(CommandError, match="not whole"):
        call_command("backup", no_progress=True)
    [left] = backups(root)
    assert note_read(left, "progress")["state"] == "failed"
    assert AuditEvent.objects.get(action="backup.take").outcome == "failed"
    with pytest.raises(CommandError, match="no whole backup"):
        call_command("verify_archive", str(left))


class TestDamage:
    @pytest.fixture
    def ways(self, taken, root):
        manifest = manifest_read(taken)
        table = table_path(taken, "diagnosis_patient")
        _size, sha256 = next(iter(manifest.objects.values()))
        return {"rows": table, "object": pool_path(root, sha256)}

    @pytest.mark.parametrize("what", ["rows", "object"])
    @pytest.mark.parametrize("how", ["altered", "cut", "gone"])
    def test_it_is_found_and_nothing_damaged_is_restored(self, taken, ways, what, how, request):
        path = ways[what]
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        {"altered": lambda: path.write_bytes(data), "cut": lambda: path.write_bytes(data[:9]),
         "gone": path.unlink}[how]()  # fmt: skip
        with pytest.raises(CommandError):
            call_command("verify_archive", str(taken), no_progress=True)
        request.getfixturevalue("empty_site")
        with pytest.raises(CommandError):
            call_command("restore", str(taken), no_progress=True)
        assert not User.objects.exists()

    def test_a_manifest_of_somebody_else_leads_nowhere(self, taken, root):
        text = json.loads((taken / "manifest.json").read_text())
        text["objects"] = {"originals/x": [1, "../../../etc/passwd"]}
        (taken / "manifest.json").write_text(json.dumps(text))
        with pytest.raises(CommandError, match="no whole backup"):
            call_command("restore", str(taken), no_progress=True)


class TestRefusals:
    def test_a_site_with_people(self, taken):
        with pytest.raises(CommandError, match="people or clinics already"):
            call_command("restore", no_progress=True)

    def test_a_store_with_objects(self, taken):
        empty_all_tables()
        with pytest.raises(CommandError, match="object store of this site is not empty"):
            call_command("restore", no_progress=True)

    def test_another_key_unless_it_is_wanted(self, empty_site, settings):
        settings.SECRET_KEY = "another"
        with pytest.raises(CommandError, match="another SECRET_KEY"):
            call_command("restore", no_progress=True)
        call_command("restore", no_progress=True, other_key=True)
        assert User.objects.exists()

    def test_another_release(self, empty_site):
        manifest = manifest_read(empty_site)
        manifest_write(empty_site, replace(manifest, migrations=manifest.migrations[:-1]))
        with pytest.raises(CommandError, match="another release"):
            call_command("restore", no_progress=True)
        assert not User.objects.exists()
