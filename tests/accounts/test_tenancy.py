"""Both walls: the filter in Python and row-level security in the database."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction
from django.db.utils import IntegrityError, ProgrammingError

from accounts.audit import audit_record
from accounts.models import AuditEvent
from accounts.tenancy import clinic_scope, current_clinic_id
from diagnosis.models import Patient
from tests.factories import MembershipFactory, PatientFactory, UserFactory

pytestmark = pytest.mark.django_db


def told_to_database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('app.clinic', true)")
        return cursor.fetchone()[0] or ""


def test_outside_of_a_scope_nothing_clinical_exists():
    PatientFactory()
    assert not Patient.objects.exists()
    assert current_clinic_id() is None


def test_a_forgotten_filter_still_returns_only_the_clinic(doctor, stranger):
    own = PatientFactory(clinic=doctor.clinic)
    PatientFactory(clinic=stranger.clinic)
    with clinic_scope(doctor.clinic_id):
        assert list(Patient.objects.all()) == [own]
        assert list(Patient.objects.for_user(doctor.user)) == [own]
        assert not Patient.objects.for_user(stranger.user).exists()


def test_a_doctor_of_two_clinics_sees_the_current_one_only(doctor, stranger):
    MembershipFactory(user=doctor.user, clinic=stranger.clinic)
    here, there = PatientFactory(clinic=doctor.clinic), PatientFactory(clinic=stranger.clinic)
    with clinic_scope(doctor.clinic_id):
        assert list(Patient.objects.for_user(doctor.user)) == [here]
    with clinic_scope(stranger.clinic_id):
        assert list(Patient.objects.for_user(doctor.user)) == [there]


def test_nobody_and_former_members_see_nothing(doctor):
    PatientFactory(clinic=doctor.clinic)
    with clinic_scope(doctor.clinic_id):
        assert not Patient.objects.for_user(AnonymousUser()).exists()
        root = UserFactory(is_staff=True, is_superuser=True)
        assert not Patient.objects.for_user(root).exists()
        doctor.is_active = False
        doctor.save()
        assert not Patient.objects.for_user(doctor.user).exists()


def test_a_row_cannot_be_written_into_another_clinic(doctor, stranger):
    refused = pytest.raises(ProgrammingError, match="row-level security")
    with clinic_scope(doctor.clinic_id), refused, transaction.atomic():
        Patient.objects.create(clinic=stranger.clinic, record_number="1", family_name="X")


def test_an_inner_scope_gives_back_the_outer_one(doctor, stranger):
    with clinic_scope(doctor.clinic_id):
        with clinic_scope(stranger.clinic_id):
            assert current_clinic_id() == stranger.clinic_id
            assert told_to_database() == str(stranger.clinic_id)
        assert current_clinic_id() == doctor.clinic_id
        assert told_to_database() == str(doctor.clinic_id)


def test_a_failed_inner_scope_gives_back_the_outer_one(doctor, stranger):
    with clinic_scope(doctor.clinic_id):
        with pytest.raises(ZeroDivisionError), clinic_scope(stranger.clinic_id):
            raise ZeroDivisionError
        assert current_clinic_id() == doctor.clinic_id
        assert told_to_database() == str(doctor.clinic_id)


def test_an_inner_scope_that_is_rolled_back_gives_back_the_outer_one(doctor, stranger):
    with clinic_scope(doctor.clinic_id):
        with clinic_scope(stranger.clinic_id):
            transaction.set_rollback(True)
        assert told_to_database() == str(doctor.clinic_id)


def test_the_trail_of_another_clinic_is_out_of_reach(doctor, stranger):
    for member in (doctor, stranger):
        with clinic_scope(member.clinic_id):
            audit_record(actor=member.user, action="test.event", clinic_id=member.clinic_id)
    with clinic_scope(doctor.clinic_id):
        assert [e.clinic_id for e in AuditEvent.objects.all()] == [doctor.clinic_id]
        refused = pytest.raises(ProgrammingError, match="row-level security")
        with refused, transaction.atomic():
            audit_record(actor=None, action="test.event", clinic_id=stranger.clinic_id)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts_auditevent SET action = 'forged'",
        "DELETE FROM accounts_auditevent",
        "TRUNCATE accounts_auditevent",
    ],
)
def test_the_application_cannot_change_the_trail_even_by_sql(doctor, statement):
    with clinic_scope(doctor.clinic_id):
        event = audit_record(actor=None, action="test.event", clinic_id=doctor.clinic_id)
        denied = pytest.raises((ProgrammingError, IntegrityError))
        with denied, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
        assert AuditEvent.objects.get(pk=event.pk).action == "test.event"


def test_the_model_refuses_changes_of_the_trail(doctor):
    event = audit_record(actor=doctor.user, action="test.event", clinic_id=None)
    event.action = "forged"
    with pytest.raises(TypeError):
        event.save()
    with pytest.raises(TypeError):
        event.delete()
