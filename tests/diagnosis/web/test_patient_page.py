"""The patient page: steps, comparing, likely duplicates; similar confirmed cases."""

from datetime import date

import pytest
from django.urls import reverse

from accounts.tenancy import clinic_scope
from diagnosis.models import Patient, Study
from diagnosis.selectors.patient_page import duplicate_reasons, likely_duplicates
from diagnosis.selectors.similar import similar_cases
from diagnosis.services.search_index import patient_reindex
from tests.diagnosis.web.test_pages import full_study
from tests.factories import (
    FindingReviewFactory,
    MembershipFactory,
    PatientFactory,
    ReportVersionFactory,
    StudyFactory,
)

pytestmark = pytest.mark.django_db
BORN = date(1970, 1, 2)


def person(given="Ada", family="Miller", number="A-1", born=BORN, sex="unknown"):
    return Patient(
        given_name=given, family_name=family, record_number=number, birth_date=born, sex=sex
    )


@pytest.mark.parametrize(
    ("other", "reasons"),
    [
        (person(number="B-9"), ("same_birth_date", "same_name")),
        (person(given="Miller", family="Ada", number="B-9"), ("same_birth_date", "same_name")),
        (person(family="Müller", given="Ada", number="B-9"), ("same_birth_date", "similar_name")),
        (person(family="Miler", number="B-9"), ("same_birth_date", "similar_name")),
        (person(given="X", family="Y", number="a 01"), ()),  # "a01" is not "a1"
        (person(given="X", family="Y", number="a/1"), ("same_birth_date", "same_number")),
        (person(number="a 1", born=None), ("same_name", "same_number")),
        (person(family="Smith", number="B-9"), ()),
        (person(number="A1", born=date(1971, 1, 2)), ()),
        (person(number="B-9", born=None), ()),
    ],
)
def test_two_of_three_must_speak_for_one_person(other, reasons):
    assert duplicate_reasons(person(), other) == reasons
    assert duplicate_reasons(other, person()) == reasons


def test_people_of_different_sex_are_two():
    assert duplicate_reasons(person(sex="female"), person(sex="male", number="B")) == ()
    assert duplicate_reasons(person(sex="female"), person(number="B")) != ()
    assert duplicate_reasons(person(number="0042", born=None), person(number="42", born=None))


@pytest.fixture
def doctor():
    return MembershipFactory(doctor=True)


@pytest.fixture
def signed_in(client, doctor):
    client.force_login(doctor.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_likely_duplicates_are_of_the_own_clinic_and_not_merged(doctor, signed_in):
    def stored(clinic=doctor.clinic, **fields):
        fields = {"family_name": "Miller", "birth_date": BORN} | fields
        patient = PatientFactory(clinic=clinic, **fields)
        with clinic_scope(clinic.pk):
            patient_reindex(patient)
        return patient

    mine, twin = stored(record_number="A-1"), stored(record_number="B-2")
    numbered = stored(record_number="a/1", birth_date=None)
    stored(family_name="Somebody", given_name="Else")
    stored(MembershipFactory().clinic, record_number="A-1")
    merged = stored(merged_into=mine)
    with clinic_scope(doctor.clinic_id):
        found = likely_duplicates(user=doctor.user, patient=mine)
        assert {each.patient.pk for each in found} == {twin.pk, numbered.pk}
        assert likely_duplicates(user=doctor.user, patient=merged) == []
    page = signed_in.get(reverse("diagnosis:patient-detail", args=[mine.pk])).content.decode()
    assert "B-2" in page
    assert "same birth date, same name" in page


def test_the_page_says_who_did_what_in_a_fixed_number_of_queries(
    doctor, signed_in, django_assert_max_num_queries
):
    image = full_study(doctor.clinic)
    patient = image.study.patient
    ReportVersionFactory(report__study=image.study, author=doctor.user)
    address = reverse("diagnosis:patient-detail", args=[patient.pk])
    signed_in.get(address)
    counts = []
    for _round in range(2):
        with django_assert_max_num_queries(40) as captured:
            page = signed_in.get(address).content.decode()
        counts.append(len(captured))
        for _more in range(3):
            study = StudyFactory(patient=patient, created_by=doctor.user)
            ReportVersionFactory(report__study=study, author=doctor.user)
    assert counts[0] == counts[1]
    assert "1 image sent" in page
    page = signed_in.get(address).content.decode()
    assert page.count("Report drafted") == 7
    assert doctor.user.display_name in page


def test_two_ticked_studies_open_beside_each_other(doctor, signed_in):
    patient = PatientFactory(clinic=doctor.clinic)
    older, newer = (StudyFactory(patient=patient) for _ in range(2))
    foreign = StudyFactory(patient=PatientFactory(clinic=doctor.clinic))
    address = reverse("diagnosis:patient-compare", args=[patient.pk])

    def compare(*studies):
        return signed_in.get(address, {"study": [str(study.pk) for study in studies]})["Location"]

    expected = f"{reverse('diagnosis:study-detail', args=[newer.pk])}?prior={older.pk}"
    assert compare(older, newer) == compare(newer, older) == expected
    back = reverse("diagnosis:patient-detail", args=[patient.pk])
    assert {compare(older), compare(older, foreign), compare(), compare(older, older)} == {back}


def test_similar_cases_are_signed_and_confirmed_and_the_nearest_first(doctor, signed_in):
    def case(decision="accepted", clinic=doctor.clinic, status="reported", **fields):
        image = full_study(clinic)
        with clinic_scope(clinic.pk):
            finding = image.analyses.get().findings.get()
        reason = "other" if decision == "rejected" else ""
        FindingReviewFactory(finding=finding, decision=decision, reject_reason=reason)
        fields = {"body_part": "wrist", "status": status} | fields
        with clinic_scope(clinic.pk):
            Study.objects.filter(pk=image.study_id).update(**fields)
        return image.study_id

    far, near = case(side="right"), case(side="left", severity="severe")
    case(body_part="knee")
    case(status="ready")
    case(decision="rejected")
    case(clinic=MembershipFactory().clinic)
    with clinic_scope(doctor.clinic_id):
        study = StudyFactory(
            patient=PatientFactory(clinic=doctor.clinic),
            body_part="wrist",
            side="left",
            severity="severe",
        )
        assert [found.pk for found in similar_cases(user=doctor.user, study=study)] == [near, far]
    page = signed_in.get(reverse("diagnosis:similar-cases", args=[study.pk])).content.decode()
    assert str(near) in page
    assert "Severe" in page  # words, no codes
    assert "severe</span>" not in page
