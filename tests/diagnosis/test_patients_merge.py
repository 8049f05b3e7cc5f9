import pytest
from django.http import Http404

from accounts.models import AuditEvent
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis.models import Study
from diagnosis.selectors import patient_get, patient_list, study_list
from diagnosis.services.patients import (
    patient_create,
    patient_merge,
    patient_unmerge,
    patient_update,
)
from diagnosis.services.studies import study_create, study_move
from fracture_site.common.errors import ConflictError, RefusedInputError
from tests.factories import MembershipFactory, PatientFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def doctor():
    member = MembershipFactory(doctor=True)
    with clinic_scope(member.clinic_id):
        yield member


@pytest.fixture
def abc(doctor):
    return [
        patient_create(
            actor=doctor.user,
            clinic_id=doctor.clinic_id,
            record_number=f"N-{name}",
            family_name=name,
        )
        for name in ("Anna", "Berta", "Carla")
    ]


def study(doctor, patient):
    return study_create(actor=doctor.user, clinic_id=doctor.clinic_id, patient=patient)


def merge(doctor, source, target):
    return patient_merge(actor=doctor.user, source=source, target=target)


def unmerge(doctor, patient):
    return patient_unmerge(actor=doctor.user, patient=patient)


def owners():
    return dict(Study.objects.values_list("pk", "patient__family_name"))


def test_a_merge_moves_the_studies_and_its_undoing_gives_exactly_them_back(doctor, abc):
    anna, berta, _ = abc
    of_anna, of_berta = study(doctor, anna), study(doctor, berta)
    merge(doctor, anna, berta)
    later = study(doctor, berta)
    assert set(owners().values()) == {"Berta"}
    unmerge(doctor, anna)
    assert owners() == {of_anna.pk: "Anna", of_berta.pk: "Berta", later.pk: "Berta"}
    assert not Study.objects.filter(merged_from__isnull=False).exists()


def test_a_merged_patient_leaves_the_list_but_its_page_still_answers(doctor, abc):
    anna, berta, carla = abc
    merge(doctor, anna, berta)
    assert set(patient_list(user=doctor.user)) == {berta, carla}
    found = patient_get(user=doctor.user, pk=anna.pk)
    assert found.merged_into == berta
    unmerge(doctor, anna)
    assert set(patient_list(user=doctor.user)) == set(abc)


def test_after_a_merge_the_old_number_finds_the_kept_patient_until_it_is_undone(doctor, abc):
    anna, berta, _ = abc
    moved = study(doctor, anna)
    merge(doctor, anna, berta)
    for q in ("N-Anna", "anna", "berta"):
        assert list(patient_list(user=doctor.user, q=q)) == [berta]
        assert list(study_list(user=doctor.user, q=q)) == [moved]
    unmerge(doctor, anna)
    assert list(patient_list(user=doctor.user, q="anna")) == [anna]
    assert list(study_list(user=doctor.user, q="berta")) == []


def test_merges_can_be_chained_and_undone_from_either_end(doctor, abc):
    anna, berta, carla = abc
    of_anna, of_berta, of_carla = (study(doctor, patient) for patient in abc)
    merge(doctor, anna, berta)
    merge(doctor, berta, carla)
    assert set(owners().values()) == {"Carla"}
    unmerge(doctor, anna)
    assert owners() == {of_anna.pk: "Anna", of_berta.pk: "Carla", of_carla.pk: "Carla"}
    unmerge(doctor, berta)
    assert owners() == {of_anna.pk: "Anna", of_berta.pk: "Berta", of_carla.pk: "Carla"}


def test_undoing_the_outer_merge_first_keeps_the_inner_one(doctor, abc):
    anna, berta, carla = abc
    of_anna, of_berta, of_carla = (study(doctor, patient) for patient in abc)
    merge(doctor, anna, berta)
    merge(doctor, berta, carla)
    unmerge(doctor, berta)
    assert owners() == {of_anna.pk: "Berta", of_berta.pk: "Berta", of_carla.pk: "Carla"}
    unmerge(doctor, anna)
    assert owners() == {of_anna.pk: "Anna", of_berta.pk: "Berta", of_carla.pk: "Carla"}


def test_a_study_that_was_moved_by_hand_is_not_given_back(doctor, abc):
    anna, berta, carla = abc
    moved = study(doctor, anna)
    merge(doctor, anna, berta)
    study_move(actor=doctor.user, study=moved, patient=carla)
    unmerge(doctor, anna)
    assert owners() == {moved.pk: "Carla"}


def test_circles_and_second_merges_are_refused_and_point_to_the_kept_one(doctor, abc):
    anna, berta, carla = abc
    merge(doctor, anna, berta)
    for source, target in ((berta, anna), (anna, carla), (carla, anna)):
        with pytest.raises(ConflictError) as refused:
            merge(doctor, source, target)
        assert refused.value.code == "patient_merged"
        assert refused.value.extra == {"patient": str(berta.pk)}
    with pytest.raises(RefusedInputError, match="same_patient"):
        merge(doctor, berta, berta)


def test_a_merged_patient_gets_no_new_study_and_no_correction(doctor, abc):
    anna, berta, _ = abc
    merge(doctor, anna, berta)
    with pytest.raises(ConflictError, match="patient_merged"):
        study(doctor, anna)
    with pytest.raises(ConflictError, match="patient_merged"):
        patient_update(actor=doctor.user, patient=anna, family_name="X")


def test_only_a_merged_patient_can_be_taken_apart(doctor, abc):
    with pytest.raises(ConflictError, match="patient_not_merged"):
        unmerge(doctor, abc[0])


def test_a_patient_of_another_clinic_cannot_be_merged_with(doctor, abc):
    elsewhere = MembershipFactory(user=doctor.user, doctor=True)
    foreign = PatientFactory(clinic=elsewhere.clinic)
    with pytest.raises(Http404):
        merge(doctor, abc[0], foreign)
    abc[0].refresh_from_db()
    assert abc[0].merged_into is None


def test_a_technician_may_not_merge(doctor, abc):
    technician = MembershipFactory(clinic=doctor.clinic, technician=True)
    with pytest.raises(ActionDeniedError):
        merge(technician, abc[0], abc[1])


def test_both_patients_trails_show_the_merge_with_ids_only(doctor, abc):
    anna, berta, _ = abc
    moved = study(doctor, anna)
    merge(doctor, anna, berta)
    events = AuditEvent.objects.filter(action="patient.merge")
    assert {event.patient_id for event in events} == {anna.pk, berta.pk}
    assert events[0].details == {
        "merged": str(anna.pk),
        "kept": str(berta.pk),
        "studies": [str(moved.pk)],
    }
