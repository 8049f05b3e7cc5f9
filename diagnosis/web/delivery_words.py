"""Sentences for what became of a delivery: what it means and what to do."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from diagnosis.models import Delivery

STATES = {
    Delivery.Status.QUEUED: _("Waiting"),
    Delivery.Status.RUNNING: _("Sending"),
    Delivery.Status.SUCCEEDED: _("Sent"),
    Delivery.Status.FAILED: _("Not sent"),
    Delivery.Status.CANCELLED: _("Given up"),
}
TONES = {
    Delivery.Status.SUCCEEDED: "success",
    Delivery.Status.FAILED: "danger",
    Delivery.Status.CANCELLED: "neutral",
}
REASONS = {
    "peer_unreachable": _("Nobody answers at this address. Is the system on, and the port open?"),
    "peer_rejected": _(
        "The system refused the connection. Does it know our AE title and address, and is its own "
        "AE title right?"
    ),
    "peer_busy": _("The system answers that it is full or busy."),
    "peer_refused": _("The system did not accept what was sent. Its log says why."),
    "object_not_accepted": _(
        "The system does not take this kind of object. Choose fewer kinds for this destination."
    ),
    "connection_lost": _("The connection broke off."),
    "host_unknown": _("No machine has this name."),
    "address_not_allowed": _(
        "This address is in a private network that the site's operator has not allowed "
        "(DELIVERY_PRIVATE_NETWORKS)."
    ),
    "not_authorised": _("The system refused our token or certificate."),
    "tls_failed": _("The encrypted connection failed: the certificate is not trusted."),
    "tls_unusable": _("The certificate or key of this destination cannot be used."),
    "secrets_lost": _("The site's key was changed. Enter the secrets of this destination again."),
    "destination_off": _("The destination was switched off."),
    "kind_unknown": _("This kind of destination is not supported."),
    "answer_too_large": _("The system's answer was too large."),
    "storage": _("The image store did not answer."),
    "signing_key_missing": _("This destination has no signing key. Enter one."),
    "webhook_refused": _("The receiver did not accept the message. Its log says why."),
    "hl7_refused": _("The receiver refused the HL7 message. Its log says why."),
    "hl7_answer_unexpected": _("The receiver's acknowledgement cannot be understood."),
    "answer_broken_off": _("The connection broke off before the receiver had answered."),
    "event_not_sent": _("This kind of destination is not told of this event."),
    "object_missing": _("A stored file is missing. Tell your administrator."),
    "worker_lost": _("Sending broke off three times. Tell your administrator."),
}
OTHER_REASON = _("Sending failed for an unknown reason. Tell your administrator.")


def state_text(delivery: Delivery) -> str:
    """Return the state in a delivery's own words."""
    return str(STATES[Delivery.Status(delivery.status)])


def reason_text(code: str) -> str:
    """Return what a code means; ``""`` when there is none."""
    return str(REASONS.get(code, OTHER_REASON)) if code else ""


def delivery_row(delivery: Delivery) -> dict[str, Any]:
    """Return what lists show of a delivery."""
    failed = delivery.status in {Delivery.Status.FAILED, Delivery.Status.CANCELLED}
    return {
        "delivery": delivery,
        "state": state_text(delivery),
        "tone": TONES.get(Delivery.Status(delivery.status), "info"),
        "reason": reason_text(delivery.error_code),
        "can_repeat": failed,
        "can_cancel": delivery.is_open,
    }
