"""Critical results, and readers who must not know yet what the AI has found."""

import pytest
from django.urls import reverse

from accounts.tenancy import clinic_scope
from diagnosis.models import AlertRecipient, Study
from diagnosis.selectors.alerts import alert_get, alert_list, alert_of_study, alerts_open_count
from diagnosis.selectors.patient_page import study_steps
from diagnosis.services.alerts import alert_acknowledge
from diagnosis.services.first_reads import first_read_give
from fracture_site.common.errors import ConflictError
from tests.diagnosis.api.conftest import client_of
from tests.diagnosis.web.test_pages import full_study
from tests.factories import AlertFactory, MembershipFactory

pytestmark = pytest.mark.django_db
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture
def learner():
    return MembershipFactory(doctor=True, in_training=True)


@pytest.fixture
def colleague(learner):
    return MembershipFactory(doctor=True, clinic=learner.clinic)


@pytest.fixture
def alert(learner):
    image = full_study(learner.clinic)
    with clinic_scope(learner.clinic_id):
        yield AlertFactory(study=image.study)


@pytest.fixture
def told(alert, learner):
    AlertRecipient.objects.create(
        clinic_id=alert.clinic_id, alert=alert, user=learner.user, level=0
    )
    return alert


def test_who_was_not_told_learns_nothing(alert, learner, colleague, client):
    assert not alert_list(user=learner.user).exists()
    assert alert_list(user=colleague.user).get() == alert
    client.force_login(learner.user, backend=BACKEND)
    page = client.get(reverse("diagnosis:alert-list")).content.decode()
    assert str(alert.study_id) not in page
    assert client_of(learner).get("/api/v1/alerts/").json()["results"] == []
    answer = client_of(learner).post(f"/api/v1/alerts/{alert.pk}/acknowledge/")
    assert answer.status_code == 404


def test_who_was_told_is_asked_to_read_and_not_told_what(told, learner, client):
    assert alerts_open_count(user=learner.user) == 1
    assert alert_of_study(user=learner.user, study=told.study) is None
    client.force_login(learner.user, backend=BACKEND)
    page = client.get(reverse("diagnosis:alert-list")).content.decode()
    assert "answer for yourself first" in page
    for word in ("verdict-definite", "I know and see to it", "nobody has acknowledged"):
        assert word not in page
    assert (
        "Critical result:"
        not in client.get(reverse("diagnosis:study-detail", args=[told.study_id])).content.decode()
    )
    [row] = client_of(learner).get("/api/v1/alerts/").json()["results"]
    assert row["read_first"] is True


def test_acknowledging_comes_after_the_own_answer(told, learner, colleague):
    with pytest.raises(ConflictError, match="first_read_missing"):
        alert_acknowledge(actor=learner.user, alert=alert_get(user=learner.user, pk=told.pk))
    answer = client_of(learner).post(f"/api/v1/alerts/{told.pk}/acknowledge/")
    assert (answer.status_code, answer.json()["code"]) == (409, "first_read_missing")
    first_read_give(actor=learner.user, study=told.study, answer="no")
    seen = alert_get(user=learner.user, pk=told.pk)
    assert seen.is_masked is False
    assert alert_of_study(user=learner.user, study=told.study) == told
    done = alert_acknowledge(actor=learner.user, alert=seen)
    assert done.acknowledged_by == learner.user


def test_a_colleagues_answer_is_no_hint_either(told, learner, colleague):
    alert_acknowledge(actor=colleague.user, alert=told)
    study = Study.objects.get()

    def words(member):
        return {step.what for step in study_steps(user=member.user, studies=[study])[study.pk]}

    assert "acknowledged" in words(colleague)
    assert "acknowledged" not in words(learner)
