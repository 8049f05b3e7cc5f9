"""The worker's way through one image: every ending is stored once, with a code people see."""

import hashlib
import io
from datetime import timedelta

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import OperationalError, connection
from django.db.models.functions import Now
from PIL import Image

from accounts.models import AuditEvent
from accounts.tenancy import clinic_scope
from diagnosis import storage, tasks
from diagnosis.models import Analysis, Finding, ModelVersion, Study, StudyImage
from diagnosis.services.analysis_runs import (
    analyses_sweep,
    analysis_claim_next,
    analysis_compute,
    analysis_succeed,
)
from ml.contracts import Box, Certainty, FindingPrediction, ModelArtifactError, UnreadableImageError
from tests.factories import (
    AnalysisFactory,
    ClinicFactory,
    ModelVersionFactory,
    StudyImageFactory,
)
from tests.support.predictors import MODEL, ScriptedPredictor, prediction, put_in_charge

pytestmark = pytest.mark.django_db


@pytest.fixture
def predictor(monkeypatch) -> ScriptedPredictor:
    scripted = ScriptedPredictor(prediction(0.9))
    put_in_charge(monkeypatch, scripted)
    return scripted


@pytest.fixture
def answers(monkeypatch):
    def say(answer, **options) -> ScriptedPredictor:
        scripted = ScriptedPredictor(answer, **options)
        put_in_charge(monkeypatch, scripted)
        return scripted

    return say


def stored_image(**values) -> StudyImage:
    data = b"bytes of a served copy"
    key = storage.object_put(data=data, kind="served", content_type="image/png")
    return StudyImageFactory(
        served_key=key, served_sha256=hashlib.sha256(data).hexdigest(), **values
    )


def queued(**values) -> Analysis:
    return AnalysisFactory(image=stored_image(**values))


def fresh(row):
    rows = type(row).objects.all()
    if isinstance(row, Analysis):
        rows = rows.select_related("image__study", "model_version")
    with clinic_scope(row.clinic_id):
        return rows.get(pk=row.pk)


def findings_of(analysis: Analysis) -> list[Finding]:
    with clinic_scope(analysis.clinic_id):
        return list(analysis.findings.all())


def heatmaps() -> set[str]:
    return {p.name for p in settings.PRIVATE_MEDIA_ROOT.glob("heatmaps/**/*.png")}


def raising(error: BaseException):
    def answer(_data: bytes):
        raise error

    return answer


def test_a_result_is_stored_with_findings_heatmap_and_the_models_identity(predictor):
    analysis = queued()

    assert tasks.run_next_analysis() == 1

    row = fresh(analysis)
    assert (row.status, row.verdict, row.probability) == ("succeeded", "definite", 0.9)
    assert row.thresholds == {"suspicion": 0.3, "definite": 0.7}
    assert row.model_version.sha256 == MODEL.sha256
    assert (row.preprocessing_version, row.calibration_id) == ("p1", "c1")
    assert row.timings_ms["total"] == 3.0
    (finding,) = findings_of(analysis)
    assert (finding.x, finding.y, finding.width, finding.height) == (10, 20, 30, 40)
    heatmap = Image.open(io.BytesIO(storage.object_read(row.heatmap_key)))
    assert (heatmap.mode, heatmap.size, heatmap.format) == ("L", (12, 16), "PNG")
    study = fresh(row.image.study)
    assert (study.status, study.verdict, study.probability) == ("ready", "definite", 0.9)
    with clinic_scope(row.clinic_id):
        event = AuditEvent.objects.get(target_id=row.pk)
    assert (event.action, event.actor, event.patient_id) == (
        "analysis.succeeded",
        None,
        study.patient_id,
    )


def test_second_delivery_changes_nothing(predictor):
    queued()
    tasks.run_next_analysis()

    assert tasks.run_next_analysis() == 0
    assert predictor.calls == 1


def test_one_delivery_works_off_everything_that_is_due(predictor):
    for _ in range(4):
        queued()

    assert tasks.run_next_analysis() == 4


def test_a_task_that_has_worked_long_enough_wakes_the_next_one(predictor, monkeypatch, settings):
    settings.JOB_TASK_BUDGET = timedelta(0)
    woken = []
    monkeypatch.setattr(tasks, "wake_workers", lambda: woken.append(True))
    queued()
    queued()

    assert tasks.run_next_analysis() == 1
    assert woken == [True]


def test_people_see_that_a_study_is_being_analysed(answers):
    analysis = queued()
    seen = []

    def answer(_data: bytes):
        seen.append(fresh(analysis.image.study).status)
        return prediction(0.1)

    answers(answer)
    tasks.run_next_analysis()

    assert seen == ["running"]


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_the_model_computes(answers):
    queued()
    seen = []

    def answer(_data: bytes):
        seen.append(connection.in_atomic_block)
        return prediction(0.1)

    answers(answer)
    tasks.run_next_analysis()

    assert seen == [False]


def test_slow_worker_cannot_overwrite_a_newer_result(predictor):
    analysis = queued()
    slow = analysis_claim_next()
    result = analysis_compute(claim=slow)
    with clinic_scope(slow.clinic_id):
        Analysis.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    fast = analysis_claim_next()
    assert analysis_succeed(claim=fast, result=result) is True
    before = heatmaps()

    assert analysis_succeed(claim=slow, result=result) is False

    assert len(findings_of(analysis)) == 1
    assert heatmaps() == before


def test_a_claim_that_went_stale_before_it_began_computes_nothing(predictor):
    queued()
    stale = analysis_claim_next()
    with clinic_scope(stale.clinic_id):
        Analysis.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    analysis_claim_next()

    assert analysis_compute(claim=stale) is None
    assert predictor.calls == 0


def test_unreadable_image_fails_at_once_and_is_not_queued_again(answers):
    analysis = queued()
    answers(raising(UnreadableImageError("damaged_file", "text for developers")))

    tasks.run_next_analysis()

    row = fresh(analysis)
    assert (row.status, row.error_code, row.attempts) == ("failed", "damaged_file", 1)
    assert fresh(row.image.study).status == "failed"
    assert tasks.run_next_analysis() == 0


def test_a_changed_object_is_never_analysed(predictor):
    analysis = queued()
    path = settings.PRIVATE_MEDIA_ROOT / analysis.image.served_key
    path.write_bytes(b"somebody else's picture")

    tasks.run_next_analysis()

    assert (fresh(analysis).status, fresh(analysis).error_code) == ("failed", "damaged_object")
    assert predictor.calls == 0


def test_a_missing_object_fails_for_good(predictor):
    analysis = AnalysisFactory()

    tasks.run_next_analysis()

    assert (fresh(analysis).status, fresh(analysis).error_code) == ("failed", "object_missing")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (storage.StorageError("no answer"), "storage"),
        (OSError(5, "Input/output error"), "storage"),
        (OperationalError("terminating connection"), "database"),
    ],
)
def test_a_part_that_is_down_postpones_the_job_without_costing_an_attempt(
    predictor, monkeypatch, error, code
):
    analysis = queued()

    def no_answer(_key: str) -> bytes:
        raise error

    monkeypatch.setattr("diagnosis.services.integrity.object_read", no_answer)

    tasks.run_next_analysis()

    row = fresh(analysis)
    assert (row.status, row.error_code, row.attempts) == ("queued", code, 0)
    assert fresh(row.image.study).status == "queued"


@pytest.mark.parametrize(
    ("error", "code"),
    [(ZeroDivisionError(), "internal"), (SoftTimeLimitExceeded(), "timeout")],
)
def test_unknown_errors_are_tried_three_times_and_end_with_a_code(answers, error, code):
    analysis = queued()
    answers(raising(error))

    for _ in range(5):
        tasks.run_next_analysis()
        with clinic_scope(analysis.clinic_id):
            Analysis.objects.filter(status="queued").update(due_at=Now())

    row = fresh(analysis)
    assert (row.status, row.error_code, row.attempts) == ("failed", code, 3)


def test_no_text_of_an_error_leaves_through_the_log(answers, caplog):
    queued()
    answers(raising(ZeroDivisionError("Doe, Jane 1970-01-01")))

    tasks.run_next_analysis()

    from fracture_site.common.logs import JsonFormatter

    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert any("ZeroDivisionError" in line for line in lines)
    assert not any("Jane" in line for line in lines)


def test_an_error_while_storing_leaves_neither_findings_nor_a_heatmap(answers):
    analysis = queued()
    before = heatmaps()
    odd = FindingPrediction(Box(1, 1, 5, 5), 7.0, Certainty.DEFINITE)  # the database refuses it
    answers(prediction(0.9, findings=(odd,)))

    tasks.run_next_analysis()

    assert fresh(analysis).status == "queued"
    assert findings_of(analysis) == []
    assert heatmaps() == before


def test_a_worker_without_a_usable_model_takes_no_job():
    analysis = queued()

    ModelVersionFactory(stage="active")  # and its files are not in storage

    assert tasks.run_next_analysis() == 0
    assert (fresh(analysis).status, fresh(analysis).attempts) == ("queued", 0)


def test_a_model_that_vanishes_while_working_gives_the_job_back(answers):
    analysis = queued()
    answers(raising(ModelArtifactError("gone")))

    assert tasks.run_next_analysis() == 0

    assert (fresh(analysis).status, fresh(analysis).attempts) == ("queued", 0)


def test_without_an_active_model_jobs_wait(predictor):
    analysis = queued()
    ModelVersion.objects.update(stage="registered")

    assert tasks.run_next_analysis() == 0

    assert (fresh(analysis).status, fresh(analysis).attempts) == ("queued", 0)


def test_a_model_that_is_taken_away_after_the_claim_gives_the_job_back(predictor):
    analysis = queued()
    claim = analysis_claim_next()
    ModelVersion.objects.update(stage="registered")

    assert tasks.run_analysis(claim) is False

    assert (fresh(analysis).status, fresh(analysis).attempts) == ("queued", 0)


def test_a_study_that_somebody_has_locked_does_not_stop_its_analysis_from_being_put_back(
    predictor, monkeypatch
):
    analysis = queued()

    def locked(**_kwargs):
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr("diagnosis.services.analysis_runs.study_refresh", locked)
    monkeypatch.setattr("diagnosis.services.integrity.object_read", raising(OSError()))

    tasks.run_next_analysis()

    assert (fresh(analysis).status, fresh(analysis).error_code) == ("queued", "storage")


def test_a_poison_file_ends_after_three_attempts_and_others_go_on(predictor):
    clinic = ClinicFactory()
    poison = AnalysisFactory(image=stored_image(study__patient__clinic=clinic), priority=0)
    for _ in range(3):  # each time the worker dies in the middle
        assert analysis_claim_next().job_id == poison.pk
        with clinic_scope(clinic.pk):
            Analysis.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    other = queued()

    report = analyses_sweep()
    tasks.run_next_analysis()

    assert report.ended == 1
    row = fresh(poison)
    assert (row.status, row.error_code, row.attempts) == ("failed", "worker_lost", 3)
    assert fresh(row.image.study).status == "failed"
    assert fresh(other).status == "succeeded"


def test_frames_of_a_loop_are_honestly_not_assessed(predictor):
    analysis = queued(frame_count=12)

    tasks.run_next_analysis()

    row = fresh(analysis)
    assert (row.status, row.verdict, row.probability) == ("succeeded", "cannot_assess", None)
    assert row.reasons == ["no_model_for_modality"]
    assert predictor.calls == 0
    assert fresh(row.image.study).verdict == "cannot_assess"


def test_a_new_model_never_changes_an_old_result(answers):
    from dataclasses import replace

    analysis = queued()
    answers(prediction(0.9))
    tasks.run_next_analysis()
    newer = replace(MODEL, version="2", sha256=hashlib.sha256(b"newer").hexdigest())
    other = queued()
    answers(prediction(0.1, model=newer), info=newer)
    tasks.run_next_analysis()

    assert fresh(analysis).model_version.version == "1"
    assert fresh(other).model_version.version == "2"
    assert Study.objects.count() == 0  # and none of it is visible outside of a clinic
