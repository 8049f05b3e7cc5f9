"""Orders as FHIR ServiceRequest, out and in."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from fhir.resources.R4B.servicerequest import ServiceRequest as FhirServiceRequest

from diagnosis.interop.fhir_base import (
    DCM,
    SNOMED,
    TERMINOLOGY,
    FhirContext,
    Json,
    clean,
    clean_line,
    coding,
    compact,
    concept,
    instant,
    reference,
    require_clinic,
    require_link,
)
from diagnosis.interop.fhir_imaging import body_site_text
from diagnosis.interop.orders import OrderTold, body_part_of, side_of
from diagnosis.models import Order, Priority, Study
from fracture_site.common.errors import RefusedInputError

_PRIORITIES: Final = {
    Priority.STAT: "stat", Priority.URGENT: "urgent", Priority.ROUTINE: "routine",
}  # fmt: skip
_TOLD_PRIORITIES: Final = {"stat": Priority.STAT, "asap": Priority.URGENT,
                           "urgent": Priority.URGENT, "routine": Priority.ROUTINE}  # fmt: skip
_IMAGING: Final = ("363679005", "Imaging")


def service_request_status(order: Order) -> str:
    """Return the status of FHIR: an order whose study is reported is completed."""
    if order.status == Order.Status.CANCELLED:
        return "revoked"
    return "completed" if order.study.status == Study.Status.REPORTED else "active"


def fhir_service_request(context: FhirContext, order: Order, study: Study) -> FhirServiceRequest:
    """Return an order with what its study says now.

    Raises:
        ValueError: the rows do not belong together, or to another clinic.
    """
    require_clinic(context, order, study)
    require_link(child=order.study_id, parent=study.pk)
    question, code = clean(study.clinical_question), clean_line(order.procedure_code)
    site = body_site_text(study.get_body_part_display(), study.side)
    category = [coding(SNOMED, *_IMAGING)] if context.snomed else []
    return FhirServiceRequest.model_validate(
        compact(
            {
                "id": str(order.pk),
                "meta": {"lastUpdated": instant(max(order.updated_at, study.updated_at))},
                "identifier": [
                    _identifier("PLAC", "Placer Identifier", order.source, order.placer_number),
                    _identifier(
                        "ACSN", "Accession ID",
                        context.identifier_system("accession-number"), study.accession_number,
                    ),
                ],
                "status": service_request_status(order),
                "intent": "order",
                "category": [concept(*category, text="Imaging")],
                "priority": _PRIORITIES[Priority(study.priority)],
                "code": concept(
                    coding(
                        _system(context, order.procedure_system),
                        code,
                        clean_line(order.procedure_text),
                    )
                    if code
                    else {},
                    text=clean_line(order.procedure_text) or "Radiograph",
                ),
                "subject": reference("Patient", study.patient_id),
                "occurrenceDateTime": instant(order.scheduled_at) if order.scheduled_at else None,
                "authoredOn": instant(order.told_at),
                "requester": {"display": clean_line(order.requester_name)},
                "orderDetail": [concept(coding(DCM, order.modality))],
                "reasonCode": [concept(text=question)] if question else None,
                "bodySite": [concept(text=site)] if site else None,
            }
        )
    )  # fmt: skip


def service_request_told(request: FhirServiceRequest, *, received_at: datetime) -> OrderTold:
    """Return what a client orders.

    Raises:
        RefusedInputError: ``order_number_missing``: no identifier with system and value, or more
            than one that could be the placer's.
    """
    source, number = _placer(request)
    codes = [code for code in (request.code.coding if request.code else None) or [] if code.code]
    text = (request.code.text if request.code else None) or next(
        (code.display for code in codes if code.display), None
    )
    sites = " ".join(_words(site) for site in request.bodySite or [])
    words = f"{text or ''} {sites}"
    reasons = [_words(reason) for reason in request.reasonCode or []]
    accession = _numbers(request, "ACSN")
    modality = next(
        (
            code.code
            for detail in request.orderDetail or []
            for code in detail.coding or []
            if code.system == DCM and code.code
        ),
        None,
    )
    return OrderTold(
        source=source,
        placer_number=number,
        told_at=received_at,
        accession_number=accession[0][1] if accession else None,
        clinical_question=clean("\n".join(filter(None, reasons))) or None,
        body_part=body_part_of(words),
        side=side_of(words),
        priority=_TOLD_PRIORITIES.get(request.priority or ""),
        procedure_code=clean_line(codes[0].code or "") if codes else None,
        procedure_system=clean_line(codes[0].system or "") if codes else None,
        procedure_text=clean_line(text) if text else None,
        modality=clean_line(modality) if modality else None,
        scheduled_at=_scheduled(request),
        requester_name=clean_line(request.requester.display or "") or None
        if request.requester
        else None,
    )


def subject_of(request: FhirServiceRequest) -> tuple[str, str, str]:
    """Return the patient's reference, identifier system and value; each may be ``""``."""
    subject = request.subject
    identifier = subject.identifier
    return (
        subject.reference or "",
        (identifier.system or "") if identifier else "",
        (identifier.value or "") if identifier else "",
    )


def _system(context: FhirContext, told: str) -> str:
    """Return the namespace of a procedure's code; a word of HL7 becomes one of this clinic."""
    if told.startswith(("http://", "https://", "urn:")) and not any(map(str.isspace, told)):
        return told
    return context.identifier_system("procedure")


def identifier_system_of(source: str) -> str:
    """Return a source as a URI; HL7 senders are named by two words, in hexadecimal digits."""
    sender = source.removeprefix("hl7:")
    return source if sender == source else f"urn:hl7-sender:{sender.encode().hex()}"


def source_of(system: str) -> str:
    """Return the source that ``identifier_system_of`` told."""
    digits = system.removeprefix("urn:hl7-sender:")
    if digits == system:
        return system
    try:
        return f"hl7:{bytes.fromhex(digits).decode()}"
    except ValueError:
        return system


def _placer(request: FhirServiceRequest) -> tuple[str, str]:
    found = _numbers(request, "PLAC")
    if not found:
        found = [
            (entry.system, entry.value)
            for entry in request.identifier or []
            if entry.system and entry.value and not entry.type
        ]
    if len(found) != 1:
        raise RefusedInputError(
            "order_number_missing",
            "Give one identifier of type PLAC with system and value.",
        )
    return found[0]


def _numbers(request: FhirServiceRequest, code: str) -> list[tuple[str, str]]:
    return [
        (entry.system or "", clean_line(entry.value))
        for entry in request.identifier or []
        if entry.value
        and (entry.system or code != "PLAC")
        and any(kind.code == code for kind in (entry.type.coding if entry.type else None) or [])
    ]


def _scheduled(request: FhirServiceRequest) -> datetime | None:
    moment = request.occurrenceDateTime
    return moment if isinstance(moment, datetime) and moment.tzinfo else None


def _words(value: Any) -> str:
    displays = [code.display for code in value.coding or [] if code.display]
    return value.text or " ".join(displays)


def _identifier(code: str, display: str, system: str, value: str) -> Json | None:
    if not value:
        return None
    kind: Mapping[str, Any] = concept(coding(TERMINOLOGY + "v2-0203", code, display))
    return {"type": kind, "system": identifier_system_of(system), "value": clean_line(value)}
