"""Writing the audit trail: explicit calls inside the transaction of what they describe."""

from typing import Any
from uuid import UUID

from django.db import connection
from django.http import HttpRequest

from accounts.audit_chain import event_proof
from accounts.models import AuditEvent, Membership, User
from fracture_site.common.models import UUIDModel

SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")


def audit_record(
    *,
    actor: User | None,
    action: str,
    clinic_id: UUID | None,
    target: UUIDModel | None = None,
    patient_id: UUID | None = None,
    outcome: str = AuditEvent.Outcome.SUCCESS,
    **details: Any,
) -> AuditEvent:
    """Append one event; call it inside the transaction of the change it describes.

    ``actor=None`` means the system itself (a worker) or somebody who is not
    signed in. ``details`` must be JSON and must hold identifiers and states
    only, never names or image content.
    """
    event = AuditEvent(
        pk=_next_id(),
        actor=actor,
        token_id=getattr(actor, "acting_token_id", None),
        clinic_id=clinic_id,
        action=action,
        outcome=outcome,
        target_type=target._meta.label_lower if target is not None else "",
        target_id=target.pk if target is not None else None,
        patient_id=patient_id,
        details=details,
    )
    event.proof = event_proof(event)
    event.save(force_insert=True)
    return event


def _next_id() -> int:
    """Return the id of the next event: its proof covers it, too."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('accounts_auditevent_id_seq')")
        return int(cursor.fetchone()[0])


def audit_viewed(*, actor: User, clinic_id: UUID) -> None:
    """Remember that somebody read the trail; the caller has required the right."""
    audit_record(actor=actor, action="audit.view", clinic_id=clinic_id)


def audit_denial(*, request: HttpRequest, action: str) -> None:
    """Remember that a person was refused an action.

    The event is not written here: whatever the request did before the refusal
    is rolled back, and the event must not go with it. ``ClinicScopeMiddleware``
    writes it afterwards, in a transaction of its own.
    """
    denials_of(request).append(action)


def audit_no_clinic(*, request: HttpRequest) -> None:
    """Remember that somebody without a clinic tried to change something."""
    if request.method not in SAFE_METHODS and isinstance(request.user, User):
        audit_denial(request=request, action="clinic.enter")


def denials_of(request: HttpRequest) -> list[str]:
    """Return what this request was refused so far."""
    denials: list[str] = request.__dict__.setdefault("_audit_denials", [])
    return denials


def audit_denials_write(*, request: HttpRequest) -> None:
    """Append the remembered refusals; call it within the scope of the request's clinic."""
    actor = request.user
    membership: Membership | None = getattr(request, "membership", None)
    for action in denials_of(request):
        audit_record(
            actor=actor if isinstance(actor, User) else None,
            action=action,
            clinic_id=membership.clinic_id if membership else None,
            outcome=AuditEvent.Outcome.DENIED,
        )
