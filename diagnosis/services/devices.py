"""Every write of devices."""

import re
from typing import Any, Final
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_ipv46_address
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import Membership, User
from accounts.policy import Action, require
from accounts.services.principals import principal_create
from diagnosis.models import Device
from diagnosis.services.violations import violated_constraint
from fracture_site.common.errors import ConflictError, RefusedInputError

_AE_TITLE: Final = re.compile(
    r"[\x21-\x5b\x5d-\x7e]([\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?"
)
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


@transaction.atomic
def device_create(*, actor: User, clinic_id: UUID, name: str, **fields: Any) -> Device:
    """Let a machine send images to the clinic.

    Raises:
        ConflictError: ``device_name_taken``, or ``device_taken``: its AE title with this
            certificate or address is in use.
        RefusedInputError: ``device_invalid``; ``fields`` says what.
    """
    require(user=actor, action=Action.DESTINATION_MANAGE, clinic_id=clinic_id)
    device = Device(clinic_id=clinic_id, name=name.strip(), **_known(fields))
    _check(device)
    device.membership = principal_create(actor=actor, clinic_id=clinic_id, name=device.name)
    _save(device)
    _audit(actor, "device.create", device)
    return device


@transaction.atomic
def device_update(*, actor: User, device: Device, **fields: Any) -> Device:
    """Change a device; one that is switched off may do nothing any more.

    Raises:
        ConflictError, RefusedInputError: as ``device_create``.
    """
    require(user=actor, action=Action.DESTINATION_MANAGE, clinic_id=device.clinic_id)
    locked = Device.objects.select_for_update().get(pk=device.pk)
    for name, value in _known(fields).items():
        setattr(locked, name, value)
    _check(locked)
    _save(locked)
    Membership.objects.filter(pk=locked.membership_id).update(is_active=locked.is_enabled)
    _audit(actor, "device.update", locked)
    return locked


def device_find(
    *, ae_title: str, address: str, certificate_sha256: str
) -> tuple[UUID, UUID] | None:
    """Return id and clinic of the one device that calls like this, before a clinic is known."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT device_id, clinic_id FROM diagnosis_device_find(%s, %s, %s)",
            [ae_title, address, certificate_sha256],
        )
        found = cursor.fetchall()
    return found[0] if len(found) == 1 else None


def device_seen(*, device_id: UUID) -> Device | None:
    """Return a device that is in use and note that it called; in the clinic's scope."""
    Device.objects.filter(pk=device_id).update(last_seen_at=Now())
    return (
        Device.objects.select_related("membership__user")
        .filter(pk=device_id, is_enabled=True)
        .first()
    )


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    unknown = set(fields) - {"name", "ae_title", "address", "certificate_sha256", "is_enabled"}
    if unknown:
        raise TypeError(f"no such fields: {sorted(unknown)}")
    values = {k: v.strip() if isinstance(v, str) else v for k, v in fields.items()}
    if "certificate_sha256" in values:
        values["certificate_sha256"] = values["certificate_sha256"].replace(":", "").lower()
    if "address" in values:
        values["address"] = values["address"] or None
    return values


def _check(device: Device) -> None:
    wrong: dict[str, Any] = {}
    if not device.name or len(device.name) > 100:
        wrong["name"] = _("Give it a name.")
    if not _AE_TITLE.fullmatch(device.ae_title):
        wrong["ae_title"] = _("An AE title has 1 to 16 characters and no backslash.")
    if device.certificate_sha256 and not _FINGERPRINT.fullmatch(device.certificate_sha256):
        wrong["certificate_sha256"] = _("Enter the 64 hexadecimal digits of the fingerprint.")
    if device.address:
        try:
            validate_ipv46_address(device.address)
        except ValidationError:
            wrong["address"] = _("Enter an IP address.")
    elif not device.certificate_sha256:
        wrong["address"] = _("Enter the fingerprint of its certificate, or its IP address.")
    if wrong:
        raise RefusedInputError("device_invalid", _("This device cannot work."), fields=wrong)


def _save(device: Device) -> None:
    try:
        with transaction.atomic():
            device.save()
    except IntegrityError as error:
        constraint = violated_constraint(error)
        if constraint == "device_name_once":
            taken = _("Another device has this name.")
            raise ConflictError("device_name_taken", taken, fields={"name": taken}) from error
        if constraint in {"device_certificate_once", "device_address_once"}:
            taken = _("This AE title is in use with the same certificate or address.")
            raise ConflictError("device_taken", taken, fields={"ae_title": taken}) from error
        raise


def _audit(actor: User, action: str, device: Device) -> None:
    audit_record(
        actor=actor,
        action=action,
        clinic_id=device.clinic_id,
        target=device,
        is_enabled=device.is_enabled,
    )
