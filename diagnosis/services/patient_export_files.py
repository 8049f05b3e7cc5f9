"""One ZIP file with everything that there is of one patient, readable without this site.

``README.txt`` says what lies where. Images are the original bytes as they came; reports the PDF
files as they were signed; ``fhir-bundle.json`` the same content for other software (FHIR R4);
``access.csv`` who read or changed what, as the audit log has it.
"""

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Final
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.models import AuditEvent, User
from accounts.tenancy import clinic_scope
from diagnosis.interop.fhir import fhir_collection
from diagnosis.models import (
    Analysis,
    Annotation,
    Discrepancy,
    Finding,
    FindingReview,
    Order,
    Patient,
    PatientExport,
    PreliminaryRead,
    ReportVersion,
    ShareComment,
    Study,
    StudyImage,
    StudyKeyImage,
)
from diagnosis.selectors import fhir as rows
from diagnosis.services import fhir_build as build
from diagnosis.services.search_index import merged_descendants
from diagnosis.storage import object_read

Progress = Callable[[int], None]
_SUFFIXES: Final = {"dicom": "dcm", "png": "png", "jpeg": "jpg", "tiff": "tif"}
# Rows in a table of their own in patient.json: all columns but these.
_OURS: Final = frozenset({"search", "clinic", "token", "rank"})
_TABLES: Final[dict[str, tuple[Any, str]]] = {
    "studies": (Study, "patient__in"),
    "orders": (Order, "study__patient__in"),
    "images": (StudyImage, "study__patient__in"),
    "analyses": (Analysis, "image__study__patient__in"),
    "findings": (Finding, "analysis__image__study__patient__in"),
    "finding_reviews": (FindingReview, "image__study__patient__in"),
    "preliminary_reads": (PreliminaryRead, "study__patient__in"),
    "report_versions": (ReportVersion, "report__study__patient__in"),
    "discrepancies": (Discrepancy, "study__patient__in"),
    "annotations": (Annotation, "image__study__patient__in"),
    "second_opinions": (ShareComment, "share__study__patient__in"),
}


class DamagedFileError(Exception):
    """Stored bytes are not those that were stored; trying again cannot help."""


def export_write(*, export: PatientExport, stream: BinaryIO, progress: Progress) -> None:
    """Write the file; progress is told in percent. No transaction is open while bytes are read.

    Raises:
        DamagedFileError: an image or a report is damaged; nothing incomplete is handed out.
        OSError: the store does not answer.
    """
    with clinic_scope(export.clinic_id), translation.override(export.clinic.language):
        people = [export.patient, *merged_descendants(export.patient)]
        ids = [person.pk for person in people]
        texts = {
            "README.txt": _readme(export),
            "patient.json": _json(_rows(people)),
            "fhir-bundle.json": _bundle(export.requested_by, export.clinic_id, ids),
            "access.csv": _access(export.clinic_id, ids),
        }
        files = list(_files(ids))
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(name, text)
        for number, (name, key, sha256) in enumerate(files, start=1):
            try:
                data = object_read(key)
            except FileNotFoundError as error:
                raise DamagedFileError(name) from error
            if hashlib.sha256(data).hexdigest() != sha256:
                raise DamagedFileError(name)
            archive.writestr(name, data, zipfile.ZIP_STORED)
            progress(100 * number // len(files))


def _files(people: list[UUID]) -> Iterator[tuple[str, str, str]]:
    """Yield name in the file, key and sha256 of every object."""
    images = StudyImage.objects.filter(study__patient__in=people)
    for image in images.order_by("study__created_at", "position", "id"):
        suffix = _SUFFIXES.get(image.format, "bin")
        yield f"images/{image.study_id}/{image.pk}.{suffix}", image.original_key, image.sha256
    for kept in StudyKeyImage.objects.filter(image__study__patient__in=people):
        yield f"key-images/{kept.pk}.png", kept.object_key, kept.sha256
    signed = ReportVersion.objects.filter(report__study__patient__in=people).exclude(pdf_key="")
    for version in signed.order_by("report_id", "number"):
        name = f"reports/{version.report_id}-{version.number}.pdf"
        yield name, version.pdf_key, version.pdf_sha256


def _rows(people: list[Patient]) -> dict[str, Any]:
    ids = [person.pk for person in people]
    found: dict[str, Any] = {"patient": [_plain(person) for person in people]}
    for name, (model, path) in _TABLES.items():
        objects = model.objects.filter(**{path: ids}).order_by("created_at", "id")
        found[name] = [_plain(row) for row in objects]
    return found


def _plain(row: Any) -> dict[str, Any]:
    """Return what a row says, without what only this site can use."""
    return {
        field.attname: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if field.name not in _OURS and not field.name.endswith(("_key", "_keys", "_hash"))
    }


def _json(value: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False, indent=1)


def _bundle(user: User, clinic_id: UUID, people: list[UUID]) -> str:
    context = build.fhir_context(clinic_id)
    studies = rows.fhir_studies(user=user).filter(patient__in=people)
    reports = rows.fhir_reports(user=user).filter(study__patient__in=people)
    analyses = rows.fhir_analyses(user=user).filter(image__study__patient__in=people)
    orders = rows.fhir_orders(user=user).filter(study__patient__in=people)
    analysed = list(analyses.select_related("image__study", "model_version"))
    resources = [
        *build.patients(context, user, list(rows.fhir_patients(user=user).filter(pk__in=people))),
        *build.orders(context, user, list(orders)),
        *build.studies(context, user, list(studies)),
        *build.image_observations(context, user, analysed),
        *build.reports(context, user, list(reports)),
    ]
    bundle = fhir_collection(context, resources, at=timezone.now())
    return str(bundle.model_dump_json(indent=1))


def _access(clinic_id: UUID, people: list[UUID]) -> str:
    """Return who did or read what: events of the patient, and lists that the patient was in."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["at", "person", "action", "outcome", "object", "object id", "event"])
    own = AuditEvent.objects.filter(clinic_id=clinic_id, patient_id__in=people)
    lists = AuditEvent.objects.none()
    for person in people:
        lists |= AuditEvent.objects.filter(
            clinic_id=clinic_id, patient_id=None, details__patients__contains=[str(person)]
        )
    for event in (own | lists).select_related("actor").order_by("pk"):
        writer.writerow(
            [
                event.at.isoformat(),
                _cell(event.actor.display_name) if event.actor else "",
                event.action,
                event.outcome,
                event.target_type,
                event.target_id or "",
                event.pk,
            ]
        )
    return buffer.getvalue()


def _cell(text: str) -> str:
    """Keep a name from being a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _readme(export: PatientExport) -> str:
    return "\n".join(
        [
            _("All data of one patient"),
            "",
            f"{export.clinic.name}, {timezone.now().isoformat(timespec='seconds')}",
            "",
            _("patient.json: identity, studies, results, findings, reports, as text"),
            _("fhir-bundle.json: the same for other software (FHIR R4)"),
            _("images/: every image as it came, a folder for each study"),
            _("key-images/: pictures that were kept for reports"),
            _("reports/: signed reports"),
            _("access.csv: who read or changed what, and when"),
            "",
            _("Results of the AI aid and do not replace a clinician."),
            "",
        ]
    )
