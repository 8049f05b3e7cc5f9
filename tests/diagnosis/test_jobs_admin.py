"""The operations desk: jobs by id and state for operators, clinical rows for members only."""

import pytest
from django.urls import reverse

from accounts.models import AuditEvent, Role
from accounts.tenancy import clinic_scope
from diagnosis.models import Analysis, ModelVersion
from tests.factories import (
    AnalysisFactory,
    ClinicFactory,
    MembershipFactory,
    ModelVersionFactory,
    PatientFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db

JOBS = "admin:diagnosis_joboverview_changelist"
PATIENTS = "admin:diagnosis_patient_changelist"


@pytest.fixture
def operator():
    return UserFactory(is_staff=True, is_superuser=True)


@pytest.fixture
def desk(client, operator):
    client.force_login(operator)
    return client


def act(desk, action: str, *rows, url=JOBS):
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return desk.post(reverse(url), data, follow=True)


def status(analysis: Analysis) -> str:
    with clinic_scope(analysis.clinic_id):
        return Analysis.objects.get(pk=analysis.pk).status


def test_operators_see_jobs_of_all_clinics(desk):
    rows = [AnalysisFactory(), AnalysisFactory(failed=True)]

    page = desk.get(reverse(JOBS))

    assert page.status_code == 200
    for row in rows:
        assert str(row.pk) in page.content.decode()


def test_cancel_and_requeue_are_done_by_services_and_audited(desk, operator):
    analysis = AnalysisFactory()

    act(desk, "cancel", analysis)
    assert status(analysis) == "cancelled"
    act(desk, "requeue", analysis)
    assert status(analysis) == "queued"

    with clinic_scope(analysis.clinic_id):
        events = AuditEvent.objects.filter(target_id=analysis.pk).order_by("id")
        assert [(e.action, e.actor_id) for e in events] == [
            ("analysis.cancel", operator.pk),
            ("analysis.requeue", operator.pk),
        ]


def test_a_job_whose_state_does_not_allow_it_is_named_and_the_others_go_on(desk):
    done, waiting = AnalysisFactory(succeeded=True), AnalysisFactory()

    page = act(desk, "cancel", done, waiting)

    assert (status(done), status(waiting)) == ("succeeded", "cancelled")
    text = page.content.decode()
    assert "Jobs changed: 1." in text
    assert "Jobs whose state does not allow it: 1." in text


def test_jobs_cannot_be_edited_or_deleted_here(desk):
    analysis = AnalysisFactory()
    for page in ("change", "delete"):
        url = reverse(f"admin:diagnosis_joboverview_{page}", args=[analysis.pk])
        assert desk.post(url, {"status": "succeeded", "post": "yes"}).status_code == 403
    assert desk.get(reverse("admin:diagnosis_joboverview_add")).status_code == 403
    assert status(analysis) == "queued"


def test_no_model_is_chosen_here_because_that_needs_a_reason_and_the_page(desk):
    active, other = ModelVersionFactory(stage="active"), ModelVersionFactory()
    url = "admin:diagnosis_modelversion_changelist"

    act(desk, "activate", other, url=url)

    assert ModelVersion.objects.get(stage="active") == active
    assert other.sha256 in desk.get(reverse(url)).content.decode()


def test_an_operator_without_membership_sees_no_clinical_row(desk):
    patient = PatientFactory()

    assert desk.get(reverse(PATIENTS)).status_code == 403
    url = reverse("admin:diagnosis_patient_change", args=[patient.pk])
    assert desk.get(url).status_code in {302, 403}
    assert "patients" not in desk.get(reverse("admin:index")).content.decode().lower()


def test_a_member_sees_the_rows_of_the_current_clinic_only_and_each_look_is_audited(desk, operator):
    own, foreign = PatientFactory(), PatientFactory(record_number="FOREIGN-1")
    MembershipFactory(user=operator, clinic=own.clinic, roles=[Role.CLINIC_ADMIN])

    page = desk.get(reverse(PATIENTS)).content.decode()
    assert own.record_number in page
    assert "FOREIGN-1" not in page

    assert desk.get(reverse("admin:diagnosis_patient_change", args=[own.pk])).status_code == 200
    with clinic_scope(own.clinic_id):
        event = AuditEvent.objects.get(action="admin.view")
    assert (event.actor_id, event.patient_id) == (operator.pk, own.pk)
    missing = desk.get(reverse("admin:diagnosis_patient_change", args=[foreign.pk]))
    assert missing.status_code == 302  # Django's way of saying that there is no such row
    with clinic_scope(own.clinic_id):
        assert AuditEvent.objects.filter(action="admin.view").count() == 1


@pytest.mark.parametrize("name", ["study", "studyimage", "analysis", "report"])
def test_other_clinical_lists_open_for_members(desk, operator, name):
    analysis = AnalysisFactory(succeeded=True)
    MembershipFactory(user=operator, clinic=analysis.clinic)

    assert desk.get(reverse(f"admin:diagnosis_{name}_changelist")).status_code == 200


def test_each_list_of_clinical_rows_is_audited_once(desk, operator):
    patient = PatientFactory()
    MembershipFactory(user=operator, clinic=patient.clinic, roles=[Role.CLINIC_ADMIN])

    desk.get(reverse(PATIENTS))
    desk.get(reverse("admin:diagnosis_study_changelist"), {"status": "ready"})

    with clinic_scope(patient.clinic_id):
        events = AuditEvent.objects.filter(action="admin.list").order_by("id")
        assert [(e.actor_id, e.details) for e in events] == [
            (operator.pk, {"model": "diagnosis.patient"}),
            (operator.pk, {"model": "diagnosis.study"}),
        ]


def test_a_list_that_is_refused_is_no_look(desk):
    clinic = PatientFactory().clinic

    assert desk.get(reverse(PATIENTS)).status_code == 403

    with clinic_scope(clinic.pk):
        assert not AuditEvent.objects.filter(action="admin.list").exists()


def test_people_who_do_not_operate_the_site_have_no_desk(client):
    member = MembershipFactory(clinic=ClinicFactory(), roles=[Role.CLINIC_ADMIN])
    client.force_login(member.user)

    assert client.get(reverse(JOBS)).status_code in {302, 403, 404}
