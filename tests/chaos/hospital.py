"""Two clinics that upload through the API, and how to count what became of it."""

import hashlib
import itertools
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Event, local
from uuid import UUID, uuid4

from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, close_old_connections, connection
from django.test import Client
from kombu import Connection
from redis import Redis

from accounts.models import Role
from accounts.tenancy import clinic_scope
from diagnosis.models import Analysis, JobOverview, Study, StudyImage
from ml.data.synthetic import synthetic_radiograph, to_jpeg
from tests.chaos import ledger
from tests.chaos.senders import Post, Senders, numbered
from tests.factories import ApiTokenFactory, MembershipFactory, PatientFactory, StudyFactory

IMAGES_A_STUDY = 5
DRAWN = 3


def pictures(count: int) -> list[bytes]:
    """Return different files of a few pictures: each carries its number in a comment."""
    drawn = [to_jpeg(synthetic_radiograph(seed, size=(240, 300)).pixels) for seed in range(DRAWN)]
    return [numbered(drawn[n % DRAWN], n) for n in range(count)]


class Hospital:
    """Some studies of two clinics, and clients that keep sending until they get an answer."""

    def __init__(self, uploads: int) -> None:
        self.files = pictures(uploads)
        tokens = [ApiTokenFactory(membership__roles=[Role.TECHNICIAN]) for _ in range(2)]
        self.clinics = [token.membership.clinic for token in tokens]
        senders = itertools.cycle(tokens)
        self._targets = []
        for _ in range(0, uploads, IMAGES_A_STUDY):
            token = next(senders)
            study = StudyFactory(patient__clinic=token.membership.clinic)
            self._targets += [(token.secret, study.pk)] * IMAGES_A_STUDY
        self.begun = Event()
        self._local = local()

    def upload_all(self, *, at_once: int = 8) -> list[UUID]:
        """Return the ids of the images that were answered with 201."""
        jobs = list(zip(self._targets, self.files, strict=False))
        with ThreadPoolExecutor(at_once) as pool:
            found = list(pool.map(lambda job: self._upload(*job), jobs))
            list(pool.map(lambda _n: connection.close(), range(at_once)))
        return found

    def _upload(self, target: tuple[str, UUID], data: bytes) -> UUID:
        secret, study = target
        try:
            response = Client().post(
                f"/api/v1/studies/{study}/images/",
                {"file": SimpleUploadedFile("x.jpg", data, "image/jpeg")},
                headers={"Authorization": f"Token {secret}"},
            )
        finally:
            connection.close()
        assert response.status_code == 201, (response.status_code, response.content[:300])
        self.begun.set()
        return UUID(response.json()["id"])


def states() -> Counter[str]:
    """Return how many jobs of all clinics are in which state."""
    return Counter(JobOverview.objects.values_list("status", flat=True))


def results(clinics) -> list[Analysis]:
    """Return every succeeded analysis of the clinics, with findings loaded."""
    found = []
    for clinic in clinics:
        with clinic_scope(clinic.pk):
            rows = Analysis.objects.filter(status="succeeded").prefetch_related("findings")
            found += list(rows)
    return found


def studies(clinics) -> list[Study]:
    """Return all studies of the clinics."""
    found: list[Study] = []
    for clinic in clinics:
        with clinic_scope(clinic.pk):
            found += list(Study.objects.all())
    return found


def images(clinics) -> set[UUID]:
    """Return the ids of all stored images."""
    found: set[UUID] = set()
    for clinic in clinics:
        with clinic_scope(clinic.pk):
            found |= set(StudyImage.objects.values_list("pk", flat=True))
    return found


class Ward:
    """Studies of two clinics of its own, and what is posted to them over HTTP."""

    def __init__(
        self, uploads: int, duplicates: float, chance: Random, *, a_study: int = IMAGES_A_STUDY
    ) -> None:
        tokens = [
            ApiTokenFactory(
                membership__roles=[Role.TECHNICIAN],
                membership__user__email=f"{uuid4()}@clinic.example",
            )
            for _ in range(2)
        ]
        self.clinics = [token.membership.clinic for token in tokens]
        drawn, posts = pictures(DRAWN), []
        for first in range(0, uploads, a_study):
            token = tokens[first // a_study % 2]
            patient = PatientFactory(clinic=token.membership.clinic, record_number=str(uuid4()))
            study = StudyFactory(patient=patient)
            numbers = range(first, min(first + a_study, uploads))
            posts += [Post(n, study.pk, token.secret, drawn[n % DRAWN]) for n in numbers]
        connection.close()
        self.posts = []
        for post in posts:
            self.posts.append(post)
            if chance.random() < duplicates:
                # At once, or when the first one is done: both must be answered with one image.
                place = len(self.posts) - chance.randrange(min(10, len(self.posts)))
                self.posts.insert(place, post)

    def senders(self, address: str) -> Senders:
        return Senders(address)

    def states(self) -> Counter[str]:
        """Return how many analyses are in which state; the database may have been away."""
        close_old_connections()
        try:
            return ledger.states(self.clinics)
        except OperationalError:
            return Counter()

    def cookie(self) -> str:
        """Sign a doctor of the first clinic in and return the header of their browser."""
        doctor = MembershipFactory(
            doctor=True, clinic=self.clinics[0], user__email=f"{uuid4()}@clinic.example"
        )
        browser = Client()
        browser.force_login(doctor.user)
        connection.close()
        name = settings.SESSION_COOKIE_NAME
        return f"{name}={browser.cookies[name].value}"

    def wait_for_all(self, *, timeout_s: float) -> None:
        """Wait until no analysis is open any more."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            found = self.states()
            if not found["queued"] and not found["running"]:
                return
            time.sleep(0.5)

    def job_of(self, study: UUID, data: bytes) -> tuple[int, str]:
        """Return attempts and error of the analysis of a file."""
        for clinic in self.clinics:
            with clinic_scope(clinic.pk):
                sha256 = hashlib.sha256(data).hexdigest()
                row = Analysis.objects.filter(image__study=study, image__sha256=sha256).first()
                if row is not None:
                    return row.attempts, row.error_code
        raise AssertionError("there is no such file")

    def ledger(self) -> ledger.Ledger:
        close_old_connections()
        return ledger.read_ledger(self.clinics)


def empty_the_broker() -> None:
    """Delete every message, and everything else that Redis holds."""
    with Redis.from_url(settings.REDIS_URL) as client:
        client.flushall()
    if not settings.CELERY_BROKER_URL.startswith("redis"):
        with Connection(settings.CELERY_BROKER_URL) as broker:
            broker.default_channel.queue_purge("celery")
