from datetime import date, timedelta

import pytest
from django.http import Http404
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis.models import Patient
from diagnosis.services.patients import patient_create, patient_update
from fracture_site.common.errors import ConflictError, RefusedInputError
from tests.factories import MembershipFactory, PatientFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def member():
    member = MembershipFactory(technician=True)
    with clinic_scope(member.clinic_id):
        yield member


def create(member, **fields):
    fields = {"record_number": "A-1", "family_name": "Canary", "given_name": "Carla"} | fields
    return patient_create(actor=member.user, clinic_id=member.clinic_id, **fields)


def test_a_new_patient_is_stored_trimmed_and_audited_without_a_name(member):
    patient = create(member, record_number=" A-1 ", birth_date=date(1980, 5, 1), sex="female")
    patient.refresh_from_db()
    assert (patient.record_number, patient.full_name) == ("A-1", "Canary, Carla")
    event = AuditEvent.objects.get(action="patient.create")
    assert (event.actor, event.target_id, event.patient_id) == (
        member.user,
        patient.pk,
        patient.pk,
    )
    assert "Canary" not in str(event.details)


def test_a_record_number_is_given_once_in_a_clinic_and_the_conflict_names_who_has_it(member):
    first = create(member)
    with pytest.raises(ConflictError) as refused:
        create(member, family_name="Other")
    assert refused.value.code == "record_number_taken"
    assert refused.value.extra == {"patient": str(first.pk)}
    assert Patient.objects.count() == 1


def test_two_clinics_may_use_the_same_record_number(member):
    create(member)
    other = MembershipFactory(doctor=True)
    with clinic_scope(other.clinic_id):
        assert create(other).clinic_id == other.clinic_id


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"record_number": "  "}, "record_number_missing"),
        ({"family_name": ""}, "family_name_missing"),
        ({"sex": "x"}, "sex_unknown"),
        ({"birth_date": timezone.localdate() + timedelta(days=1)}, "birth_date_in_future"),
    ],
)
def test_unusable_details_are_refused_with_the_field(member, fields, code):
    with pytest.raises(RefusedInputError) as refused:
        create(member, **fields)
    assert refused.value.code == code
    assert list(refused.value.fields) == list(fields)


def test_a_correction_changes_what_was_given_and_names_only_the_fields_in_the_trail(member):
    patient = create(member, birth_date=date(1980, 5, 1))
    patient_update(actor=member.user, patient=patient, family_name="Kanarek")
    patient.refresh_from_db()
    assert (patient.family_name, patient.birth_date) == ("Kanarek", date(1980, 5, 1))
    patient_update(actor=member.user, patient=patient, birth_date=None)
    patient.refresh_from_db()
    assert patient.birth_date is None
    events = AuditEvent.objects.filter(action="patient.update").order_by("id")
    assert [event.details for event in events] == [
        {"fields": ["family_name"]},
        {"fields": ["birth_date"]},
    ]


def test_a_correction_without_a_change_leaves_no_trace(member):
    patient = create(member)
    patient_update(actor=member.user, patient=patient, family_name=" Canary ")
    assert not AuditEvent.objects.filter(action="patient.update").exists()


def test_a_correction_cannot_take_anothers_record_number(member):
    create(member)
    second = create(member, record_number="A-2")
    with pytest.raises(ConflictError, match="record_number_taken"):
        patient_update(actor=member.user, patient=second, record_number="A-1")
    second.refresh_from_db()
    assert second.record_number == "A-2"


def test_who_may_not_register_or_is_of_another_clinic_is_denied(member):
    admin = MembershipFactory(clinic=member.clinic, clinic_admin=True)
    stranger = MembershipFactory(doctor=True)
    for person in (admin, stranger):
        with pytest.raises(ActionDeniedError):
            patient_create(
                actor=person.user, clinic_id=member.clinic_id, record_number="X", family_name="X"
            )
    assert not Patient.objects.exists()


def test_a_foreign_patient_is_missing_even_to_somebody_who_is_in_both_clinics(member):
    elsewhere = MembershipFactory(user=member.user, technician=True)
    foreign = PatientFactory(clinic=elsewhere.clinic)
    with pytest.raises(Http404):
        patient_update(actor=member.user, patient=foreign, family_name="X")
