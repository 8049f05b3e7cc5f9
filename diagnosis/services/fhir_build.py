"""From rows to resources, a page at a time, in a fixed number of queries."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from fhir.resources.R4B.resource import Resource

from accounts.models import User
from diagnosis.interop.fhir_base import FhirContext
from diagnosis.interop.fhir_documents import fhir_model_card
from diagnosis.interop.fhir_findings import (
    AnalysedImage,
    fhir_finding_observation,
    fhir_image_observation,
)
from diagnosis.interop.fhir_imaging import fhir_imaging_study, fhir_patient
from diagnosis.interop.fhir_orders import fhir_service_request
from diagnosis.interop.fhir_reports import ReportPdf, fhir_diagnostic_report, shown_version
from diagnosis.interop.fhir_trail import (
    fhir_analysis_provenance,
    fhir_audit_event,
    fhir_device,
    fhir_report_provenance,
)
from diagnosis.models import Analysis, ModelVersion, Report, ReportVersion
from diagnosis.selectors.fhir import earlier_signed_versions, fhir_analyses, fhir_models
from diagnosis.selectors.recalls import Names, recalled_names, result_is_recalled

Build = Callable[[FhirContext, User, Sequence[Any]], list[Resource]]


def fhir_context(clinic_id: UUID) -> FhirContext:
    """Return for whom resources are made."""
    return FhirContext(base_url=settings.BASE_URL, clinic_id=clinic_id, snomed=settings.FHIR_SNOMED)


def each(convert: Callable[[FhirContext, Any], Resource]) -> Build:
    """Return the builder for rows that need nothing beside themselves."""
    return lambda context, _user, rows: [convert(context, row) for row in rows]


patients = each(fhir_patient)
orders = each(lambda context, row: fhir_service_request(context, row, row.study))
studies = each(
    lambda context, row: fhir_imaging_study(
        context,
        row,
        list(row.images.all()),
        based_on=[order.pk for order in row.orders.all()],
    )
)
image_observations = each(
    lambda context, row: fhir_image_observation(context, _analysed(row), list(row.findings.all()))
)
finding_observations = each(
    lambda context, row: fhir_finding_observation(
        context, _analysed(row.analysis, row.signed_at), row
    )
)
devices = each(fhir_device)
model_cards = each(fhir_model_card)
analysis_provenances = each(
    lambda context, row: fhir_analysis_provenance(context, _analysed(row), list(row.findings.all()))
)
audit_events = each(fhir_audit_event)


def reports(context: FhirContext, user: User, rows: Sequence[Report]) -> list[Resource]:
    """Return reports as their newest signed version says them, else as the draft does."""
    analyses: dict[UUID, list[Analysis]] = {}
    studies_of_rows = [row.study_id for row in rows]
    for analysis in fhir_analyses(user=user).filter(image__study__in=studies_of_rows):
        analyses.setdefault(analysis.image.study_id, []).append(analysis)
    recalled = recalled_names()
    return [_report(context, row, analyses.get(row.study_id, []), recalled) for row in rows]


def report_provenances(
    context: FhirContext, user: User, rows: Sequence[ReportVersion]
) -> list[Resource]:
    """Return who signed each version, and which models helped."""
    earlier = earlier_signed_versions(user=user, versions=list(rows))
    models = {(model.name, model.version): model for model in fhir_models()}
    return [
        fhir_report_provenance(
            context,
            row,
            row.report,
            row.report.study,
            models=_models_of(row, models),
            previous=_before(row, earlier[row.report_id]),
        )
        for row in rows
    ]


def _analysed(analysis: Analysis, signed_at: Any = None) -> AnalysedImage:
    return AnalysedImage(
        study=analysis.image.study,
        image=analysis.image,
        analysis=analysis,
        signed_at=signed_at or getattr(analysis, "signed_at", None),
    )


def _report(
    context: FhirContext, row: Report, analyses: list[Analysis], recalled: Names
) -> Resource:
    version = shown_version(row.versions.all())
    if version is None:
        raise ValueError("a report without a version")
    pdf = None
    if version.status == ReportVersion.Status.SIGNED:
        pdf = ReportPdf(f"{context.fhir_url}/Binary/{version.pk}")
    return fhir_diagnostic_report(
        context,
        version,
        row,
        row.study,
        observations=_basis(version, analyses),
        pdf=pdf,
        is_recalled=result_is_recalled(version.result, recalled),
    )


def _basis(version: ReportVersion, analyses: list[Analysis]) -> list[UUID]:
    """Return the observations that a version rests on: each image's newest when it was signed."""
    newest: dict[UUID, Analysis] = {}
    for analysis in sorted(analyses, key=lambda row: row.created_at):
        signed_at, finished_at = version.signed_at, analysis.finished_at
        if signed_at is None or (finished_at is not None and finished_at <= signed_at):
            newest[analysis.image_id] = analysis
    keys: list[UUID] = []
    for analysis in newest.values():
        keys += [analysis.pk, *(finding.pk for finding in analysis.findings.all())]
    return keys


def _models_of(
    version: ReportVersion, models: dict[tuple[str, str], ModelVersion]
) -> list[ModelVersion]:
    named = (version.result or {}).get("model") or {}
    model = models.get((named.get("name", ""), named.get("version", "")))
    return [model] if model else []


def _before(version: ReportVersion, signed: list[ReportVersion]) -> ReportVersion | None:
    earlier = [row for row in signed if row.number < version.number]
    return earlier[-1] if earlier else None
