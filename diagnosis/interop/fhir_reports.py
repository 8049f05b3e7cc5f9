"""What the doctor signed, as FHIR DiagnosticReport."""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from fhir.resources.R4B.diagnosticreport import DiagnosticReport as FhirDiagnosticReport

from diagnosis.interop.fhir_base import (
    TERMINOLOGY,
    FhirContext,
    Json,
    clean,
    clinic_reference,
    coding,
    compact,
    concept,
    instant,
    model_recalled,
    person_reference,
    reference,
    require_clinic,
    require_link,
)
from diagnosis.models import Report, ReportVersion, Study


@dataclass(frozen=True, slots=True)
class ReportPdf:
    """The printed report: where it is, and its bytes if they were read.

    ``inline`` puts the bytes into the resource; otherwise size and hash tell what to expect.
    """

    url: str
    content: bytes | None = None
    inline: bool = False


def fhir_diagnostic_report(
    context: FhirContext,
    version: ReportVersion,
    report: Report,
    study: Study,
    *,
    observations: Iterable[UUID] = (),
    pdf: ReportPdf | None = None,
    started: datetime | None = None,
    is_recalled: bool = False,
) -> FhirDiagnosticReport:
    """Return a report as ``version`` says it; choose that with ``shown_version``.

    Args:
        context: For whom.
        version: The text.
        report: Its report, whose id the resource keeps through all versions.
        study: The study that it is about.
        observations: Ids of the observations that it rests on.
        pdf: The printed report of a signed version.
        started: When the images were taken, if that is known.
        is_recalled: Whether it rests on a model version that was recalled afterwards.

    Raises:
        ValueError: the rows do not belong together, an amendment is not signed yet, or the PDF
            is not the one that was signed.
    """
    require_clinic(context, version, report, study)
    require_link(child=version.report_id, parent=report.pk)
    require_link(child=report.study_id, parent=study.pk)
    ids = [str(key) for key in observations]
    digest = version.content_sha256
    return FhirDiagnosticReport.model_validate(
        compact(
            {
                "id": str(report.pk),
                "meta": _report_meta(context, version, assisted=bool(ids), is_recalled=is_recalled),
                "identifier": [
                    {"system": context.identifier_system("report-digest"), "value": digest}
                ]
                if digest
                else None,
                "status": report_status(version),
                "category": [concept(coding(TERMINOLOGY + "v2-0074", "RAD", "Radiology"))],
                "code": concept(
                    coding("http://loinc.org", "18748-4", "Diagnostic imaging study"),
                    text="Radiograph report",
                ),
                "subject": reference("Patient", study.patient_id),
                "effectiveDateTime": instant(started) if started else None,
                "issued": instant(version.signed_at) if version.signed_at else None,
                "performer": [clinic_reference(context)],
                "resultsInterpreter": [
                    person_reference(context, version.signed_by_id, version.signer_name)
                ]
                if version.signed_by_id
                else None,
                "result": [{"reference": f"Observation/{key}"} for key in ids],
                "imagingStudy": [reference("ImagingStudy", study.pk)],
                "conclusion": clean(f"{version.impression}\n\n{version.recommendation}"),
                "presentedForm": [_attachment(version, pdf)] if pdf else None,
            }
        )
    )


def shown_version(versions: Iterable[ReportVersion]) -> ReportVersion | None:
    """Return the newest signed version, else the draft: an open amendment replaces nothing yet."""
    ordered = sorted(versions, key=lambda version: version.number)
    signed = [version for version in ordered if version.status == ReportVersion.Status.SIGNED]
    newest = signed or ordered
    return newest[-1] if newest else None


def report_status(version: ReportVersion) -> Literal["preliminary", "final", "amended"]:
    """Return the status of FHIR for a version.

    Raises:
        ValueError: the draft of an amendment, while the signed version before it is in force.
    """
    if version.status == ReportVersion.Status.SIGNED:
        return "final" if version.number == 1 else "amended"
    if version.number > 1:
        raise ValueError("an amendment that is not signed is not the report")
    return "preliminary"


def _report_meta(
    context: FhirContext, version: ReportVersion, *, assisted: bool, is_recalled: bool
) -> Json:
    """Return version and time; a report that rests on AI observations is tagged."""
    final = version.status == ReportVersion.Status.SIGNED
    at = version.signed_at or version.updated_at
    tag = coding(context.code_system("transparency"), "ai-assisted", "Written with AI results")
    return {
        "versionId": str(version.number) if final else f"0.{version.revision}",
        "lastUpdated": instant(at) if at else None,
        "tag": ([tag] if assisted else []) + ([model_recalled(context)] if is_recalled else []),
    }


def _attachment(version: ReportVersion, pdf: ReportPdf) -> Json:
    if version.status != ReportVersion.Status.SIGNED:
        raise ValueError("a draft has no PDF")
    content = pdf.content
    if content is None:
        size = digest = None
    else:
        if hashlib.sha256(content).hexdigest() != version.pdf_sha256:
            raise ValueError("not the PDF that was signed")
        size = len(content)
        # FHIR fixes SHA-1 here; that the bytes are the signed ones was checked above.
        sha1 = hashlib.sha1(content, usedforsecurity=False).digest()
        digest = base64.b64encode(sha1).decode()
    inline = content is not None and pdf.inline
    return {
        "contentType": "application/pdf",
        "url": pdf.url,
        "size": size,
        "hash": digest,
        "data": base64.b64encode(content).decode() if content is not None and inline else None,
        "title": f"Report, version {version.number}",
        "creation": instant(version.signed_at) if version.signed_at else None,
    }
