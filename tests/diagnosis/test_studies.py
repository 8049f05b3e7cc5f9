import pytest
from django.http import Http404

from accounts.models import AuditEvent
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis.models import Analysis, Study
from diagnosis.services.studies import image_move, study_create, study_move, study_update
from fracture_site.common.errors import ConflictError, RefusedInputError
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
def member():
    member = MembershipFactory(technician=True)
    with clinic_scope(member.clinic_id):
        yield member


@pytest.fixture
def patient(member):
    return PatientFactory(clinic=member.clinic)


@pytest.fixture
def other_patient(member):
    return PatientFactory(clinic=member.clinic)


def create(member, patient, **fields):
    return study_create(actor=member.user, clinic_id=member.clinic_id, patient=patient, **fields)


def sign(study):
    report = ReportFactory(study=study)
    version = ReportVersionFactory(report=report)
    version.status, version.signed_by = "signed", version.author
    version.signed_at = version.updated_at
    version.pdf_key = version.content_sha256 = "x"
    version.save()


def test_a_new_study_is_empty_and_audited(member, patient):
    study = create(member, patient, clinical_question=" Fall ", body_part="wrist", side="left")
    study.refresh_from_db()
    assert (study.status, study.clinical_question) == ("empty", "Fall")
    assert study.created_by == member.user
    event = AuditEvent.objects.filter(target_id=study.pk).get()
    assert (event.action, event.patient_id) == ("study.create", patient.pk)


def test_an_accession_number_is_given_once_and_the_conflict_names_the_study(member, patient):
    first = create(member, patient, accession_number="A1")
    create(member, patient)
    create(member, patient)  # no number is no conflict
    with pytest.raises(ConflictError) as refused:
        create(member, patient, accession_number=" A1 ")
    assert refused.value.code == "accession_number_taken"
    assert refused.value.extra == {"study": str(first.pk)}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"body_part": "wing"}, "body_part_unknown"),
        ({"side": "top"}, "side_unknown"),
        ({"priority": 9}, "priority_unknown"),
    ],
)
def test_unknown_values_are_refused_at_creation_and_correction(member, patient, fields, code):
    with pytest.raises(RefusedInputError, match=code):
        create(member, patient, **fields)
    study = create(member, patient)
    with pytest.raises(RefusedInputError, match=code):
        study_update(actor=member.user, study=study, **fields)


def test_a_new_priority_moves_the_study_and_its_waiting_analyses(member, patient):
    study = create(member, patient)
    before = study.urgency
    waiting = AnalysisFactory(image=StudyImageFactory(study=study), priority=2)
    done = AnalysisFactory(image=StudyImageFactory(study=study), succeeded=True, priority=2)
    study = study_update(actor=member.user, study=study, priority=0)
    assert study.urgency > before
    assert Analysis.objects.get(pk=waiting.pk).priority == 0
    assert Analysis.objects.get(pk=done.pk).priority == 2


def test_a_correction_can_empty_a_text_and_says_which_fields_changed(member, patient):
    study = create(member, patient, clinical_question="x", side="left")
    study_update(actor=member.user, study=study, clinical_question="", side="left")
    study.refresh_from_db()
    assert study.clinical_question == ""
    event = AuditEvent.objects.get(action="study.update")
    assert event.details == {"fields": ["clinical_question"]}


def test_a_study_of_the_wrong_patient_is_moved_and_both_trails_say_so(
    member, patient, other_patient
):
    study = create(member, patient)
    study_move(actor=member.user, study=study, patient=other_patient)
    study.refresh_from_db()
    assert study.patient == other_patient
    events = AuditEvent.objects.filter(action="study.move")
    assert {event.patient_id for event in events} == {patient.pk, other_patient.pk}
    assert events[0].details == {
        "from_patient": str(patient.pk),
        "to_patient": str(other_patient.pk),
    }


def test_moving_a_study_to_its_own_patient_changes_nothing(member, patient):
    study = create(member, patient)
    study_move(actor=member.user, study=study, patient=patient)
    assert not AuditEvent.objects.filter(action="study.move").exists()


def test_a_signed_study_stays_with_its_patient_a_drafted_one_may_move(
    member, patient, other_patient
):
    drafted, signed = create(member, patient), create(member, patient)
    ReportVersionFactory(report__study=drafted)
    sign(signed)
    assert study_move(actor=member.user, study=drafted, patient=other_patient)
    with pytest.raises(ConflictError, match="study_reported"):
        study_move(actor=member.user, study=signed, patient=other_patient)
    assert Study.objects.get(pk=signed.pk).patient == patient


def test_a_moved_image_takes_its_result_along_and_goes_to_the_end(member, patient, other_patient):
    source, target = create(member, patient), create(member, other_patient)
    StudyImageFactory(study=target, position=4)
    image = StudyImageFactory(study=source)
    AnalysisFactory(image=image, succeeded=True)
    moved = image_move(actor=member.user, image=image, study=target)
    assert (moved.study, moved.position) == (target, 5)
    source.refresh_from_db()
    target.refresh_from_db()
    assert (source.status, source.verdict) == ("empty", "")
    assert target.verdict == "definite"
    events = AuditEvent.objects.filter(action="image.move")
    assert {event.patient_id for event in events} == {patient.pk, other_patient.pk}
    assert events[0].details == {"from_study": str(source.pk), "to_study": str(target.pk)}


def test_an_image_moved_within_one_patient_is_recorded_once(member, patient):
    image = StudyImageFactory(study=create(member, patient))
    image_move(actor=member.user, image=image, study=create(member, patient))
    assert AuditEvent.objects.filter(action="image.move").count() == 1


def test_an_image_neither_leaves_nor_enters_a_signed_study(member, patient):
    signed, open_study = create(member, patient), create(member, patient)
    evidence, late = StudyImageFactory(study=signed), StudyImageFactory(study=open_study)
    sign(signed)
    for image, target in ((evidence, open_study), (late, signed)):
        with pytest.raises(ConflictError, match="study_reported"):
            image_move(actor=member.user, image=image, study=target)
    evidence.refresh_from_db()
    assert evidence.study == signed


def test_nothing_is_made_for_or_moved_to_another_clinic(member, patient):
    elsewhere = MembershipFactory(user=member.user, technician=True)
    foreign_patient = PatientFactory(clinic=elsewhere.clinic)
    foreign_study = StudyFactory(patient=foreign_patient)
    study = create(member, patient)
    image = StudyImageFactory(study=study)
    with pytest.raises(Http404):
        create(member, foreign_patient)
    with pytest.raises(Http404):
        study_move(actor=member.user, study=study, patient=foreign_patient)
    with pytest.raises(Http404):
        image_move(actor=member.user, image=image, study=foreign_study)
    with pytest.raises(Http404):
        study_update(actor=member.user, study=foreign_study, side="left")


def test_who_may_not_edit_is_denied(member, patient, other_patient):
    admin = MembershipFactory(clinic=member.clinic, clinic_admin=True).user
    study = create(member, patient)
    image = StudyImageFactory(study=study)
    with pytest.raises(ActionDeniedError):
        study_create(actor=admin, clinic_id=member.clinic_id, patient=patient)
    with pytest.raises(ActionDeniedError):
        study_update(actor=admin, study=study, side="left")
    with pytest.raises(ActionDeniedError):
        study_move(actor=admin, study=study, patient=other_patient)
    with pytest.raises(ActionDeniedError):
        image_move(actor=admin, image=image, study=study)
