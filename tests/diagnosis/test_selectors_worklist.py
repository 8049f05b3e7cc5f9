from datetime import date, datetime, timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from accounts.tenancy import clinic_scope
from diagnosis.models import Discrepancy, Study
from diagnosis.selectors import WorklistTab, worklist, worklist_counts
from diagnosis.services.patients import patient_create
from diagnosis.services.studies import study_create
from tests.factories import (
    AnalysisFactory,
    MembershipFactory,
    PatientFactory,
    ReportFactory,
    ReportVersionFactory,
    StudyFactory,
    StudyImageFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def doctor():
    member = MembershipFactory(doctor=True)
    with clinic_scope(member.clinic_id):
        yield member


def study_of(member, **fields):
    fields = {"status": "ready"} | fields
    return StudyFactory(patient=PatientFactory(clinic=member.clinic), **fields)


def draft(study, author):
    ReportVersionFactory(report=ReportFactory(study=study), author=author)
    return study


def sign(study):
    version = ReportVersionFactory(report=ReportFactory(study=study))
    version.status, version.signed_by = "signed", version.author
    version.signed_at = version.updated_at
    version.pdf_key = version.content_sha256 = "x"
    version.save()
    Study.objects.filter(pk=study.pk).update(status="reported")
    return study


def differs(study, **answered):
    fields = {"kind": "ai_report", "version_number": 1, "first": "negative", "second": "yes"}
    if answered:
        fields |= {"severity": "minor", "resolution": "Looked again."}
    return Discrepancy.objects.create(clinic=study.clinic, study=study, **fields, **answered)


def listed(member, **filters):
    return list(worklist(user=member.user, **filters))


def test_the_most_urgent_is_first_then_the_one_that_waits_longest(doctor):
    routine, urgent, waiting = (study_of(doctor, urgency=urgency) for urgency in (1.0, 9.0, 5.0))
    later = study_of(doctor, urgency=5.0)
    assert listed(doctor) == [urgent, waiting, later, routine]


def test_each_tab_holds_what_its_name_says_and_the_counts_agree(doctor, django_assert_num_queries):
    colleague = MembershipFactory(clinic=doctor.clinic, doctor=True)
    unread, failed = study_of(doctor), study_of(doctor, status="failed")
    queued = study_of(doctor, status="queued")
    mine, theirs = draft(study_of(doctor), doctor.user), draft(study_of(doctor), colleague.user)
    signed = sign(study_of(doctor))
    differs(signed)
    differs(failed, resolved_by=doctor.user, resolved_at=timezone.now())
    foreign = MembershipFactory(doctor=True)
    study_of(foreign)
    expected = {
        "unread": {unread, failed, queued},  # a reader is needed all the same
        "mine": {mine},
        "to_sign": {mine, theirs},
        "discrepancy": {signed},
        "failed": {failed},
        "reported": {signed},
        "all": {unread, failed, queued, mine, theirs, signed},
    }
    assert {tab: set(listed(doctor, tab=tab)) for tab in WorklistTab.values} == expected
    with django_assert_num_queries(1):
        counts = worklist_counts(user=doctor.user)
    assert counts == {tab: len(studies) for tab, studies in expected.items()}


def test_an_amendment_that_is_being_written_waits_for_its_signature(doctor):
    study = sign(study_of(doctor))
    ReportVersionFactory(report=study.report, number=2, reason="Typing error", author=doctor.user)
    assert listed(doctor, tab="mine") == listed(doctor, tab="to_sign") == [study]
    assert listed(doctor, tab="unread") == []


def test_filters_narrow_a_tab_and_combine(doctor):
    wanted = study_of(doctor, region="leg", verdict="definite", priority=0)
    study_of(doctor, region="leg", verdict="negative", priority=0)
    study_of(doctor, region="hip", verdict="definite", priority=2)
    assert listed(doctor, region="leg", verdict="definite") == [wanted]
    assert len(listed(doctor, region="leg")) == 2
    assert len(listed(doctor, verdict="definite")) == 2
    assert len(listed(doctor, priority=0)) == len(listed(doctor, priority="0")) == 2
    assert listed(doctor, priority=0, verdict="definite") == [wanted]


@pytest.mark.parametrize(
    "filters", [{"region": "x"}, {"verdict": "'"}, {"priority": "x"}, {"priority": 7}]
)
def test_an_unknown_filter_value_matches_nothing(doctor, filters):
    study_of(doctor)
    assert listed(doctor, **filters) == []


def test_an_unknown_tab_shows_everything(doctor):
    study = study_of(doctor, status="queued")
    assert listed(doctor, tab="bogus") == [study]


def test_both_days_of_a_range_are_included(doctor):
    days = [date(2026, 3, day) for day in (1, 2, 3, 4)]
    studies = []
    for day in days:
        study = study_of(doctor)
        moment = timezone.make_aware(datetime.combine(day, datetime.min.time()))
        Study.objects.filter(pk=study.pk).update(created_at=moment + timedelta(hours=23))
        studies.append(study)
    assert listed(doctor, date_from=days[1], date_to=days[2]) == studies[1:3]
    assert listed(doctor, date_from=days[3]) == studies[3:]
    assert listed(doctor, date_to=days[0]) == studies[:1]


def test_search_looks_at_patient_and_study_within_the_tab(doctor):
    patient = patient_create(
        actor=doctor.user, clinic_id=doctor.clinic_id, record_number="A-9", family_name="Šimek"
    )
    study = study_create(
        actor=doctor.user, clinic_id=doctor.clinic_id, patient=patient, clinical_question="Fell"
    )
    for q in ("sim", "a-9", "fell", "sim fell"):
        assert listed(doctor, tab="all", q=q) == [study]
        assert listed(doctor, tab="unread", q=q) == []
    assert listed(doctor, tab="all", q="nobody") == listed(doctor, tab="all", q="&|!:*'\\") == []


def test_the_number_of_queries_does_not_grow_with_the_list(doctor, django_assert_num_queries):
    list(worklist(user=doctor.user))  # how the reader reads is known from here on
    for count in (1, 6):
        for _ in range(count):
            study = draft(study_of(doctor), doctor.user)
            AnalysisFactory(image=StudyImageFactory(study=study), succeeded=True)
            StudyImageFactory(study=study, position=1)
        with django_assert_num_queries(3):  # studies, their images, their report versions
            for row in worklist(user=doctor.user, tab="to_sign"):
                assert row.patient.full_name
                assert [image.thumbnail_key for image in row.images.all()]
                assert [version.author.display_name for version in row.report.versions.all()]


def test_who_is_no_member_any_more_sees_nothing(doctor):
    study_of(doctor)
    stranger = MembershipFactory(doctor=True)
    nobody = dict.fromkeys(WorklistTab.values, 0)
    assert worklist_counts(user=stranger.user) == worklist_counts(user=AnonymousUser()) == nobody
    doctor.is_active = False
    doctor.save()
    assert listed(doctor, tab="all") == []
