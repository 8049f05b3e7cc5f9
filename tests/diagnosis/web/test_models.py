"""The page of models: administrators look, operators change with reason and password."""

import csv
import io

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.tenancy import clinic_scope
from diagnosis.models import ModelVersion, TrainingConsent
from diagnosis.services.model_recalls import model_recall
from diagnosis.services.model_registry import model_revision
from diagnosis.services.study_results import study_refresh
from diagnosis.web.model_cards import card_html, figures
from tests.factories import (
    PASSWORD,
    AnalysisFactory,
    MembershipFactory,
    ModelVersionFactory,
    ShadowRunFactory,
    StudyImageFactory,
)

pytestmark = pytest.mark.django_db
LIST = "diagnosis:model-list"


@pytest.fixture(autouse=True)
def stored(monkeypatch):
    monkeypatch.setattr("diagnosis.services.model_stages.model_files_stored", lambda _row: True)


@pytest.fixture
def admin(client):
    membership = MembershipFactory(clinic_admin=True)
    client.force_login(membership.user)
    return membership


@pytest.fixture
def operator(admin):
    admin.user.is_staff = True
    admin.user.save()
    right = Permission.objects.get(codename="change_modelversion")
    admin.user.user_permissions.add(right)
    return admin


def change(client, model, verb, **values):
    data = {"reason": "better", "password": PASSWORD, "revision": model_revision()} | values
    url = reverse("diagnosis:model-change", args=[model.pk, verb])
    return client.post(url, data, follow=True)


def test_administrators_see_and_cannot_change(client, admin):
    model = ModelVersionFactory(card="# Card", manifest={"metrics": {"auroc": {"value": 0.9}}})

    assert str(model) in client.get(reverse(LIST)).content.decode()
    page = client.get(reverse("diagnosis:model-detail", args=[model.pk])).content.decode()
    assert "<h1>Card</h1>" in page
    assert "0.900" in page
    assert 'name="reason"' not in page
    assert change(client, model, "activate").status_code == 403
    assert ModelVersion.objects.get().stage == "registered"


@pytest.mark.parametrize("role", ["doctor", "technician"])
def test_others_are_refused_and_nobody_signs_in(client, role):
    url = reverse(LIST)
    assert client.get(url).status_code == 302
    client.force_login(MembershipFactory(**{role: True}).user)

    assert client.get(url).status_code == 403


def test_an_operator_without_a_clinic_sees_models_and_no_clinic(client):
    from tests.factories import UserFactory

    staff = UserFactory(is_staff=True, is_superuser=True)
    client.force_login(staff)
    model = ModelVersionFactory()

    assert client.get(reverse(LIST)).status_code == 200
    page = client.get(reverse("diagnosis:model-detail", args=[model.pk]))
    assert page.status_code == 200
    assert "comparison" not in page.context


def test_an_operator_activates_and_rolls_back(client, operator):
    old = ModelVersionFactory(name="m", version="1", stage="active")
    new = ModelVersionFactory(name="m", version="2")

    change(client, new, "shadow")
    assert ModelVersion.objects.get(pk=new.pk).stage == "shadow"
    change(client, new, "activate")
    assert ModelVersion.objects.get(stage="active") == new
    values = {"reason": "worse", "password": PASSWORD, "revision": model_revision()}
    client.post(reverse("diagnosis:model-rollback"), values)

    assert ModelVersion.objects.get(stage="active") == old
    events = AuditEvent.objects.filter(action__startswith="model.")
    assert {event.actor for event in events} == {operator.user}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"password": "wrong"}, "password or code is not right"),
        ({"reason": " "}, "Say why"),
        ({"revision": 999}, "Somebody changed the models"),
    ],
)
def test_without_proof_reason_or_the_present_state_nothing_changes(client, operator, values, said):
    model = ModelVersionFactory()

    page = change(client, model, "activate", **values)

    assert said in page.content.decode()
    assert ModelVersion.objects.get().stage == "registered"


def test_an_unknown_verb_or_model_is_404(client, operator):
    model = ModelVersionFactory()
    assert change(client, model, "delete").status_code == 404
    model.pk = "00000000-0000-4000-8000-000000000000"
    assert change(client, model, "activate").status_code == 404


def test_the_shadow_is_compared_for_this_clinic_only(client, admin):
    model = ModelVersionFactory(stage="shadow")
    image = StudyImageFactory(study__patient__clinic=admin.clinic)
    active = AnalysisFactory(image=image, succeeded=True, verdict="negative", probability=0.1)
    ShadowRunFactory(analysis=active, model_version=model, succeeded=True)
    ShadowRunFactory(model_version=model, succeeded=True)  # another clinic's

    page = client.get(reverse("diagnosis:model-detail", args=[model.pk]))

    comparison = page.context["comparison"]
    assert (comparison.count, comparison.agreement.hits) == (1, 0)
    assert comparison.mean_difference == pytest.approx(0.8)
    assert [pair.image_id for pair in comparison.discordant] == [image.pk]


def test_a_recall_is_marked_listed_and_confirmed(client, operator, mailoutbox):
    model = ModelVersionFactory(name="m", version="1", stage="active")
    doctor = MembershipFactory(clinic=operator.clinic, doctor=True)
    image = StudyImageFactory(study__patient__clinic=operator.clinic)
    analysis = AnalysisFactory(image=image, succeeded=True, model_version=model)
    with clinic_scope(operator.clinic_id):
        study_refresh(study_id=image.study_id)

    change(client, model, "recall", reason="=cmd()")

    assert len(mailoutbox) == 1
    page = client.get(reverse("diagnosis:model-detail", args=[model.pk])).content.decode()
    assert "1 result of this clinic" in page
    answer = client.get(reverse("diagnosis:model-recall-csv", args=[model.pk]))
    [row] = csv.DictReader(io.StringIO(answer.content.decode()))
    assert (row["analysis_id"], row["verdict"]) == (str(analysis.pk), "definite")
    with clinic_scope(operator.clinic_id):
        event = AuditEvent.objects.get(action="model.recall.export", outcome="success")
        assert event.details == {"rows": 1}
    client.force_login(MembershipFactory(clinic=operator.clinic, technician=True).user)
    assert client.get(answer.request["PATH_INFO"]).status_code == 403
    client.force_login(doctor.user)
    assert client.get(answer.request["PATH_INFO"]).content == answer.content
    study = client.get(reverse("diagnosis:study-detail", args=[image.study_id])).content.decode()
    assert "was recalled" in study
    worklist = client.get(reverse("diagnosis:worklist"))
    [notice] = worklist.context["recall_notices"]
    client.post(reverse("diagnosis:recall-notice", args=[notice.pk]))
    assert not client.get(reverse("diagnosis:worklist")).context["recall_notices"]


def test_the_list_of_a_version_that_was_not_recalled_does_not_exist(client, admin):
    model = ModelVersionFactory()
    assert client.get(reverse("diagnosis:model-recall-csv", args=[model.pk])).status_code == 404


def test_consent_needs_an_administrator_and_a_password(client, admin):
    url = reverse("diagnosis:training-consent")
    client.post(url, {"granted": "yes", "password": "wrong"})
    with clinic_scope(admin.clinic_id):
        assert not TrainingConsent.objects.exists()
    for granted in ("yes", "yes", "no"):
        client.post(url, {"granted": granted, "password": PASSWORD})
    with clinic_scope(admin.clinic_id):
        consent = TrainingConsent.objects.get()
        actions = AuditEvent.objects.filter(target_id=consent.pk).values_list("action", flat=True)
        assert sorted(actions) == ["training.consent", "training.withdraw"]
    assert consent.withdrawn_by == admin.user
    client.force_login(MembershipFactory(clinic=admin.clinic, doctor=True).user)
    assert client.post(url, {"granted": "yes", "password": PASSWORD}).status_code == 403


def test_the_api_says_that_a_result_was_recalled(client):
    doctor = MembershipFactory(doctor=True)
    model = ModelVersionFactory(name="m", version="1")
    image = StudyImageFactory(study__patient__clinic=doctor.clinic)
    AnalysisFactory(image=image, succeeded=True, model_version=model)
    with clinic_scope(doctor.clinic_id):
        study_refresh(study_id=image.study_id)
    client.force_login(doctor.user)
    url = f"/api/v1/studies/{image.study_id}/"
    assert client.get(url).json()["recalled"] is False

    model_recall(actor=None, version=model, reason="bad")

    assert client.get(url).json()["recalled"] is True


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[click](javascript:alert(1))",
        "![x](https://elsewhere.example/pixel.png)",
        "<https://elsewhere.example>",
        "| a |\n|---|\n| <b onclick=x>y</b> |",
    ],
)
def test_a_card_brings_no_markup_of_its_author(hostile):
    shown = card_html(hostile)

    for word in ("<script", "<img", "<a ", "<b ", "onerror=alert(1)>"):
        assert word not in shown


def test_figures_leave_out_what_is_no_figure():
    metrics = {"part": "test", "pictures": 10, "ece": {"value": 0.1}, "bad": {"value": "x"},
               "auroc": {"value": 0.9, "ci95": [0.8, 0.95], "n": 10}, "flag": True}  # fmt: skip

    shown = figures(metrics, {"auroc": {"value": 0.8}})

    assert [figure.name for figure in shown] == ["AUROC", "Calibration error (ECE)"]
    assert shown[0].difference == pytest.approx(0.1)
    assert (shown[0].low, shown[0].high, shown[0].count) == (0.8, 0.95, 10)
