"""What monitoring may see: figures of the job table, for the bearer of the token alone."""

from datetime import timedelta

import pytest
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from accounts.tenancy import clinic_scope
from diagnosis.models import Analysis
from tests.factories import AnalysisFactory, StudyImageFactory

pytestmark = pytest.mark.django_db
TOKEN = "a-token-of-the-monitoring"


def figures(client) -> dict[tuple[str, ...], float]:
    response = client.get("/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")
    assert response.status_code == 200, response.content
    return {
        (sample.name.removeprefix("fracture_site_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


@pytest.fixture
def token(settings):
    settings.METRICS_TOKEN = TOKEN


@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer wrong", TOKEN])
def test_strangers_find_no_such_page(client, token, given):
    assert client.get("/metrics", HTTP_AUTHORIZATION=given).status_code == 404


def test_without_a_token_in_the_settings_nobody_is_answered(client, settings):
    settings.METRICS_TOKEN = ""

    assert client.get("/metrics", HTTP_AUTHORIZATION="Bearer ").status_code == 404


def test_an_idle_site_says_zero_instead_of_nothing(client, token):
    found = figures(client)

    assert found["oldest_queued_seconds", "analysis"] == 0
    assert found["jobs_open", "delivery", "queued"] == 0


def test_queue_age_states_and_times_are_those_of_the_rows(client, token, django_assert_num_queries):
    now = timezone.now()
    AnalysisFactory(status="queued", due_at=now - timedelta(seconds=90))
    AnalysisFactory(status="queued", due_at=now + timedelta(seconds=90))  # not due yet
    for wait in (1, 3):
        done = AnalysisFactory(succeeded=True)
        created = now - timedelta(seconds=60)
        with clinic_scope(done.clinic_id):
            Analysis.objects.filter(pk=done.pk).update(
                created_at=created,
                started_at=created + timedelta(seconds=wait),
                finished_at=created + timedelta(seconds=wait + 1),
            )

    with django_assert_num_queries(6):
        found = figures(client)

    assert 90 <= found["oldest_queued_seconds", "analysis"] < 100
    assert found["jobs_open", "analysis", "queued"] == 2
    assert found["jobs_ended_recently", "", "analysis", "succeeded"] == 2  # labels by name
    assert found["job_wait_seconds", "analysis", "0.5"] == pytest.approx(2)
    assert found["job_work_seconds", "analysis", "0.95"] == pytest.approx(1)


def test_nothing_of_clinic_or_study_is_told(client, token):
    image = StudyImageFactory()
    AnalysisFactory(image=image, status="queued")

    text = client.get("/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}").content.decode()

    assert str(image.clinic_id) not in text
    assert str(image.study_id) not in text
