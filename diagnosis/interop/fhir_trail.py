"""Who and what stands behind a resource, as FHIR Device, Provenance and AuditEvent."""

from collections.abc import Sequence

from fhir.resources.R4B.auditevent import AuditEvent as FhirAuditEvent
from fhir.resources.R4B.device import Device as FhirDevice
from fhir.resources.R4B.provenance import Provenance as FhirProvenance

from accounts.models import AuditEvent
from diagnosis.interop.fhir_base import (
    DCM,
    TERMINOLOGY,
    URI_SYSTEM,
    FhirContext,
    Json,
    clean,
    clean_line,
    clinic_reference,
    coding,
    compact,
    concept,
    instant,
    person_reference,
    quantity,
    reference,
    require_clinic,
    require_link,
)
from diagnosis.interop.fhir_findings import AnalysedImage
from diagnosis.models import Finding, ModelVersion, Report, ReportVersion, Study

# Groups of our actions, in the words of DICOM's audit messages; others are general activity.
_AUDIT_TYPES = {
    "auth": ("110114", "User Authentication"),
    "audit": ("110101", "Audit Log Used"),
    "patient": ("110110", "Patient Record"),
    "report": ("110110", "Patient Record"),
    "study": ("110103", "DICOM Instances Accessed"),
    "image": ("110103", "DICOM Instances Accessed"),
    "finding": ("110103", "DICOM Instances Accessed"),
    "order": ("110109", "Order Record"),
}
_AUDIT_ACTIVITY = ("110100", "Application Activity")
_AUDIT_ACTIONS = {
    "create": "C",
    "upload": "C",
    "register": "C",
    "open": "R",
    "view": "R",
    "list": "R",
    "cancel": "U",
    "update": "U",
    "move": "U",
    "merge": "U",
    "unmerge": "U",
    "delete": "D",
}
_OUTCOMES = {"success": "0", "denied": "4", "failed": "8"}
_SERVED_TARGETS = {
    "diagnosis.patient": "Patient",
    "diagnosis.study": "ImagingStudy",
    "diagnosis.report": "DiagnosticReport",
    "diagnosis.order": "ServiceRequest",
    "diagnosis.analysis": "Observation",
    "diagnosis.finding": "Observation",
    "diagnosis.modelversion": "Device",
}


def fhir_device(context: FhirContext, model: ModelVersion) -> FhirDevice:
    """Return a model version: name, version, and the digest of its weights."""
    numbers = (
        ("software", model.version),
        ("weights-sha256", model.sha256),
        ("preprocessing", model.preprocessing_version),
        ("calibration", model.calibration_id),
    )
    thresholds = (
        ("threshold-suspicion", model.threshold_suspicion),
        ("threshold-definite", model.threshold_definite),
    )
    return FhirDevice.model_validate(
        compact(
            {
                "id": str(model.pk),
                "meta": {"lastUpdated": instant(model.created_at) if model.created_at else None},
                "identifier": [
                    {"system": context.site_system("model-weights"), "value": model.sha256}
                ],
                "status": "active" if model.is_active else "inactive",
                "statusReason": [concept(text="Recalled")] if model.is_recalled else None,
                "deviceName": [{"name": clean_line(model.name), "type": "model-name"}],
                "type": concept(text="AI software that looks for fractures in radiographs"),
                "version": [
                    {"type": concept(text=kind), "value": clean_line(value)}
                    for kind, value in numbers
                    if value
                ],
                "property": [
                    {
                        "type": concept(text=kind),
                        "valueQuantity": [quantity(value, "1", "1")],
                    }
                    for kind, value in thresholds
                ],
            }
        )
    )


def fhir_analysis_provenance(
    context: FhirContext, analysed: AnalysedImage, findings: Sequence[Finding]
) -> FhirProvenance:
    """Return which model made the observations of one image.

    Raises:
        ValueError: the rows do not belong together, or the analysis has no result.
    """
    analysis = analysed.analysis
    require_clinic(context, analysis, analysed.study, *findings)
    for finding in findings:
        require_link(child=finding.analysis_id, parent=analysis.pk)
    if analysis.finished_at is None or analysis.model_version_id is None:
        raise ValueError("an analysis without result")
    at = instant(analysis.finished_at)
    keys = [analysis.pk, *(finding.pk for finding in findings)]
    return FhirProvenance.model_validate(
        compact(
            {
                "id": str(analysis.pk),
                "target": [reference("Observation", key) for key in keys],
                "occurredDateTime": at,
                "recorded": at,
                "agent": [
                    {
                        "type": _participant("author", "Author"),
                        "who": reference("Device", analysis.model_version_id),
                        "onBehalfOf": clinic_reference(context),
                    }
                ],
                "entity": [
                    {"role": "source", "what": reference("ImagingStudy", analysed.study.pk)}
                ],
            }
        )
    )


def fhir_report_provenance(
    context: FhirContext,
    version: ReportVersion,
    report: Report,
    study: Study,
    *,
    models: Sequence[ModelVersion] = (),
    previous: ReportVersion | None = None,
) -> FhirProvenance:
    """Return who signed a version, with the help of which models, and what it amends.

    Raises:
        ValueError: the version is not signed, or the rows do not belong together.
    """
    require_clinic(context, version, report, study, *([previous] if previous else []))
    require_link(child=version.report_id, parent=report.pk)
    require_link(child=report.study_id, parent=study.pk)
    if version.signed_at is None or version.signed_by_id is None:
        raise ValueError("a version that nobody signed")
    entity = [{"role": "source", "what": reference("ImagingStudy", study.pk)}]
    if previous is not None:
        require_link(child=previous.report_id, parent=report.pk)
        entity.append({"role": "revision", "what": _version_reference(context, previous)})
    at = instant(version.signed_at)
    reason = clean(version.reason)
    signer = {
        "type": _participant("attester", "Attester"),
        "who": person_reference(context, version.signed_by_id, version.signer_name),
        "onBehalfOf": clinic_reference(context),
    }
    aids = [
        {"type": _participant("assembler", "Assembler"), "who": reference("Device", model.pk)}
        for model in models
    ]
    return FhirProvenance.model_validate(
        compact(
            {
                "id": str(version.pk),
                "target": [reference("DiagnosticReport", report.pk)],
                "occurredDateTime": at,
                "recorded": at,
                "reason": [concept(text=reason)] if reason else None,
                "activity": concept(
                    coding(TERMINOLOGY + "v3-DocumentCompletion", "LA", "legally authenticated")
                ),
                "agent": [signer, *aids],
                "entity": entity,
            }
        )
    )


def fhir_audit_event(context: FhirContext, event: AuditEvent) -> FhirAuditEvent:
    """Return one row of the trail: ids and states, no names and no details.

    Raises:
        ValueError: the event is of another clinic, or of none.
    """
    if event.clinic_id != context.clinic_id:
        raise ValueError("the event belongs to another clinic")
    group, _, verb = event.action.partition(".")
    code, display = _AUDIT_TYPES.get(group, _AUDIT_ACTIVITY)
    return FhirAuditEvent.model_validate(
        compact(
            {
                "id": str(event.pk),
                "type": coding(DCM, code, display),
                "subtype": [coding(context.code_system("audit-action"), event.action)],
                "action": _AUDIT_ACTIONS.get(verb, "E"),
                "recorded": instant(event.at),
                "outcome": _OUTCOMES[event.outcome],
                "agent": [_audit_agent(context, event)],
                "source": {
                    "observer": _site(context),
                    "type": [
                        coding(TERMINOLOGY + "security-source-type", "4", "Application Server")
                    ],
                },
                "entity": _audit_entities(context, event),
            }
        )
    )


def _participant(code: str, display: str) -> Json:
    return concept(coding(TERMINOLOGY + "provenance-participant-type", code, display))


def _version_reference(context: FhirContext, version: ReportVersion) -> Json:
    """Return a signed version by its digest: FHIR clients get only the newest by id."""
    return {
        "type": "DiagnosticReport",
        "identifier": {
            "system": context.identifier_system("report-digest"),
            "value": version.content_sha256,
        },
    }


def _site(context: FhirContext) -> Json:
    return {
        "type": "Device",
        "identifier": {"system": URI_SYSTEM, "value": context.base_url.rstrip("/")},
        "display": "Fracture Site",
    }


def _audit_agent(context: FhirContext, event: AuditEvent) -> Json:
    person = event.actor_id
    return {
        "who": person_reference(context, person) if person else None,
        "name": "" if person else "The site itself, or somebody who is not signed in",
        "altId": str(event.token_id) if event.token_id else None,
        "requestor": person is not None,
    }


def _audit_entities(context: FhirContext, event: AuditEvent) -> list[Json]:
    entities: list[Json] = []
    if event.patient_id is not None:
        entities.append(
            {
                "what": reference("Patient", event.patient_id),
                "type": coding(TERMINOLOGY + "audit-entity-type", "1", "Person"),
                "role": coding(TERMINOLOGY + "object-role", "1", "Patient"),
            }
        )
    if event.target_id is not None and event.target_id != event.patient_id:
        kind = _SERVED_TARGETS.get(event.target_type)
        entities.append(
            {
                "what": reference(kind, event.target_id)
                if kind
                else {
                    "identifier": {
                        "system": context.identifier_system(event.target_type or "object"),
                        "value": str(event.target_id),
                    }
                },
                "type": coding(TERMINOLOGY + "audit-entity-type", "2", "System Object"),
                "role": coding(TERMINOLOGY + "object-role", "4", "Domain Resource"),
            }
        )
    return entities
