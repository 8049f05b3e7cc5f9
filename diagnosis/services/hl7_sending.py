"""Sending results and signed reports as HL7 v2 messages (ORU^R01)."""

from collections.abc import Callable
from typing import Any

from diagnosis.interop.hl7_results import Hl7Ai, Hl7Parties, Hl7Patient, Hl7Result, hl7_result
from diagnosis.models import Content, Delivery, Destination, Event, Order, ReportVersion
from diagnosis.services.destination_secrets import secrets_of
from diagnosis.services.report_texts import SECTIONS
from diagnosis.storage import object_read
from diagnosis.transport.errors import PeerRefusedError
from diagnosis.transport.mllp import MllpPeer, mllp_send, mllp_test

_PARTIES = (
    "sending_facility",
    "receiving_application",
    "receiving_facility",
    "assigning_authority",
)


def mllp_prepare(delivery: Delivery) -> Callable[[], list[Any]]:
    """Return what sends a delivery over MLLP.

    Raises:
        PeerRefusedError: ``event_not_sent``: nothing of a recall is told in HL7.
    """
    if delivery.event not in {Event.RESULT_READY, Event.REPORT_SIGNED}:
        raise PeerRefusedError("event_not_sent")
    peer, version = _peer(delivery.destination), _version(delivery)
    told = _result(delivery, version)
    pdf_key = ""
    if version is not None and Content.PDF in delivery.destination.contents:
        pdf_key = version.pdf_key

    def send() -> list[Any]:
        pdf = object_read(pdf_key) if pdf_key else None
        message = hl7_result(Hl7Result(**told, pdf=pdf))
        mllp_send(peer, message, control_id=told["control_id"])
        return [{"content": "hl7", "control_id": told["control_id"]}]

    return send


def mllp_check(destination: Destination) -> None:
    """Ask whether somebody listens."""
    mllp_test(_peer(destination))


def _peer(destination: Destination) -> MllpPeer:
    return MllpPeer(
        host=destination.host,
        port=destination.port or 0,
        use_tls=destination.use_tls,
        secrets=secrets_of(destination),
    )


def _version(delivery: Delivery) -> ReportVersion | None:
    if delivery.event != Event.REPORT_SIGNED:
        return None
    return ReportVersion.objects.get(pk=delivery.subject)


def _result(delivery: Delivery, version: ReportVersion | None) -> dict[str, Any]:
    """Return what is told, as it was signed, or as the AI says it now."""
    study = delivery.study
    patient, order = study.patient, _order(delivery)
    options = delivery.destination.options
    told: dict[str, Any] = {
        # The same whenever this delivery is tried, so that the receiver knows a repetition.
        "control_id": delivery.pk.hex[:20].upper(),
        "written_at": delivery.created_at,
        "parties": Hl7Parties(**{name: str(options.get(name, "")) for name in _PARTIES}),
        "patient": Hl7Patient(
            record_number=patient.record_number,
            family_name=patient.family_name,
            given_name=patient.given_name,
            birth_date=patient.birth_date,
            sex=patient.sex,
        ),
        "accession_number": study.accession_number,
        "registered_at": study.created_at,
        "placer_number": order.placer_number if order else "",
        "ai": _ai((version.result if version else study.result) or {}),
    }
    if order and order.procedure_code:
        system = order.procedure_system or "L"
        told["procedure"] = (order.procedure_code, order.procedure_text, system)
    if version is not None:
        told |= {
            "sections": {name: getattr(version, name) for name in SECTIONS},
            "version": version.number,
            "reason": version.reason,
            "signer": version.signer_name,
            "signed_at": version.signed_at,
        }
    return told


def _order(delivery: Delivery) -> Order | None:
    """Return the order that the receiver may know: the first one of the study."""
    return Order.objects.filter(study=delivery.study_id).order_by("created_at", "id").first()


def _ai(result: dict[str, Any]) -> Hl7Ai | None:
    model = result.get("model")
    if not model or not result.get("verdict"):
        return None
    return Hl7Ai(
        verdict=result["verdict"],
        probability=result.get("probability"),
        model=f"{model['name']} {model['version']}",
    )
