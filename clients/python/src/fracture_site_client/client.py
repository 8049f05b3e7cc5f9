"""The client: one method for each thing that a program does with the site."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from uuid import UUID

import httpx
from pydantic import BaseModel

from fracture_site_client import models
from fracture_site_client.transport import FileBody, Progress, Transport

M = TypeVar("M", bound=BaseModel)
Id = UUID | str
_WORKING = frozenset({"empty", "queued", "running"})


class NotReadyError(Exception):
    """The result was not there in time; ``study`` is how it stands. Ask again later."""

    def __init__(self, study: models.Study) -> None:
        super().__init__(f"study {study.id} is {study.status}")
        self.study = study


class FractureSite:
    """Acts for one member in one clinic, by an API token.

    Usable as a context manager. Every method raises ``ApiError`` when the site refuses and
    ``ConnectionFailedError`` when it does not answer; both only after the attempts that make
    sense. A POST is never done twice, however often it had to be sent.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        attempts: int = 5,
        timeout_s: float = 60.0,
        http: httpx.Client | None = None,
    ) -> None:
        self._transport = Transport(
            base_url, token, attempts=attempts, timeout_s=timeout_s, http=http
        )

    def __enter__(self) -> "FractureSite":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def me(self) -> models.Me:
        """Return the caller, the clinic and what the token may do."""
        return self._one(models.Me, "GET", "me/")

    # Patients

    def patients(self, *, q: str = "", **filters: Any) -> Iterator[models.Patient]:
        """Yield patients, newest first; ``q`` are beginnings of names, number, birth date."""
        return self._pages(models.Patient, "patients/", {"q": q, **filters})

    def patient(self, pk: Id) -> models.Patient:
        """Return one patient."""
        return self._one(models.Patient, "GET", f"patients/{pk}/")

    def patient_create(
        self, *, idempotency_key: str | None = None, **fields: Any
    ) -> models.Patient:
        """Register a patient: ``record_number``, ``family_name``, ``given_name`` and so on."""
        return self._one(
            models.Patient, "POST", "patients/", json=fields, idempotency_key=idempotency_key
        )

    def patient_by_number(self, record_number: str) -> models.Patient | None:
        """Return the patient with this record number."""
        return next(self.patients(record_number=record_number), None)

    # Studies

    def studies(self, *, q: str = "", **filters: Any) -> Iterator[models.StudySummary]:
        """Yield studies, newest first; filter by ``status``, ``verdict``, ``patient`` …."""
        return self._pages(models.StudySummary, "studies/", {"q": q, **filters})

    def study(self, pk: Id) -> models.Study:
        """Return one study with images and result."""
        return self._one(models.Study, "GET", f"studies/{pk}/")

    def study_create(
        self, patient: Id, *, idempotency_key: str | None = None, **fields: Any
    ) -> models.Study:
        """Request a study: ``clinical_question``, ``body_part``, ``side``, ``priority`` …."""
        body = {"patient": str(patient), **fields}
        return self._one(
            models.Study, "POST", "studies/", json=body, idempotency_key=idempotency_key
        )

    def upload(
        self,
        study: Id,
        file: Path | str | bytes,
        *,
        name: str = "image",
        progress: Progress | None = None,
        idempotency_key: str | None = None,
    ) -> models.Image:
        """Upload one radiograph; ``progress`` is told bytes sent and bytes in all.

        The name of the file stays here: it may hold a patient's name.
        """
        content = Path(file) if isinstance(file, str) else file
        body = FileBody(content, name, progress)
        response = self._transport.send(
            "POST",
            f"studies/{study}/images/",
            content=body,
            headers=body.headers,
            idempotency_key=idempotency_key,
        )
        return models.Image.model_validate_json(response.content)

    def wait_for_result(
        self, study: Id, *, timeout_s: float = 300.0, interval_s: float = 1.0
    ) -> models.Study:
        """Return the study as soon as no image waits any more; look at ``status`` and ``result``.

        Asks again after ``interval_s``, more and more rarely, up to every ten seconds.

        Raises:
            NotReadyError: not within ``timeout_s``; the analysis goes on.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.study(study)
            if found.status not in _WORKING:
                return found
            if time.monotonic() + interval_s > deadline:
                raise NotReadyError(found)
            time.sleep(interval_s)
            interval_s = min(10.0, interval_s * 1.3)

    def analyse_again(self, study: Id, *, idempotency_key: str | None = None) -> None:
        """Queue a new analysis of every image."""
        self._transport.send(
            "POST", f"studies/{study}/analyses/", json={}, idempotency_key=idempotency_key
        )

    # Images and reports

    def image(self, pk: Id) -> models.Image:
        """Return one image with its newest result."""
        return self._one(models.Image, "GET", f"images/{pk}/")

    def image_file(self, pk: Id) -> bytes:
        """Return the de-identified image."""
        return self._transport.send("GET", f"images/{pk}/file/").content

    def reports(self, **filters: Any) -> Iterator[models.ReportSummary]:
        """Yield reports, newest first."""
        return self._pages(models.ReportSummary, "reports/", filters)

    def report(self, pk: Id) -> models.Report:
        """Return one report: its newest version, draft or signed."""
        return self._one(models.Report, "GET", f"reports/{pk}/")

    def report_pdf(self, pk: Id, *, version: int | None = None) -> bytes:
        """Return a signed report as PDF/A, the newest version by default."""
        params = {"version": version} if version else None
        return self._transport.send("GET", f"reports/{pk}/pdf/", params=params).content

    def key_images(self, study: Id) -> list[models.KeyImage]:
        """Return the pictures that are kept for a study's report."""
        return self._all(models.KeyImage, f"studies/{study}/key-images/")

    def annotations(self, study: Id) -> list[models.Annotation]:
        """Return the caller's own measurements and notes on a study's images."""
        return self._all(models.Annotation, f"studies/{study}/annotations/")

    # Answers that differ

    def discrepancies(self, **filters: Any) -> Iterator[models.Discrepancy]:
        """Yield discrepancies, newest first; filter by ``open``, ``kind``, ``study`` …."""
        return self._pages(models.Discrepancy, "discrepancies/", filters)

    def recalls(self, **filters: Any) -> Iterator[models.Recall]:
        """Yield recalls of patients, newest first; ``open=True`` for those that go on."""
        return self._pages(models.Recall, "recalls/", filters)

    def macros(self) -> Iterator[models.Macro]:
        """Yield the caller's text macros and the clinic's."""
        return self._pages(models.Macro, "macros/", {})

    def model_versions(self) -> Iterator[models.ModelVersion]:
        """Yield the registered models."""
        return self._pages(models.ModelVersion, "models/", {})

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Return the JSON of any other operation below ``/api/v1/`` (``None`` without a body)."""
        response = self._transport.send(method, path.lstrip("/"), **options)
        return response.json() if response.content else None

    def _one(self, model: type[M], method: str, path: str, **options: Any) -> M:
        return model.model_validate_json(self._transport.send(method, path, **options).content)

    def _all(self, model: type[M], path: str) -> list[M]:
        rows = self._transport.send("GET", path).json()
        return [model.model_validate(row) for row in rows]

    def _pages(self, model: type[M], path: str, filters: Mapping[str, Any]) -> Iterator[M]:
        """Yield the rows of all pages; the next page is fetched when it is needed."""
        told = {key: value for key, value in filters.items() if value not in ("", None)}
        params: dict[str, Any] | None = {key: _text(value) for key, value in told.items()}
        address = path
        while address:
            page = self._transport.send("GET", address, params=params).json()
            yield from (model.model_validate(row) for row in page["results"])
            address, params = page["next"] or "", None


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value
