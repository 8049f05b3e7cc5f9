"""Shadow versions read beside the active one: compared, never shown, never in the way."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from accounts.tenancy import clinic_scope
from diagnosis import tasks
from diagnosis.models import Analysis, Finding, ModelVersion, ShadowRun, Study
from diagnosis.services.shadow_runs import shadow_claim_next, shadows_sweep
from ml.contracts import ModelArtifactError, UnreadableImageError
from tests.diagnosis.test_analyses_run import fresh, queued, raising
from tests.factories import AnalysisFactory
from tests.support.predictors import MODEL, ScriptedPredictor, prediction, put_in_charge

pytestmark = pytest.mark.django_db

OTHER = replace(MODEL, name="other", version="7", sha256="c" * 64)


@pytest.fixture
def active(monkeypatch):
    scripted = ScriptedPredictor(prediction(0.1))
    put_in_charge(monkeypatch, scripted)
    return scripted


@pytest.fixture
def shadow(monkeypatch, active):
    def say(answer) -> ScriptedPredictor:
        scripted = ScriptedPredictor(answer, info=OTHER)
        put_in_charge(monkeypatch, scripted, stage="shadow")
        return scripted

    return say


def runs(clinic_id) -> list[ShadowRun]:
    with clinic_scope(clinic_id):
        return list(ShadowRun.objects.order_by("created_at"))


def read(analysis: Analysis) -> ShadowRun:
    """Let the active version read the image, then the shadow; return the shadow's run."""
    tasks.run_next_analysis()
    tasks.run_next_shadow()
    [run] = runs(analysis.clinic_id)
    return run


def test_the_shadow_reads_after_the_active_one_and_nothing_of_it_reaches_the_study(shadow):
    shadow(prediction(0.95, model=OTHER))
    analysis = queued()

    run = read(analysis)

    assert (run.status, run.verdict, run.probability) == ("succeeded", "definite", 0.95)
    assert run.boxes == [[10.0, 20.0, 30.0, 40.0, 0.95]]
    assert run.analysis_id == analysis.pk
    study = fresh(analysis.image.study)
    assert (study.verdict, study.probability) == ("negative", 0.1)
    assert "other" not in str(study.result)
    with clinic_scope(analysis.clinic_id):
        assert Analysis.objects.count() == 1
        assert not Finding.objects.exists()


def test_while_anything_real_is_due_no_shadow_runs(shadow):
    other = shadow(prediction(0.9, model=OTHER))
    analysis = queued()
    tasks.run_next_analysis()
    waiting = queued()

    assert tasks.run_next_shadow() == 0

    tasks.run_next_analysis()
    assert other.calls == 0
    assert tasks.run_next_shadow() == 2
    assert runs(analysis.clinic_id)[0].status == runs(waiting.clinic_id)[0].status == "succeeded"


def test_one_shadow_runs_at_a_time_in_the_whole_site(shadow):
    shadow(prediction(0.9, model=OTHER))
    queued(), queued()
    tasks.run_next_analysis()

    assert shadow_claim_next() is not None
    assert shadow_claim_next() is None


def test_an_image_that_is_analysed_again_is_not_read_again_in_shadow(shadow):
    other = shadow(prediction(0.9, model=OTHER))
    analysis = queued()
    read(analysis)
    AnalysisFactory(image=analysis.image)

    read(analysis)

    assert other.calls == 1


def test_a_shadow_that_does_not_cover_the_image_is_not_asked(shadow):
    shadow(prediction(0.9, model=OTHER))
    ModelVersion.objects.filter(name="other").update(modalities=["CT"])
    analysis = queued()

    tasks.run_next_analysis()

    assert runs(analysis.clinic_id) == []


def test_a_shadow_that_ended_meanwhile_is_not_run(shadow):
    other = shadow(prediction(0.9, model=OTHER))
    analysis = queued()
    tasks.run_next_analysis()
    ModelVersion.objects.filter(name="other").update(stage="registered")

    tasks.run_next_shadow()

    [run] = runs(analysis.clinic_id)
    assert (run.status, other.calls) == ("cancelled", 0)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UnreadableImageError("damaged_file"), "failed", "damaged_file"),
        (ModelArtifactError("gone"), "failed", "model"),
        (OSError(), "queued", "storage"),
        (ZeroDivisionError(), "queued", "internal"),
    ],
)
def test_a_broken_shadow_harms_nobody(shadow, error, status, code):
    shadow(raising(error))
    analysis = queued()

    run = read(analysis)

    assert (run.status, run.error_code) == (status, code)
    assert fresh(analysis).status == "succeeded"
    assert fresh(analysis.image.study).status == "ready"


def test_a_run_whose_worker_died_each_time_ends(shadow):
    shadow(prediction(0.9, model=OTHER))
    analysis = queued()
    tasks.run_next_analysis()
    for _ in range(3):
        assert shadow_claim_next() is not None
        with clinic_scope(analysis.clinic_id):
            ShadowRun.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    assert shadow_claim_next() is None

    shadows_sweep()

    [run] = runs(analysis.clinic_id)
    assert (run.status, run.error_code) == ("failed", "worker_lost")


def test_shadow_runs_are_seen_in_their_clinic_only(shadow):
    shadow(prediction(0.9, model=OTHER))
    read(queued())

    assert ShadowRun.objects.count() == 0
    assert Study.objects.count() == 0
