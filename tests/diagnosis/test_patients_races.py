"""Several people change the same patients at the same time."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from accounts.tenancy import clinic_scope
from diagnosis.models import Patient, Study
from diagnosis.selectors import study_list
from diagnosis.services.patients import patient_create, patient_merge, patient_update
from diagnosis.services.studies import study_create, study_move, study_update
from fracture_site.common.errors import ConflictError
from tests.factories import MembershipFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def doctor():
    return MembershipFactory(doctor=True)


def together(member, *changes):
    """Run all changes at once, each in its own transaction; return results or conflicts."""
    barrier = Barrier(len(changes))

    def one(change):
        try:
            barrier.wait(timeout=30)
            with clinic_scope(member.clinic_id):
                return change()
        except ConflictError as conflict:
            return conflict
        finally:
            connection.close()

    with ThreadPoolExecutor(len(changes)) as pool:
        return list(pool.map(one, changes))


def create(member, number, family_name="Name"):
    return patient_create(
        actor=member.user,
        clinic_id=member.clinic_id,
        record_number=number,
        family_name=family_name,
    )


def test_one_of_many_gets_the_record_number(doctor):
    outcomes = together(doctor, *[lambda: create(doctor, "A-1")] * 4)
    conflicts = [o for o in outcomes if isinstance(o, ConflictError)]
    [winner] = [o for o in outcomes if isinstance(o, Patient)]
    assert [c.code for c in conflicts] == ["record_number_taken"] * 3
    assert {c.extra["patient"] for c in conflicts} == {str(winner.pk)}


def test_two_patients_cannot_be_merged_into_each_other(doctor):
    with clinic_scope(doctor.clinic_id):
        one, two = create(doctor, "1"), create(doctor, "2")
    outcomes = together(
        doctor,
        lambda: patient_merge(actor=doctor.user, source=one, target=two),
        lambda: patient_merge(actor=doctor.user, source=two, target=one),
    )
    assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == 1
    with clinic_scope(doctor.clinic_id):
        assert Patient.objects.filter(merged_into__isnull=False).count() == 1


def test_no_study_is_left_behind_with_a_merged_patient(doctor):
    with clinic_scope(doctor.clinic_id):
        source, target, third = (create(doctor, number) for number in "123")
        moving = study_create(actor=doctor.user, clinic_id=doctor.clinic_id, patient=source)
    together(
        doctor,
        lambda: patient_merge(actor=doctor.user, source=source, target=target),
        lambda: study_create(actor=doctor.user, clinic_id=doctor.clinic_id, patient=source),
        lambda: study_move(actor=doctor.user, study=moving, patient=third),
        lambda: study_create(actor=doctor.user, clinic_id=doctor.clinic_id, patient=source),
    )
    with clinic_scope(doctor.clinic_id):
        assert not Study.objects.filter(patient__merged_into__isnull=False).exists()


def test_a_renamed_patient_and_a_corrected_study_are_both_found(doctor):
    with clinic_scope(doctor.clinic_id):
        patient = create(doctor, "1", "Before")
        studies = [
            study_create(actor=doctor.user, clinic_id=doctor.clinic_id, patient=patient)
            for _ in range(3)
        ]
    together(
        doctor,
        lambda: patient_update(actor=doctor.user, patient=patient, family_name="Renamed"),
        *[
            lambda study=study: study_update(
                actor=doctor.user, study=study, clinical_question="Bicycle"
            )
            for study in studies
        ],
    )
    with clinic_scope(doctor.clinic_id):
        assert study_list(user=doctor.user, q="renamed bicycle").count() == 3
        assert study_list(user=doctor.user, q="before").count() == 0
