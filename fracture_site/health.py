"""Whether the process answers (``/healthz``), and whether the parts it needs do (``/readyz``)."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final
from uuid import uuid4

from celery import current_app
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from diagnosis.models import Job, JobOverview
from diagnosis.services.model_versions import models_in_order

TIMEOUT_S: Final = 1.5
_FRESH_S: Final = 1.0
_STORAGE_FRESH_S: Final = 10.0  # it is asked by writing
MIN_FREE_BYTES: Final = 500 * 10**6
OK: Final = "ok"
FAILED: Final = "failed"
LATE_AFTER_S: Final = 120


class Probe:
    """Asks one part from a thread of its own, at most one at a time.

    A part that hangs can therefore neither block a request nor use up threads, and
    asking often does not load it: an answer counts for ``fresh_s`` seconds.
    """

    def __init__(self, ask: Callable[[], None], *, fresh_s: float = _FRESH_S) -> None:
        self._ask = ask
        self._fresh_s = fresh_s
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._done.set()
        self._answer = FAILED
        self._answered_at = float("-inf")

    def start(self) -> None:
        """Begin to ask, unless an answer is fresh or still awaited."""
        with self._lock:
            fresh = time.monotonic() - self._answered_at < self._fresh_s
            if fresh or not self._done.is_set():
                return
            self._done.clear()
        threading.Thread(target=self._run, name="health", daemon=True).start()

    def answer(self, *, deadline: float) -> str:
        """Return ``ok`` or ``failed``; no answer until the deadline is a failure."""
        if not self._done.wait(max(0.0, deadline - time.monotonic())):
            return FAILED
        return self._answer

    def forget(self) -> None:
        """Ask again at the next request."""
        self._answered_at = float("-inf")

    def _run(self) -> None:
        answer = FAILED
        try:
            self._ask()
            answer = OK
        except Exception:  # noqa: BLE001, S110 - whatever it is: the part does not work
            pass
        finally:
            self._answer, self._answered_at = answer, time.monotonic()
            self._done.set()
            connection.close()  # this thread's own, if it has one


class QueueProbe(Probe):
    """Also remembers for how long the oldest due job has been waiting."""

    oldest_s: int | None = None

    def __init__(self) -> None:
        super().__init__(self._measure)

    def _measure(self) -> None:
        self.oldest_s = None
        due = JobOverview.objects.filter(
            kind="analysis", status=Job.Status.QUEUED, due_at__lte=timezone.now()
        )
        oldest = due.order_by("due_at").values_list("due_at", flat=True).first()
        self.oldest_s = int((timezone.now() - oldest).total_seconds()) if oldest else 0


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _broker() -> None:
    options = settings.JOB_WAKE_TRANSPORT_OPTIONS
    with current_app.connection_for_write(connect_timeout=1, transport_options=options) as broker:
        broker.default_channel.close()  # opening it connects and asks


def _storage() -> None:
    """Write a few bytes and remove them: access bits know nothing of full or frozen stores."""
    store = storages["clinical"]
    if isinstance(store, FileSystemStorage):
        disk = os.statvfs(store.location)
        if disk.f_bavail * disk.f_frsize < MIN_FREE_BYTES:
            raise OSError("the disk is nearly full")
    name = store.save(f"health/{uuid4()}", ContentFile(b"ok"))
    store.delete(name)


def _model() -> None:
    if not models_in_order():
        raise LookupError


PROBES: Final[Mapping[str, Probe]] = {
    "database": Probe(_database),
    "broker": Probe(_broker),
    "storage": Probe(_storage, fresh_s=_STORAGE_FRESH_S),
    "model": Probe(_model),
}
QUEUE: Final = QueueProbe()
# Without broker and model, people who are signed in read, upload and write drafts, and jobs wait.
# A Redis that is gone is more than a broker: sign-ins and signatures count attempts in it and are
# refused with 503. No other web process could do better, so the pages stay.
_NEEDED_BY_WEB: Final = frozenset({"database", "storage"})


def healthz(_request: HttpRequest) -> JsonResponse:
    """Answer while the process can; asks no other part."""
    return _answer({"status": OK}, 200)


def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when every part works, 503 otherwise, within two seconds.

    With ``?for=web`` a missing broker or model is told but is no 503: a load balancer must not
    take the pages away because analyses have to wait.
    """
    deadline = time.monotonic() + TIMEOUT_S
    for probe in (*PROBES.values(), QUEUE):
        probe.start()
    parts = {name: probe.answer(deadline=deadline) for name, probe in PROBES.items()}
    queue_known = QUEUE.answer(deadline=deadline) == OK
    oldest = QUEUE.oldest_s if queue_known else None
    needed = _NEEDED_BY_WEB if request.GET.get("for") == "web" else frozenset(parts)
    ready = all(parts[name] == OK for name in needed)
    complete = all(state == OK for state in parts.values())
    body: dict[str, str | int | None] = {
        "status": FAILED if not ready else OK if complete else "degraded",
        **parts,
        "queue": FAILED if oldest is None else "late" if oldest > LATE_AFTER_S else OK,
        "oldest_queued_seconds": oldest,
    }
    return _answer(body, 200 if ready else 503)


def _answer(body: Mapping[str, str | int | None], status: int) -> JsonResponse:
    response = JsonResponse(body, status=status)
    response["Cache-Control"] = "no-store"
    if status == 503:
        response["Retry-After"] = str(int(settings.JOB_SWEEP_INTERVAL.total_seconds()))
    return response
