"""Every write of destinations, and the test of a connection."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db import IntegrityError, transaction
from django.http import Http404
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from diagnosis.models import Content, Destination, Event
from diagnosis.services.delivery_senders import SENDERS, sender_test
from diagnosis.services.violations import violated_constraint
from diagnosis.transport.errors import TransportError
from fracture_site.common.errors import ConflictError, RefusedInputError
from fracture_site.common.sealing import SealBrokenError, seal, unseal

Kind = Destination.Kind
BY_HOST = frozenset({Kind.DICOM_CSTORE, Kind.HL7_MLLP})
ARCHIVES = frozenset({Kind.DICOM_CSTORE, Kind.DICOM_STOW})
SECRETS = frozenset({"bearer_token", "password", "signing_key", "certificate", "key", "ca"})
_AE_TITLE = re.compile(r"^[\x20-\x5b\x5d-\x7e]{1,16}$")
_FIELDS = frozenset(
    {
        "name", "kind", "host", "port", "called_ae_title", "calling_ae_title", "url", "use_tls",
        "events", "contents", "options", "finds_priors", "is_enabled",
    }
)  # fmt: skip


@transaction.atomic
def destination_create(
    *, actor: User, clinic_id: UUID, secrets: Mapping[str, str] | None = None, **fields: Any
) -> Destination:
    """Set up a system that gets results from now on.

    Raises:
        ConflictError: ``destination_name_taken``.
        RefusedInputError: ``destination_invalid``; ``fields`` says what.
    """
    require(user=actor, action=Action.DESTINATION_MANAGE, clinic_id=clinic_id)
    destination = Destination(clinic_id=clinic_id, **_known(fields))
    destination.secrets = seal(_known_secrets(secrets or {}))
    _save(destination)
    _audit(actor, "destination.create", destination, list(fields))
    return destination


@transaction.atomic
def destination_update(
    *,
    actor: User,
    destination: Destination,
    secrets: Mapping[str, str] | None = None,
    **fields: Any,
) -> Destination:
    """Change a destination; what is left out stays, a secret given as ``""`` is removed.

    Secrets do not follow the destination to another address: they would be sent to whoever
    was typed in.

    Raises:
        ConflictError, RefusedInputError: as ``destination_create``.
    """
    require(user=actor, action=Action.DESTINATION_MANAGE, clinic_id=destination.clinic_id)
    locked = Destination.objects.select_for_update().filter(pk=destination.pk).first()
    if locked is None:
        raise Http404
    before = _address(locked)
    for name, value in _known(fields).items():
        setattr(locked, name, value)
    given = _known_secrets(secrets or {})
    try:
        kept = unseal(locked.secrets) if _address(locked) == before else {}
    except SealBrokenError:
        kept = {}
    locked.secrets = seal({name: value for name, value in {**kept, **given}.items() if value})
    _save(locked)
    _audit(actor, "destination.update", locked, [*fields, *given])
    return locked


def destination_test(*, actor: User, destination: Destination) -> str:
    """Ask the peer whether it answers; return ``""``, or the code of what is wrong."""
    require(user=actor, action=Action.DESTINATION_MANAGE, clinic_id=destination.clinic_id)
    code = ""
    try:
        sender_test(destination)
    except TransportError as error:
        code = error.code
    audit_record(
        actor=actor,
        action="destination.test",
        clinic_id=destination.clinic_id,
        target=destination,
        code=code,
    )
    return code


def _known(fields: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(fields) - _FIELDS
    if unknown:
        raise TypeError(f"no such fields: {sorted(unknown)}")
    return {name: v.strip() if isinstance(v, str) else v for name, v in fields.items()}


def _known_secrets(secrets: Mapping[str, str]) -> dict[str, str]:
    unknown = set(secrets) - SECRETS
    if unknown:
        raise TypeError(f"no such secrets: {sorted(unknown)}")
    return {name: value.strip() for name, value in secrets.items()}


def _address(destination: Destination) -> tuple[Any, ...]:
    return (destination.kind, destination.host, destination.port, _origin(destination.url))


def _origin(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ("", url)
    return (parts.scheme, parts.netloc)


def _check(destination: Destination) -> None:
    wrong = _address_errors(destination)
    if not destination.name or len(destination.name) > 100:
        wrong["name"] = _("Give it a name.")
    if destination.kind not in SENDERS:
        wrong["kind"] = _("Choose one of the listed values.")
    for name, choices in (("events", Event), ("contents", Content)):
        if set(getattr(destination, name)) - set(choices.values):
            wrong[name] = _("Choose one of the listed values.")
    if not destination.events and not destination.finds_priors:
        wrong["events"] = _("Choose when something is sent.")
    wrong |= _prior_errors(destination)
    if wrong:
        raise RefusedInputError(
            "destination_invalid", _("This destination cannot work."), fields=wrong
        )


def _prior_errors(destination: Destination) -> dict[str, Any]:
    wrong: dict[str, Any] = {}
    if destination.finds_priors and destination.kind not in ARCHIVES:
        wrong["finds_priors"] = _("Earlier studies can only be looked up by DICOM or DICOMweb.")
    if destination.options.get("retrieve", "get") not in {"get", "move"}:
        wrong["retrieve"] = _("Choose one of the listed values.")
    if len(str(destination.options.get("issuer") or "")) > 64:
        wrong["issuer"] = _("At most 64 characters.")
    return wrong


def _address_errors(destination: Destination) -> dict[str, Any]:
    wrong: dict[str, Any] = {}
    if destination.kind in BY_HOST:
        if not destination.host or re.search(r"[\s/]", destination.host):
            wrong["host"] = _("Enter the name or address of the machine.")
        if not destination.port or not 1 <= destination.port <= 65535:
            wrong["port"] = _("Enter a port from 1 to 65535.")
    elif not _is_web_address(destination.url):
        wrong["url"] = _("Enter an address that begins with https:// (or http://).")
    if destination.kind == Kind.DICOM_CSTORE:
        for name in ("called_ae_title", "calling_ae_title"):
            if not _AE_TITLE.match(getattr(destination, name)):
                wrong[name] = _("An AE title has 1 to 16 characters and no backslash.")
    return wrong


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = not (parts.username or parts.password or parts.fragment)
    return parts.scheme in {"https", "http"} and bool(parts.hostname) and port_fits and plain


def _save(destination: Destination) -> None:
    _check(destination)
    try:
        with transaction.atomic():
            destination.save()
    except IntegrityError as error:
        if violated_constraint(error) != "destination_name_once":
            raise
        taken = _("Another destination has this name.")
        raise ConflictError("destination_name_taken", taken, fields={"name": taken}) from error


def _audit(actor: User, action: str, destination: Destination, fields: list[str]) -> None:
    audit_record(
        actor=actor,
        action=action,
        clinic_id=destination.clinic_id,
        target=destination,
        kind=destination.kind,
        fields=sorted(fields),
    )
