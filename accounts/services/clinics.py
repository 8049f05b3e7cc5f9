"""Clinics: a new one, its settings, and which one a person works in."""

from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from allauth.account.internal.flows.reauthentication import STATE_SESSION_KEY
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest
from django.middleware.csrf import rotate_token
from django.utils.translation import gettext_lazy as _

from accounts.audit import audit_record
from accounts.models import Clinic, Membership, Role, User
from accounts.policy import Action, require
from accounts.selectors import clinic_name_is_taken, has_second_factor, membership_list
from accounts.services.invitations import invitation_send
from accounts.tenancy import clinic_scope
from fracture_site.common.errors import ConflictError, DomainError

SESSION_KEY = "current_clinic"


def clinic_create(*, actor: User, name: str, admin_email: str, **fields: Any) -> Clinic:
    """Let a site administrator open a clinic and invite its first administrator.

    Raises:
        PermissionDenied: ``actor`` is no site administrator.
        ConflictError: ``clinic_name_taken``.
        UnavailableError: ``mail_unavailable``; nothing is stored then.
    """
    require_site_admin(actor)
    if clinic_name_is_taken(name=name):
        taken = _("There is a clinic of this name already.")
        raise ConflictError("clinic_name_taken", taken, fields={"name": taken})
    clinic = Clinic(name=name.strip(), **fields)
    with clinic_scope(clinic.pk):
        clinic.save()
        audit_record(actor=actor, action="clinic.create", clinic_id=clinic.pk, target=clinic)
        invitation_send(
            actor=actor, clinic_id=clinic.pk, email=admin_email, roles=[Role.CLINIC_ADMIN]
        )
    return clinic


@transaction.atomic
def clinic_update(
    *,
    actor: User,
    clinic: Clinic,
    name: str | None = None,
    address: str | None = None,
    time_zone: str | None = None,
    language: str | None = None,
    read_first: bool | None = None,
    second_reader: str | None = None,
    second_factor_required: bool | None = None,
) -> Clinic:
    """Change settings of a clinic; ``None`` leaves a setting as it is.

    The intended use has services of its own: see ``attestations``.
    Two clinics may have one name: a refusal would tell which other clinics are here.

    Raises:
        ActionDeniedError: ``actor`` does not manage this clinic's settings.
        DomainError: ``time_zone_unknown``, ``language_unknown``, ``second_factor_missing``:
            who asks everybody for a second factor needs one first.
    """
    require(user=actor, action=Action.CLINIC_SETTINGS, clinic_id=clinic.pk)
    wanted: dict[str, Any] = {
        "name": name.strip() if name is not None else None,
        "address": address,
        "time_zone": time_zone,
        "language": language,
        "read_first": read_first,
        "second_reader": second_reader,
        "second_factor_required": second_factor_required,
    }
    clinic = Clinic.objects.select_for_update().get(pk=clinic.pk)
    changed = [f for f, v in wanted.items() if v is not None and v != getattr(clinic, f)]
    if "time_zone" in changed and time_zone not in available_timezones():
        raise DomainError("time_zone_unknown", fields={"time_zone": _("Unknown time zone.")})
    if "language" in changed and language not in dict(settings.LANGUAGES):
        raise DomainError("language_unknown", fields={"language": _("Unknown language.")})
    wants_factor = "second_factor_required" in changed and second_factor_required
    if wants_factor and not has_second_factor(user=actor):
        missing = _("Set up a second factor of your own first: otherwise you are out at once.")
        raise DomainError("second_factor_missing", fields={"second_factor_required": missing})
    for field in changed:
        setattr(clinic, field, wanted[field])
    if changed:
        clinic.save()
        audit_record(
            actor=actor,
            action="clinic.update",
            clinic_id=clinic.pk,
            target=clinic,
            fields=changed,
        )
    return clinic


def clinic_switch(*, request: HttpRequest, membership_id: UUID) -> Membership:
    """Let the person of this session work in another of their clinics from the next request on.

    The anti-forgery token is renewed, and a change that waits for a password is
    forgotten: what another tab still shows belongs to the former clinic and must
    not be stored in the new one.

    Raises:
        Http404: this is no active membership of the person.
    """
    user = request.user
    if not isinstance(user, User):
        raise Http404
    membership = membership_list(user=user).filter(pk=membership_id).first()
    if membership is None:
        raise Http404
    clinic = membership.clinic
    with clinic_scope(clinic.pk):
        audit_record(actor=user, action="clinic.switch", clinic_id=clinic.pk, target=clinic)
    request.session[SESSION_KEY] = str(clinic.pk)
    request.session.pop(STATE_SESSION_KEY, None)
    rotate_token(request)
    return membership


def require_site_admin(actor: User) -> None:
    """Return silently for an active site administrator.

    Raises:
        PermissionDenied: ``actor`` is none.
    """
    if not (actor.is_staff and actor.is_active):
        raise PermissionDenied("only site administrators may do this")
