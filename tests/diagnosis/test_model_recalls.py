"""A recall marks what a model made, tells the doctors of every clinic, and lists it for each."""

import io
from smtplib import SMTPException

import pytest
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import AuditEvent, Role
from accounts.tenancy import clinic_scope
from diagnosis.models import ModelChange, ModelVersion, RecallNotice
from diagnosis.selectors.recalls import (
    recall_notices_unseen,
    recall_results,
    recall_rows,
    report_is_recalled,
    study_is_recalled,
)
from diagnosis.services.model_recalls import (
    model_recall,
    recall_mails_send,
    recall_notice_confirm,
)
from diagnosis.services.study_results import study_refresh
from fracture_site.common.errors import ConflictError, RefusedInputError
from tests.factories import (
    AnalysisFactory,
    MembershipFactory,
    ModelVersionFactory,
    ReportVersionFactory,
    StudyImageFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def model():
    return ModelVersionFactory(name="m", version="1", stage="active")


@pytest.fixture
def doctor():
    return MembershipFactory(doctor=True)


def result_of(model, clinic):
    """Return a study whose image was read by the model."""
    image = StudyImageFactory(study__patient__clinic=clinic)
    AnalysisFactory(image=image, succeeded=True, model_version=model)
    with clinic_scope(clinic.pk):
        return study_refresh(study_id=image.study_id)


def signed(study, signer):
    version = ReportVersionFactory(
        report__study=study,
        status="signed",
        signed_by=signer,
        signed_at=timezone.now(),
        signer_name="Dr. Signer",
        pdf_key="reports/x.pdf",
        content_sha256="d" * 64,
        result=study.result,
    )
    return version.report


def recall(model, **options):
    return model_recall(actor=None, version=model, reason="misses children", **options)


def notices(membership):
    with clinic_scope(membership.clinic_id):
        return list(RecallNotice.objects.all())


def test_a_recalled_version_reads_nothing_and_is_logged(model, doctor):
    result_of(model, doctor.clinic)

    change = recall(model)

    row = ModelVersion.objects.get()
    assert (row.stage, row.is_recalled) == ("registered", True)
    assert (change.kind, change.reason) == ("recall", "misses children")
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert "model.recall" in actions
    with clinic_scope(doctor.clinic_id):
        event = AuditEvent.objects.get(action="model.recall.notify")
    assert event.details == {"results": 1, "reports": 0, "people": 1}


def test_studies_and_reports_are_marked_and_others_are_not(model, doctor):
    study = result_of(model, doctor.clinic)
    report = signed(study, doctor.user)
    other = result_of(ModelVersionFactory(name="other"), doctor.clinic)
    recall(model)

    with clinic_scope(doctor.clinic_id):
        assert study_is_recalled(study)
        assert report_is_recalled(report)
        assert not study_is_recalled(other)


def test_a_report_stays_marked_when_the_study_was_read_again(model, doctor):
    study = result_of(model, doctor.clinic)
    report = signed(study, doctor.user)
    recall(model)
    with clinic_scope(doctor.clinic_id):
        AnalysisFactory(
            image=study.images.get(),
            succeeded=True,
            model_version=ModelVersionFactory(name="m", version="2"),
        )
        again = study_refresh(study_id=study.pk)

        assert report_is_recalled(report)
        assert study_is_recalled(again)


def test_without_a_report_a_new_reading_takes_the_mark_away(model, doctor):
    study = result_of(model, doctor.clinic)
    recall(model)
    with clinic_scope(doctor.clinic_id):
        assert study_is_recalled(study)
        newer = ModelVersionFactory(name="m", version="2")
        AnalysisFactory(image=study.images.get(), succeeded=True, model_version=newer)

        assert not study_is_recalled(study_refresh(study_id=study.pk))


def test_who_signed_is_told_and_nobody_else_when_all_is_signed(model, doctor):
    colleague = MembershipFactory(clinic=doctor.clinic, doctor=True)
    signed(result_of(model, doctor.clinic), doctor.user)

    recall(model)

    [notice] = notices(doctor)
    assert (notice.user, notice.results, notice.reports) == (doctor.user, 1, 1)
    assert notice.user != colleague.user


def test_all_doctors_are_told_when_something_is_not_signed_yet(model, doctor):
    colleague = MembershipFactory(clinic=doctor.clinic, doctor=True)
    MembershipFactory(clinic=doctor.clinic, technician=True)
    MembershipFactory(clinic=doctor.clinic, doctor=True, is_active=False)
    signed(result_of(model, doctor.clinic), doctor.user)
    result_of(model, doctor.clinic)

    recall(model)

    assert {notice.user for notice in notices(doctor)} == {doctor.user, colleague.user}


def test_each_clinic_learns_of_its_own_and_a_clinic_without_results_of_nothing(model, doctor):
    other, third = MembershipFactory(doctor=True), MembershipFactory(doctor=True)
    study = result_of(model, doctor.clinic)
    result_of(model, other.clinic)

    recall(model)

    assert [len(notices(m)) for m in (doctor, other, third)] == [1, 1, 0]
    with clinic_scope(doctor.clinic_id):
        rows = list(recall_rows(recall_results(user=doctor.user, version=model)))
    assert [row.study_id for row in rows] == [study.pk]
    with clinic_scope(doctor.clinic_id):
        assert list(recall_results(user=other.user, version=model)) == []


def test_the_list_names_the_report(model, doctor):
    study = result_of(model, doctor.clinic)
    report = signed(study, doctor.user)
    recall(model)

    with clinic_scope(doctor.clinic_id):
        [row] = recall_rows(recall_results(user=doctor.user, version=model))
    assert (row.report_id, row.report_number, row.signer) == (report.pk, 1, "Dr. Signer")
    assert (row.verdict, row.probability) == ("definite", 0.9)


def test_mails_say_nothing_of_a_patient_and_are_sent_once(model, doctor, mailoutbox):
    study = result_of(model, doctor.clinic)
    change = recall(model)

    assert recall_mails_send(change=change) == (1, 0)
    assert recall_mails_send(change=change) == (0, 0)

    [mail] = mailoutbox
    assert mail.to == [doctor.user.email]
    assert "misses children" in mail.body
    with clinic_scope(doctor.clinic_id):
        patient = study.patient
    for secret in (patient.family_name, patient.record_number, str(study.pk)):
        assert secret not in mail.body + mail.subject


def test_mails_that_were_not_sent_are_sent_by_running_the_command_again(
    model, doctor, mailoutbox, monkeypatch
):
    result_of(model, doctor.clinic)

    def refuse(**_mail):
        raise SMTPException

    with monkeypatch.context() as patch:
        patch.setattr("diagnosis.services.model_recalls.send_mail", refuse)
        with pytest.raises(CommandError, match="1 mails were not sent"):
            call_command("model_recall", "m", "1", "--reason", "bad", stdout=io.StringIO())
    assert ModelVersion.objects.get().is_recalled

    out = io.StringIO()
    call_command("model_recall", "m", "1", "--reason", "bad", stdout=out)
    assert out.getvalue() == "mails sent: 1\n"
    assert len(mailoutbox) == 1
    assert ModelChange.objects.filter(kind="recall").count() == 1


def test_a_notice_is_shown_until_its_reader_confirms_it(model, doctor):
    stranger = MembershipFactory(doctor=True)
    result_of(model, doctor.clinic)
    recall(model)
    with clinic_scope(doctor.clinic_id):
        [notice] = recall_notices_unseen(user=doctor.user)
        recall_notice_confirm(actor=stranger.user, pk=notice.pk)
        assert recall_notices_unseen(user=doctor.user).count() == 1

        recall_notice_confirm(actor=doctor.user, pk=notice.pk)

        assert recall_notices_unseen(user=doctor.user).count() == 0


def test_what_cannot_be_recalled(model):
    with pytest.raises(RefusedInputError, match="reason_required"):
        model_recall(actor=None, version=model, reason="")
    with pytest.raises(PermissionDenied):
        model_recall(actor=UserFactory(), version=model, reason="mine")
    with pytest.raises(ConflictError, match="model_registry_changed"):
        recall(model, revision=99)
    recall(model)
    with pytest.raises(ConflictError, match="model_recalled"):
        recall(model)


def test_members_without_a_role_for_it_are_not_told(model, doctor):
    MembershipFactory(clinic=doctor.clinic, roles=[Role.CLINIC_ADMIN])
    result_of(model, doctor.clinic)

    recall(model)

    assert [notice.user for notice in notices(doctor)] == [doctor.user]
