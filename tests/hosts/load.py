"""Uploads through every web host, and the account of what became of them.

Needs Django, set up for the database of the site.
"""

import itertools
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import requests
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from accounts.models import AuditEvent
from accounts.tenancy import clinic_scope
from diagnosis.models import Finding
from tests.chaos.hospital import Hospital, images, results, states

PATIENCE_S = 240


class RemoteHospital(Hospital):
    """The same two clinics, but each upload goes over the network until it is answered.

    Whoever is not answered sends the same file to the next web host; that is how a duplicate
    could come about.
    """

    def __init__(self, uploads: int, webs: list[str]) -> None:
        super().__init__(uploads)
        self._webs = itertools.cycle(webs)
        self._lock = threading.Lock()
        self.answers: Counter[int | str] = Counter()
        self.spans: list[float] = []
        self.answered = 0

    def _upload(self, target: tuple[str, UUID], data: bytes) -> UUID:
        began, deadline = time.monotonic(), time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with self._lock:
                web = next(self._webs)
            answer = self._try(web, target, data)
            if answer is not None:
                with self._lock:
                    self.answered += 1
                    self.spans.append(time.monotonic() - began)
                return answer
            time.sleep(0.5)
        raise AssertionError("an upload was never answered")

    def _try(self, web: str, target: tuple[str, UUID], data: bytes) -> UUID | None:
        secret, study = target
        try:
            response = requests.post(
                f"{web}/api/v1/studies/{study}/images/",
                files={"file": SimpleUploadedFile("x.jpg", data, "image/jpeg")},
                headers={"Authorization": f"Token {secret}"},
                timeout=30,
            )
        except requests.RequestException as error:
            with self._lock:
                self.answers[type(error).__name__] += 1
            return None
        with self._lock:
            self.answers[response.status_code] += 1
        if response.status_code in {200, 201}:
            return UUID(response.json()["id"])
        assert response.status_code in {429, 502, 503}, (response.status_code, response.text[:300])
        return None


def account(hospital: RemoteHospital, answered: list[UUID]) -> dict[str, int]:
    """Count what is lost and what is there twice; all figures but the first must be zero."""
    found = results(hospital.clinics)
    of_image = Counter(row.image_id for row in found)
    doubled_findings = events = 0
    for clinic in hospital.clinics:
        with clinic_scope(clinic.pk):
            boxes = list(Finding.objects.values_list("analysis_id", "x", "y", "width", "height"))
            doubled_findings += len(boxes) - len(set(boxes))
            events += AuditEvent.objects.filter(action="analysis.succeeded").count()
    return {
        "uploads": len(hospital.files),
        "lost_uploads": len(hospital.files) - len(set(answered)),
        "lost_images": len(set(answered) - images(hospital.clinics)),
        "lost_results": len(set(answered) - set(of_image)),
        "duplicated_images": len(images(hospital.clinics) - set(answered)),
        "duplicated_results": sum(of_image.values()) - len(of_image),
        "duplicated_findings": doubled_findings,
        "duplicated_events": events - len(found),
        "unfinished_jobs": sum(n for state, n in states().items() if state != "succeeded"),
    }


def rate(hospital: RemoteHospital) -> float:
    """Return the results per second from the third to the last: the first load the model."""
    ends = sorted(row.finished_at for row in results(hospital.clinics) if row.finished_at)
    span = (ends[-1] - ends[2]).total_seconds()
    return round((len(ends) - 3) / span, 2)


def median_s(spans: list[float]) -> float:
    return round(statistics.median(spans), 2)


def in_background(work: Callable[[], list[UUID]]) -> Callable[[], list[UUID]]:
    """Start the work in a thread; return what waits for it and gives its result or its error."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)

    def result() -> list[UUID]:
        found = future.result()
        pool.shutdown()
        connection.close()
        return found

    return result
