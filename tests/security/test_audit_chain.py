# ruff: noqa: S608 - the names in these statements are ours
"""The audit trail as chains: sealed in order, vouched for outside, checked by a command."""

from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from accounts.audit import audit_record
from accounts.audit_chain import chain_seal, chains_seal, chains_waiting
from accounts.models import AuditEvent
from accounts.tenancy import clinic_scope
from diagnosis.services.audit_anchors import anchors_write, trail_verify
from diagnosis.storage import object_delete, object_list
from tests.factories import MembershipFactory

pytestmark = pytest.mark.django_db
TABLE = "accounts_auditevent"


@pytest.fixture(autouse=True)
def no_heads():
    """Forget the heads of other tests."""
    for key, _written in list(object_list("anchors")):
        object_delete(key)


def write(member, count=1, **details):
    with clinic_scope(member.clinic_id):
        return [
            audit_record(
                actor=member.user,
                action="study.open",
                clinic_id=member.clinic_id,
                target=member.clinic,
                patient_id=uuid4(),
                number=number,
                **details,
            )
            for number in range(count)
        ]


def found(clinic_id=None):
    [entry] = trail_verify(clinic_id=clinic_id, all_chains=False)
    return entry.report


@pytest.fixture
def member():
    return MembershipFactory(doctor=True)


class TestSealing:
    def test_each_clinic_has_a_chain_of_its_own_and_so_has_the_site(self, member):
        other = MembershipFactory(doctor=True)
        write(member, 3), write(other, 2)
        audit_record(actor=None, action="auth.sign_in", clinic_id=None)
        assert set(chains_waiting()) >= {member.clinic_id, other.clinic_id, None}
        chains_seal()
        for scope, count in ((member.clinic_id, 3), (other.clinic_id, 2)):
            with clinic_scope(scope):
                places = AuditEvent.objects.filter(clinic_id=scope).values_list("place", flat=True)
                assert sorted(places) == list(range(1, count + 1))
        assert chains_waiting() == []
        assert all(entry.report.flaw is None for entry in trail_verify())

    def test_numbers_texts_and_nothing_survive_the_database(self, member):
        write(member, numbers=[1.0, 1e20, -0.0, 1e-7, 0.1, 12345678901234567890], text="“é\t𝄞\\")
        write(member, none=None, deep={"b": [True, {"a": 2.50}], "a": ""})
        assert chains_seal() >= 2
        assert found(member.clinic_id).flaw is None

    def test_what_is_sealed_and_what_is_not_both_refuse_a_change(self, member):
        write(member, 2)
        for change in ("action = 'x'", "details = '{}'", "id = id + 1000", "place = NULL"):
            with clinic_scope(member.clinic_id), pytest.raises(DatabaseError), transaction.atomic():
                _sql(f"UPDATE {TABLE} SET {change}")
        chains_seal()
        with clinic_scope(member.clinic_id), pytest.raises(DatabaseError), transaction.atomic():
            _sql(f"UPDATE {TABLE} SET place = place + 10, digest = digest")

    def test_nobody_inserts_an_event_that_has_a_place(self, member):
        [event] = write(member)
        event.pk, event.place, event.digest, event._state.adding = None, 7, b"x", True
        with clinic_scope(member.clinic_id), pytest.raises(DatabaseError), transaction.atomic():
            event.save(force_insert=True)

    def test_a_former_key_still_proves_what_waited_while_keys_were_changed(self, member, settings):
        write(member)
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another-key"
        write(member)
        chains_seal()
        report = found(member.clinic_id)
        assert (report.sealed, report.flaw) == (2, None)

    def test_events_of_before_there_were_proofs_are_sealed_by_the_migration(self, member):
        with clinic_scope(member.clinic_id):
            for _ in range(3):
                AuditEvent.objects.create(action="study.open", clinic_id=member.clinic_id)
            events = AuditEvent.objects.all()
            assert chain_seal(events, member.clinic_id) == 0
            assert chain_seal(events, member.clinic_id, unproven=True) == 3
        assert found(member.clinic_id).flaw is None
        anchors_write()
        write(member)
        chains_seal()
        assert found(member.clinic_id).flaw is None


class TestHeads:
    def test_a_head_that_is_kept_moves_with_the_chain_and_only_then(self, member):
        write(member, 2)
        chains_seal()
        assert anchors_write() == 1
        assert anchors_write() == 0
        write(member)
        chains_seal()
        assert anchors_write() == 1
        [entry] = trail_verify(clinic_id=member.clinic_id, all_chains=False)
        assert (entry.covered, entry.report.sealed) == (3, 3)

    def test_they_go_to_a_file_of_another_machine_too(self, member, settings, tmp_path):
        settings.AUDIT_ANCHOR_FILE = str(tmp_path / "heads.jsonl")
        write(member)
        chains_seal()
        anchors_write()
        for key, _written in list(object_list("anchors")):
            object_delete(key)
        [entry] = trail_verify(clinic_id=member.clinic_id, all_chains=False)
        assert entry.covered == 1

    def test_heads_that_cannot_be_read_are_no_verdict(self, member, settings, tmp_path):
        file = tmp_path / "heads.jsonl"
        file.write_text("{half a li")
        settings.AUDIT_ANCHOR_FILE = str(file)
        with pytest.raises(CommandError) as refused:
            call_command("audit_verify")
        assert refused.value.returncode == 2


class TestCommand:
    def test_it_says_what_is_whole_and_notes_that_it_looked(self, member, capsys):
        write(member, 2)
        chains_seal()
        call_command("audit_verify", clinic=member.clinic_id)
        assert f"clinic {member.clinic_id}: whole, 2 sealed" in capsys.readouterr().out
        assert AuditEvent.objects.get(action="audit.verify").outcome == "success"

    def test_it_names_the_first_bad_event_and_fails(self, member, capsys):
        with clinic_scope(member.clinic_id):
            forged = AuditEvent.objects.create(action="study.open", clinic_id=member.clinic_id)
        with pytest.raises(CommandError) as refused:
            call_command("audit_verify")
        assert refused.value.returncode == 1
        line = f"clinic {member.clinic_id}: BROKEN, forged, event {forged.pk}"
        assert line in capsys.readouterr().out
        assert AuditEvent.objects.get(action="audit.verify").outcome == "failed"


def _sql(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
