"""Studies that wait beyond the clinic's target rise, once, and for as long as they do."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from accounts.models import Clinic
from accounts.tenancy import clinic_scope
from diagnosis.models import ClinicRules, FirstRead, Study
from diagnosis.selectors.first_reads import hide_ai
from diagnosis.selectors.rules import rules_get, study_waiting
from diagnosis.selectors.worklist import worklist, worklist_page
from diagnosis.services.study_lateness import lateness_sweep
from diagnosis.services.study_results import study_refresh
from diagnosis.services.study_urgency import study_urgency_parts
from diagnosis.tasks import mark_late_studies
from tests.factories import (
    AnalysisFactory,
    MembershipFactory,
    PatientFactory,
    StudyFactory,
    StudyImageFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def doctor():
    return MembershipFactory(doctor=True)


def waiting(clinic, minutes, *, verdict="negative", **fields):
    """Return a study with a result that has waited for some minutes."""
    image = StudyImageFactory(study=StudyFactory(patient=PatientFactory(clinic=clinic), **fields))
    AnalysisFactory(image=image, succeeded=True, verdict=verdict, probability=0.35)
    with clinic_scope(clinic.pk):
        study_refresh(study_id=image.study_id)
        Study.objects.filter(pk=image.study_id).update(
            created_at=Now() - timedelta(minutes=minutes)
        )
        return Study.objects.get(pk=image.study_id)


def parts(study):
    return {part.code: part.points for part in study_urgency_parts(study)}


def test_a_late_study_passes_others_of_its_kind_and_says_why(doctor):
    early = waiting(doctor.clinic, 90, priority=1)  # a target of 60 minutes
    fresh = waiting(doctor.clinic, 1, priority=1, verdict="suspicion")
    with clinic_scope(doctor.clinic_id):
        before = [study.pk for study in worklist(user=doctor.user)]
        assert before == [fresh.pk, early.pk]
        late = Study.objects.get(pk=early.pk)
        old, changed = late.urgency, late.updated_at
    assert mark_late_studies() == 1
    assert mark_late_studies() == 0
    with clinic_scope(doctor.clinic_id):
        late = Study.objects.get(pk=early.pk)
        assert (late.is_late, late.urgency, late.rank) == (True, old + 12, -(old + 12))
        assert late.updated_at == changed
        assert parts(late)["late"] == 12
        assert sum(parts(late).values()) == late.urgency
        # A refresh for another reason keeps it.
        study_refresh(study_id=late.pk)
        assert Study.objects.get(pk=early.pk).urgency == old + 12


def test_equal_ones_stand_by_lateness_before_age(doctor):
    urgent = waiting(doctor.clinic, 30, priority=1)
    routine_late = waiting(doctor.clinic, 25 * 60)
    routine = waiting(doctor.clinic, 23 * 60)
    lateness_sweep()
    with clinic_scope(doctor.clinic_id):
        rows = worklist_page(user=doctor.user, rows=10).studies
    assert [row.pk for row in rows] == [urgent.pk, routine_late.pk, routine.pk]


@pytest.mark.parametrize("minutes", [59, 60, 61, 62])
def test_the_mark_and_the_word_on_the_row_are_one_rule(doctor, minutes):
    study = waiting(doctor.clinic, minutes, priority=1)
    lateness_sweep()
    with clinic_scope(doctor.clinic_id):
        rules = rules_get(user=doctor.user)
        row = Study.objects.annotate(clock=Now()).get(pk=study.pk)
        told = study_waiting(row, rules, now=row.clock)
    assert told.is_late == row.is_late


def test_it_falls_back_when_it_is_late_no_more(doctor):
    study = waiting(doctor.clinic, 90, priority=1)
    lateness_sweep()
    with clinic_scope(doctor.clinic_id):
        before = Study.objects.get(pk=study.pk).urgency
        ClinicRules.objects.create(clinic=doctor.clinic, targets={"urgent": 600})
    assert lateness_sweep() == 1
    with clinic_scope(doctor.clinic_id):
        row = Study.objects.get(pk=study.pk)
    assert (row.is_late, row.urgency) == (False, before - 12)


def test_what_is_reported_or_empty_is_never_late(doctor):
    read = waiting(doctor.clinic, 9000, priority=0)
    empty = StudyFactory(patient=PatientFactory(clinic=doctor.clinic))
    with clinic_scope(doctor.clinic_id):
        Study.objects.filter(pk=read.pk).update(status="reported", urgency=0.0)
        Study.objects.filter(pk=empty.pk).update(created_at=Now() - timedelta(days=9))
    assert lateness_sweep() == 0
    with clinic_scope(doctor.clinic_id):
        Study.objects.filter(pk=read.pk).update(is_late=True)
    assert lateness_sweep() == 1
    with clinic_scope(doctor.clinic_id):
        assert not Study.objects.filter(is_late=True).exists()
        assert Study.objects.get(pk=read.pk).urgency == 0.0


def test_each_clinic_has_its_own_targets(doctor):
    other = MembershipFactory(doctor=True)
    for member, targets in ((doctor, {"routine": None}), (other, {"routine": 5})):
        waiting(member.clinic, 3000)
        with clinic_scope(member.clinic_id):
            ClinicRules.objects.create(clinic=member.clinic, targets=targets)
    assert lateness_sweep() == 1
    with clinic_scope(other.clinic_id):
        assert Study.objects.get().is_late
    Clinic.objects.filter(pk=other.clinic_id).update(is_active=False)
    with clinic_scope(other.clinic_id):
        Study.objects.update(is_late=False)
    assert lateness_sweep() == 0


def test_lateness_tells_nothing_to_who_reads_first(doctor):
    """A fracture has a target, too: late after an hour, where the priority alone has a day."""
    study = waiting(doctor.clinic, 90, verdict="definite")
    lateness_sweep()
    learner = MembershipFactory(doctor=True, clinic=doctor.clinic, in_training=True)
    with clinic_scope(doctor.clinic_id):
        assert Study.objects.get(pk=study.pk).is_late
        [row] = hide_ai(user=learner.user, studies=Study.objects.all())
        assert "late" not in parts(row)
        FirstRead.objects.create(
            clinic=doctor.clinic, study=study, reader=learner.user, answer="yes", places=[]
        )
        [row] = hide_ai(user=learner.user, studies=Study.objects.all())
        assert "late" in parts(row)
