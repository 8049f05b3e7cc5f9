"""The demo's history of reading: every state is there once, and a second run adds nothing."""

import pytest
from django.core.management import call_command

from accounts.models import Clinic
from accounts.tenancy import clinic_scope
from diagnosis.models import Discrepancy, FindingReview, SecondReading, Study
from tests.diagnosis.test_reports import readable_study
from tests.factories import MembershipFactory

pytestmark = pytest.mark.django_db


def test_analysed_demo_studies_get_every_state_once():
    doctor = MembershipFactory(doctor=True, clinic__name="Harbour Clinic (demo)")
    for _study in range(3):
        readable_study(doctor)
    for _twice in range(2):
        call_command("seed_reading")
        with clinic_scope(doctor.clinic_id):
            assert SecondReading.objects.get().state == "awaiting"
            assert Discrepancy.objects.get().kind == "preliminary"
            assert set(FindingReview.objects.values_list("decision", flat=True)) == {
                "accepted", "added",
            }  # fmt: skip
            assert Study.objects.filter(status=Study.Status.REPORTED).count() == 1


def test_clinics_of_people_are_left_alone():
    doctor = MembershipFactory(doctor=True)
    readable_study(doctor)
    call_command("seed_reading")
    with clinic_scope(doctor.clinic_id):
        assert not FindingReview.objects.exists()
        assert Clinic.objects.get(pk=doctor.clinic_id).second_reader == "never"
