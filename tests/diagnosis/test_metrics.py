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

    with django_assert_num_queries(7):
        found = figures(client)

    assert 90 <= found["oldest_queued_seconds", "analysis"] < 100
    assert found["jobs_open", "analysis", "queued"] == 2
    assert found["jobs_ended_recently", "", "analysis", "succeeded"] == 2  # labels by name
    assert found["job_wait_seconds", "analysis", "0.5"] == pytest.approx(2)
    assert found["job_work_seconds", "analysis", "0.95"] == pytest.approx(1)


def finished(count: int, *, days_ago: float, **values) -> None:
    """Results of as many clinics, of some days ago."""
    for _ in range(count):
        done = AnalysisFactory(succeeded=True)
        with clinic_scope(done.clinic_id):
            ended = timezone.now() - timedelta(days=days_ago)
            Analysis.objects.filter(pk=done.pk).update(finished_at=ended, **values)


NEGATIVE = {"verdict": "negative", "probability": 0.1}


def test_the_mix_of_verdicts_and_the_stages_are_told_over_all_clinics(client, token):
    finished(2, days_ago=0, timings_ms={"decode": 20.0, "forward": 100.0})
    finished(1, days_ago=0, timings_ms={"decode": 40.0, "forward": 300.0}, **NEGATIVE)
    finished(3, days_ago=2, timings_ms={"decode": 9000.0}, **NEGATIVE)

    found = figures(client)

    assert found["results_of_a_day", "definite"] == 2
    assert found["results_of_a_day", "negative"] == 1
    assert found["results_of_a_day", "cannot_assess"] == 0
    assert found["analysis_stage_seconds", "0.5", "decode"] == pytest.approx(0.02)
    assert found["analysis_stage_seconds", "0.95", "forward"] == pytest.approx(0.28)
    assert ("verdict_drift",) not in found  # too few for a verdict on verdicts


def test_drift_is_small_for_the_same_mix_and_large_for_another(client, token, monkeypatch):
    monkeypatch.setattr("fracture_site.metrics._ENOUGH", 8)
    finished(4, days_ago=0)
    finished(4, days_ago=0, **NEGATIVE)
    finished(5, days_ago=9)
    finished(5, days_ago=9, **NEGATIVE)
    assert figures(client)["verdict_drift",] == pytest.approx(0, abs=0.01)

    finished(12, days_ago=0)

    assert figures(client)["verdict_drift",] > 0.25


def test_nothing_of_clinic_or_study_is_told(client, token):
    image = StudyImageFactory()
    AnalysisFactory(image=image, status="queued")

    text = client.get("/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}").content.decode()

    assert str(image.clinic_id) not in text
    assert str(image.study_id) not in text
