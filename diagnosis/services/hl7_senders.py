"""Which systems may send HL7 messages, to which clinic; kept by the site's operator."""

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.http import Http404

from accounts.audit import audit_record
from accounts.models import Membership, User
from accounts.services.clinics import require_site_admin
from accounts.tenancy import clinic_scope
from diagnosis.models import Hl7Sender, Study
from diagnosis.models.hl7 import CHARACTER_SETS
from fracture_site.common.errors import ConflictError, RefusedInputError

_PROCEDURE_KEYS = {
    "body_part": Study.BodyPart.values,
    "side": Study.Side.values,
    "modality": ["DX", "CR", "CT", "MR", "MG", "US"],
}


def hl7_sender_create(
    *,
    actor: User,
    membership: Membership,
    name: str,
    sending_application: str,
    sending_facility: str = "",
    networks: Sequence[str] = (),
    certificate_sha256: str = "",
    assigning_authority: str = "",
    character_set: str = "",
    procedures: Mapping[str, Any] | None = None,
) -> Hl7Sender:
    """Let a system send to the clinic of ``membership``, with the rights of that member.

    Raises:
        PermissionDenied: ``actor`` is no site administrator.
        ConflictError: ``sender_exists``.
        RefusedInputError: ``application_missing``, ``network_malformed``, ``not_recognisable``,
            ``certificate_malformed``, ``character_set_unknown``, ``procedures_malformed``.
    """
    require_site_admin(actor)
    values = {
        "name": name.strip() or sending_application,
        "sending_application": sending_application.strip(),
        "sending_facility": sending_facility.strip(),
        "networks": _networks(networks),
        "certificate_sha256": certificate_sha256.replace(":", "").lower(),
        "assigning_authority": assigning_authority.strip(),
        "character_set": character_set.upper(),
        "procedures": dict(procedures or {}),
    }
    _check(values)
    clinic_id = membership.clinic_id
    with clinic_scope(clinic_id):
        try:
            with transaction.atomic():
                sender = Hl7Sender.objects.create(
                    clinic_id=clinic_id, membership=membership, **values
                )
        except IntegrityError as error:
            raise ConflictError(
                "sender_exists", "This clinic has a sender of that application and facility."
            ) from error
        _audit(actor, "hl7_sender.create", sender)
    return sender


def hl7_sender_stop(*, actor: User, clinic_id: UUID, sender_id: UUID) -> None:
    """Take no more messages from a system; what it sent stays.

    Raises:
        PermissionDenied: ``actor`` is no site administrator.
        Http404: the clinic has no such sender.
    """
    require_site_admin(actor)
    with clinic_scope(clinic_id):
        sender = Hl7Sender.objects.filter(pk=sender_id).first()
        if sender is None:
            raise Http404
        Hl7Sender.objects.filter(pk=sender.pk).update(is_active=False)
        _audit(actor, "hl7_sender.stop", sender)


def _networks(given: Sequence[str]) -> list[str]:
    try:
        return [str(ip_network(network.strip())) for network in given]
    except ValueError as error:
        raise RefusedInputError(
            "network_malformed", "Write networks as 192.0.2.0/24 or 192.0.2.7."
        ) from error


def _check(values: dict[str, Any]) -> None:
    if not values["sending_application"]:
        raise RefusedInputError("application_missing", "Name the sending application (MSH-3).")
    if not values["networks"] and not values["certificate_sha256"]:
        raise RefusedInputError(
            "not_recognisable", "Give the sender's network or its certificate's digest."
        )
    if values["certificate_sha256"] and not re.fullmatch(
        r"[0-9a-f]{64}", values["certificate_sha256"]
    ):
        raise RefusedInputError("certificate_malformed", "A SHA-256 has 64 hexadecimal digits.")
    if values["character_set"] not in CHARACTER_SETS:
        raise RefusedInputError("character_set_unknown", f"One of {', '.join(CHARACTER_SETS)}.")
    for code, known in values["procedures"].items():
        wrong = not isinstance(known, dict) or any(
            value not in _PROCEDURE_KEYS.get(key, []) for key, value in known.items()
        )
        if wrong:
            raise RefusedInputError(
                "procedures_malformed",
                f"Procedure {code}: body_part, side and modality with values of this site.",
            )


def _audit(actor: User, action: str, sender: Hl7Sender) -> None:
    audit_record(actor=actor, action=action, clinic_id=sender.clinic_id, target=sender)
