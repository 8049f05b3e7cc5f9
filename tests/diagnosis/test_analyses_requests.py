"""Asking for analyses: who may, once at a time, and an upload never waits for the broker."""

import time

import pytest
from django.core.exceptions import PermissionDenied
from django.db import transaction
from kombu.exceptions import OperationalError as BrokerError

from accounts.models import AuditEvent, Role
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis import jobs
from diagnosis.models import Analysis, Study
from diagnosis.services.analyses import (
    analysis_cancel,
    analysis_enqueue,
    analysis_request,
    analysis_requeue,
    study_analyses_request,
)
from fracture_site.common.errors import ConflictError
from tests.factories import (
    AnalysisFactory,
    MembershipFactory,
    StudyFactory,
    StudyImageFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def broker_is_forgiven():
    jobs._broker.reset()
    yield
    jobs._broker.reset()


@pytest.fixture
def woken(monkeypatch) -> list[int]:
    calls: list[int] = []
    monkeypatch.setattr(jobs, "wake_workers", lambda *, count=1: calls.append(count))
    return calls


def member(clinic, *roles):
    return MembershipFactory(clinic=clinic, roles=list(roles or [Role.DOCTOR])).user


def status(analysis: Analysis) -> str:
    with clinic_scope(analysis.clinic_id):
        return Analysis.objects.get(pk=analysis.pk).status


def test_a_promise_wakes_a_worker_only_after_commit(woken, django_capture_on_commit_callbacks):
    image = StudyImageFactory()
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        with clinic_scope(image.clinic_id):
            analysis = analysis_enqueue(image=image, requested_by=None, priority=1)
        assert woken == []

    assert len(callbacks) == 1
    assert woken == [1]
    assert (analysis.status, analysis.priority) == ("queued", 1)


def test_a_second_promise_for_an_image_is_the_first(woken):
    image = StudyImageFactory()
    with clinic_scope(image.clinic_id):
        first = analysis_enqueue(image=image, requested_by=None, priority=2)
        second = analysis_enqueue(image=image, requested_by=None, priority=2)

        assert first == second
        assert Analysis.objects.count() == 1


@pytest.mark.parametrize("role", [Role.TECHNICIAN, Role.DOCTOR])
def test_a_member_who_may_gets_another_run_and_it_is_audited(woken, role):
    old = AnalysisFactory(succeeded=True)
    actor = member(old.clinic, role)
    with clinic_scope(old.clinic_id):
        analysis = analysis_request(actor=actor, image=old.image)
        study = Study.objects.get()
        event = AuditEvent.objects.get(action="analysis.request")

    assert analysis.pk != old.pk
    assert analysis.requested_by == actor
    assert study.status == "queued"
    assert (event.actor, event.target_id, event.clinic_id) == (actor, analysis.pk, old.clinic_id)


def test_a_clinic_admin_may_not_ask(woken):
    image = StudyImageFactory()
    with clinic_scope(image.clinic_id), pytest.raises(ActionDeniedError):
        analysis_request(actor=member(image.clinic, Role.CLINIC_ADMIN), image=image)


def test_a_member_of_another_clinic_may_not_ask(woken):
    image = StudyImageFactory()
    stranger = MembershipFactory(doctor=True).user
    with clinic_scope(image.clinic_id), pytest.raises(ActionDeniedError):
        study_analyses_request(actor=stranger, study=image.study)


def test_all_images_of_a_study_run_again_but_open_ones_are_not_doubled(woken):
    study = StudyFactory(priority=0)
    images = [StudyImageFactory(study=study) for _ in range(3)]
    AnalysisFactory(image=images[0])
    AnalysisFactory(image=images[1], succeeded=True)
    with clinic_scope(study.clinic_id):
        requested = study_analyses_request(actor=member(study.clinic), study=study)

        assert {analysis.image_id for analysis in requested} == {image.pk for image in images}
        assert Analysis.objects.filter(status="queued").count() == 3
        assert Analysis.objects.filter(priority=0).count() == 2


def test_an_operator_cancels_and_requeues_and_the_clinic_can_see_who(woken):
    operator = UserFactory(is_staff=True)
    analysis = AnalysisFactory()
    target = {"clinic_id": analysis.clinic_id, "analysis_id": analysis.pk}

    analysis_cancel(actor=operator, **target)
    assert status(analysis) == "cancelled"
    with pytest.raises(ConflictError, match="job_is_final"):
        analysis_cancel(actor=operator, **target)

    analysis_requeue(actor=operator, **target)
    assert status(analysis) == "queued"
    with clinic_scope(analysis.clinic_id):
        events = list(AuditEvent.objects.select_related("actor").order_by("id"))
    assert [(e.action, e.actor) for e in events] == [
        ("analysis.cancel", operator),
        ("analysis.requeue", operator),
    ]


def test_a_result_is_not_run_again_in_place_and_an_open_run_is_not_doubled(woken):
    operator = UserFactory(is_staff=True)
    done = AnalysisFactory(succeeded=True)
    failed = AnalysisFactory(failed=True)
    AnalysisFactory(image=failed.image)

    with pytest.raises(ConflictError, match="job_has_succeeded"):
        analysis_requeue(actor=operator, clinic_id=done.clinic_id, analysis_id=done.pk)
    with pytest.raises(ConflictError, match="analysis_is_open"):
        analysis_requeue(actor=operator, clinic_id=failed.clinic_id, analysis_id=failed.pk)


@pytest.mark.parametrize("service", [analysis_cancel, analysis_requeue])
def test_only_operators_touch_jobs_by_id(woken, service):
    analysis = AnalysisFactory()
    doctor = member(analysis.clinic)
    with pytest.raises(PermissionDenied):
        service(actor=doctor, clinic_id=analysis.clinic_id, analysis_id=analysis.pk)

    assert status(analysis) == "queued"


def test_an_operator_cannot_reach_a_job_through_the_wrong_clinic(woken):
    analysis, other = AnalysisFactory(), AnalysisFactory()
    operator = UserFactory(is_staff=True)
    with pytest.raises(ConflictError):
        analysis_cancel(actor=operator, clinic_id=other.clinic_id, analysis_id=analysis.pk)

    assert status(analysis) == "queued"


@pytest.mark.django_db(transaction=True)
def test_with_the_broker_down_the_promise_is_kept_and_nobody_waits_for_it(settings):
    from celery import current_app

    current_app.conf.broker_write_url = "redis://127.0.0.1:1/0"
    image = StudyImageFactory()
    try:
        begin = time.monotonic()
        with transaction.atomic(), clinic_scope(image.clinic_id):
            analysis = analysis_enqueue(image=image, requested_by=None, priority=2)
        first = time.monotonic() - begin
        begin = time.monotonic()
        assert jobs.wake_workers() is False
        second = time.monotonic() - begin
    finally:
        current_app.conf.broker_write_url = None

    assert status(analysis) == "queued"
    assert first < 2.0  # 0.5 s at most, and what a busy machine adds
    assert second < 0.1  # the broker is left alone for a while


def test_a_wake_up_names_no_row(redis):
    assert jobs.wake_workers(count=2) is True

    messages = redis.lrange("celery", 0, -1)
    assert len(messages) == 2
    import base64
    import json

    body = json.loads(base64.b64decode(json.loads(messages[0])["body"]))
    assert body[:2] == [[], {}]


def test_trouble_while_sending_is_no_trouble_of_the_caller(monkeypatch, redis):
    from celery import current_app

    def refuse(*_args, **_kwargs):
        raise BrokerError

    monkeypatch.setattr(current_app, "send_task", refuse)

    assert jobs.wake_workers() is False
