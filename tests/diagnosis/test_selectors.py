import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import Http404

from accounts.tenancy import clinic_scope
from diagnosis import selectors
from tests.factories import (
    AnalysisFactory,
    FindingFactory,
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
    return MembershipFactory(doctor=True)


def study_of(member, **fields):
    return StudyFactory(patient=PatientFactory(clinic=member.clinic), **fields)


def test_each_getter_finds_a_row_of_the_own_clinic_and_404s_a_foreign_one(doctor):
    stranger = MembershipFactory(doctor=True)
    image = StudyImageFactory(study=study_of(doctor))
    analysis = AnalysisFactory(image=image)
    report = ReportFactory(study=image.study)
    getters = {
        selectors.patient_get: image.study.patient,
        selectors.study_get: image.study,
        selectors.image_get: image,
        selectors.analysis_get: analysis,
        selectors.report_get: report,
    }
    for getter, row in getters.items():
        with clinic_scope(doctor.clinic_id):
            assert getter(user=doctor.user, pk=row.pk) == row
        for scope in (doctor.clinic_id, stranger.clinic_id, None):
            with clinic_scope(scope), pytest.raises(Http404):
                getter(user=stranger.user, pk=row.pk)
        with clinic_scope(doctor.clinic_id), pytest.raises(Http404):
            getter(user=doctor.user, pk="not-an-id")


def test_lists_hold_the_own_clinic_only(doctor):
    study = study_of(doctor)
    foreign = StudyFactory()
    ReportVersionFactory(report__study=study)
    with clinic_scope(doctor.clinic_id):
        assert list(selectors.study_list(user=doctor.user)) == [study]
        assert list(selectors.patient_list(user=doctor.user)) == [study.patient]
        assert [r.study for r in selectors.report_list(user=doctor.user)] == [study]
        assert list(selectors.study_list(user=AnonymousUser())) == []
    with clinic_scope(foreign.clinic_id):
        assert list(selectors.study_list(user=doctor.user)) == []


def test_images_come_with_newest_run_and_newest_result_in_few_queries(
    doctor, django_assert_num_queries
):
    study = study_of(doctor)
    for position in range(3):
        image = StudyImageFactory(study=study, position=position)
        old = AnalysisFactory(image=image, succeeded=True)
        FindingFactory(analysis=old)
        AnalysisFactory(image=image, running=True)
    with clinic_scope(doctor.clinic_id), django_assert_num_queries(5):
        images = list(selectors.study_images(user=doctor.user, study=study))
        states = [(i.newest_analysis.status, i.newest_result.status) for i in images]
        boxes = [len(i.newest_result.findings.all()) for i in images]
    assert states == [("running", "succeeded")] * 3
    assert boxes == [1, 1, 1]


def test_a_report_version_is_found_by_number_and_the_newest_by_default(doctor):
    report = ReportFactory(study=study_of(doctor))
    first = ReportVersionFactory(report=report, number=1)
    with clinic_scope(doctor.clinic_id):
        assert selectors.report_version_get(user=doctor.user, report=report) == first
        assert selectors.report_version_get(user=doctor.user, report=report, number=1) == first
        with pytest.raises(Http404):
            selectors.report_version_get(user=doctor.user, report=report, number=2)


def test_earlier_studies_are_of_the_same_patient_and_older(doctor):
    oldest = study_of(doctor)
    older = StudyFactory(patient=oldest.patient)
    present = StudyFactory(patient=oldest.patient)
    StudyFactory(patient=oldest.patient)
    study_of(doctor)
    with clinic_scope(doctor.clinic_id):
        found = selectors.earlier_studies(user=doctor.user, study=present)
        assert list(found) == [older, oldest]
