"""Each single call to the database, the store and Redis fails once: nothing half is left.

A sample of the calls in each run; all of them with ``FAULTS=all`` (``make faults``).
"""

import os
import random
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_network

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import InterfaceError, OperationalError, connection
from django.db.models.functions import Now
from django.test import Client
from redis import Redis

from accounts.models import AuditEvent, Role
from accounts.tenancy import clinic_scope
from diagnosis import jobs, tasks
from diagnosis.models import Analysis, Finding, ReportVersion, StudyImage
from diagnosis.services.orphans import orphans_delete, orphans_find
from diagnosis.services.reports import report_create
from diagnosis.services.uploads import image_upload
from diagnosis.storage import object_read
from ml.data.synthetic import synthetic_radiograph, to_jpeg
from tests.chaos.faulty import PARTS, Fault
from tests.diagnosis.test_reports import readable_study
from tests.factories import PASSWORD, ApiTokenFactory, PatientFactory, StudyFactory
from tests.support.predictors import ScriptedPredictor, prediction, put_in_charge

ALL = os.environ.get("FAULTS") == "all"
SAMPLE = 2
PICTURE = to_jpeg(synthetic_radiograph(5, size=(160, 200)).pixels)
MANY_CALLS = 400
ADDRESSES = ip_network("10.0.0.0/16").hosts()

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(1800 if ALL else 180),
]


class Path:
    """One way through the site: begin a world of its own, go, check, go again, check."""

    def __init__(self) -> None:
        self.token = ApiTokenFactory(membership__roles=list(Role.values))
        self.member = self.token.membership
        # Wrong attempts are counted an address; a fault may leave one counted.
        self.client = Client(
            raise_request_exception=False,
            headers={"Authorization": f"Token {self.token.secret}"},
            REMOTE_ADDR=str(next(ADDRESSES)),
        )

    def go(self) -> None:
        """Go the way; an outage may be told, a 500 may not."""

    def go_again(self) -> None:
        """Do what people and machines do after an outage."""
        self.go()

    def done(self) -> int:
        """Return how often it was done: 0 or 1; fail when something is half done."""
        raise NotImplementedError

    def events(self, action: str) -> int:
        return AuditEvent.objects.filter(action=action, outcome="success").count()

    def answered(self, answer, *, done: set[int]) -> None:
        assert answer.status_code in done | {503}, (answer.status_code, answer.content[:500])
        if answer.status_code == 503:
            assert answer["Retry-After"]


class Upload(Path):
    def __init__(self) -> None:
        super().__init__()
        self.study = StudyFactory(patient=PatientFactory(clinic=self.member.clinic))

    def go(self) -> None:
        file = SimpleUploadedFile("x.jpg", PICTURE, "image/jpeg")
        url = f"/api/v1/studies/{self.study.pk}/images/"
        self.answered(self.client.post(url, {"file": file}), done={200, 201})

    def done(self) -> int:
        images = list(StudyImage.objects.all())
        for image in images:
            for key in (image.original_key, image.served_key, image.thumbnail_key):
                assert object_read(key)
        jobs_there = Analysis.objects.filter(status="queued").count()
        assert len(images) == jobs_there == self.events("image.upload")
        self.study.refresh_from_db()
        assert self.study.status == ("queued" if images else "empty")
        return len(images)


class Analyse(Path):
    def __init__(self) -> None:
        super().__init__()
        study = StudyFactory(patient=PatientFactory(clinic=self.member.clinic))
        with clinic_scope(self.member.clinic_id):
            image_upload(actor=self.member.user, study=study, data=PICTURE)
        self.study = study

    def go(self) -> None:
        # An error of the database may leave the task: Celery notes it, the lease runs out.
        with suppress(OperationalError, InterfaceError):
            tasks.run_next_analysis()

    def go_again(self) -> None:
        for _attempt in range(2):
            with clinic_scope(self.member.clinic_id):
                self._time_passes()
            tasks.sweep_jobs()
            tasks.run_next_analysis()

    @staticmethod
    def _time_passes() -> None:
        past = Now() - timedelta(hours=1)
        rows = Analysis.objects.filter(status__in=Analysis.OPEN)
        rows.filter(status="running").update(lease_expires_at=past)
        rows.update(due_at=past)

    def done(self) -> int:
        row = Analysis.objects.get()
        finished = row.status == "succeeded"
        assert finished or row.status in {"queued", "running"}, (row.status, row.error_code)
        assert row.attempts <= 2
        assert Finding.objects.count() == self.events("analysis.succeeded") == finished
        if finished:
            assert object_read(row.heatmap_key)
            self.study.refresh_from_db()
            assert self.study.status == "ready"
        return int(finished)


class Sign(Path):
    def __init__(self) -> None:
        super().__init__()
        self.study = readable_study(self.member)
        with clinic_scope(self.member.clinic_id):
            self.report = report_create(actor=self.member.user, study=self.study)

    def go(self) -> None:
        url = f"/api/v1/reports/{self.report.pk}/sign/"
        answer = self.client.post(url, {"password": PASSWORD}, "application/json")
        # "Signed already" is the true answer after one that was lost.
        self.answered(answer, done={200, 409})

    def go_again(self) -> None:
        """After ten seconds: a lock on the count of attempts that Redis kept has ended by then."""
        with Redis.from_url(settings.REDIS_URL) as client:
            client.delete("ten-seconds-pass", *client.scan_iter("*:lock"))
        self.go()

    def done(self) -> int:
        version = ReportVersion.objects.get()
        signed = version.status == "signed"
        assert self.events("report.sign") == signed
        assert bool(version.pdf_key) == bool(version.signed_at) == signed
        if signed:
            assert object_read(version.pdf_key).startswith(b"%PDF")
        return int(signed)


@pytest.fixture(autouse=True)
def scripted(monkeypatch, settings, tmp_path):
    options = {
        "BACKEND": "fracture_site.common.storage.PrivateFileStorage",
        "OPTIONS": {"location": str(tmp_path), "durable": False},
    }
    settings.STORAGES = settings.STORAGES | {"clinical": options}
    put_in_charge(monkeypatch, ScriptedPredictor(prediction()))
    jobs._broker.reset()


def checked(path: Path) -> int:
    connection.close()
    with clinic_scope(path.member.clinic_id):
        done = path.done()
    orphans_delete(orphans_find(settled_after=timedelta(seconds=-5)))
    with clinic_scope(path.member.clinic_id):
        assert path.done() == done  # the collector took nothing that is needed
    return done


def chosen(calls: int, name: str) -> list[int]:
    """Return which calls fail: all, or some with the last ones, where commits are."""
    numbers = range(1, calls + 1)
    if ALL or calls <= SAMPLE:
        return list(numbers)
    chance = random.Random(name)  # noqa: S311 - the same sample each time
    return sorted({calls, *chance.sample(numbers, SAMPLE - 1)})


@pytest.mark.parametrize("late", [False, True], ids=["refused", "answer_lost"])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("way", [Upload, Analyse, Sign])
def test_a_call_fails_and_nothing_half_is_left(way, part, late):
    for _warm in range(2):  # the first one opens lines that others find open
        clean, path = Fault(at=MANY_CALLS, late=late), way()
        with PARTS[part](clean):
            path.go()
        assert not clean.struck
        assert checked(path) == 1
    for at in chosen(clean.calls, f"{way}{part}{late}"):
        fault, path = Fault(at=at, late=late), way()
        jobs._broker.reset()
        with PARTS[part](fault):
            path.go()
        before = checked(path)
        path.go_again()
        assert checked(path) == 1, f"call {at} of {clean.calls}: done {before} before"
        assert fault.struck or at > clean.calls - 3  # lines that are open already need fewer
