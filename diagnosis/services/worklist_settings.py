"""What a clinic decides about its worklist, and what a person keeps of it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import Membership, User, membership_in_force
from accounts.policy import Action, require
from diagnosis.models import ClinicRules, Priority, SavedFilter, Study
from diagnosis.selectors.rules import PRIORITY_KEYS, VERDICT_KEYS
from fracture_site.common.errors import ConflictError, RefusedInputError

MAX_TARGET: Final = 30 * 24 * 60
MAX_FILTERS: Final = 20
MAX_LEVELS: Final = 4
VIEWS: Final = ("frontal", "lateral", "oblique")
SEVERITIES: Final = ("mild", "moderate", "severe")


@transaction.atomic
def clinic_rules_update(*, actor: User, clinic_id: UUID, **changes: Any) -> ClinicRules:
    """Change a clinic's reading rules; what is left out stays.

    Args:
        actor: an administrator of the clinic.
        clinic_id: the current clinic.
        changes: columns of ``ClinicRules``.

    Raises:
        RefusedInputError: ``rules_invalid``; ``fields`` says which and why.
    """
    require(user=actor, action=Action.CLINIC_SETTINGS, clinic_id=clinic_id)
    refused = {
        name: text
        for name, value in changes.items()
        if (text := _CHECKS[name](value, clinic_id)) is not None
    }
    if refused:
        raise RefusedInputError("rules_invalid", _("Correct the marked rules."), fields=refused)
    ClinicRules.objects.bulk_create([ClinicRules(clinic_id=clinic_id)], ignore_conflicts=True)
    rules = ClinicRules.objects.select_for_update().get(clinic_id=clinic_id)
    changed = [name for name, value in changes.items() if getattr(rules, name) != value]
    for name in changed:
        setattr(rules, name, changes[name])
    if changed:
        rules.updated_by = actor
        rules.save(update_fields=[*changed, "updated_by", "updated_at"])
        audit_record(
            actor=actor,
            action="clinic.rules_update",
            clinic_id=clinic_id,
            target=rules,
            fields=changed,
        )
    return rules


@transaction.atomic
def saved_filter_store(
    *, actor: User, clinic_id: UUID, name: str, filters: Mapping[str, Any]
) -> SavedFilter:
    """Keep a filter of the worklist under a name; the same name replaces it.

    Raises:
        ConflictError: ``too_many_filters``.
        RefusedInputError: ``name_missing``.
    """
    require(user=actor, action=Action.STUDY_VIEW, clinic_id=clinic_id)
    name = name.strip()[:40]
    if not name:
        missing = _("Give the filter a name.")
        raise RefusedInputError("name_missing", missing, fields={"name": missing})
    own = SavedFilter.objects.filter(clinic_id=clinic_id, user=actor)
    if own.exclude(name=name).count() >= MAX_FILTERS:
        raise ConflictError("too_many_filters", _("Remove a saved filter first."))
    stored, _created = own.update_or_create(
        name=name,
        defaults={"filters": dict(filters)},
        create_defaults={"filters": dict(filters), "clinic_id": clinic_id, "user": actor},
    )
    return stored


@transaction.atomic
def saved_filter_remove(*, actor: User, saved: SavedFilter) -> None:
    """Forget one's own filter."""
    require(user=actor, action=Action.STUDY_VIEW, clinic_id=saved.clinic_id)
    SavedFilter.objects.filter(pk=saved.pk, user=actor).delete()


def _check_targets(value: Mapping[str, Any], _clinic_id: UUID) -> str | None:
    known = {*PRIORITY_KEYS, *VERDICT_KEYS}
    for key, minutes in value.items():
        fits = minutes is None or (type(minutes) is int and 1 <= minutes <= MAX_TARGET)
        if key not in known or not fits:
            return _("Targets are whole minutes between 1 and %(n)s.") % {"n": MAX_TARGET}
    return None


def _check_views(value: Mapping[str, Sequence[str]], _clinic_id: UUID) -> str | None:
    for body_part, views in value.items():
        if body_part not in Study.BodyPart.values or set(views) - set(VIEWS):
            return _("Choose from the listed body parts and views.")
    return None


def _check_people(value: Sequence[Mapping[str, Any]], clinic_id: UUID) -> str | None:
    if len(value) > MAX_LEVELS:
        return _("Name at most %(n)s levels.") % {"n": MAX_LEVELS}
    named = {str(person) for level in value for person in level.get("people", ())}
    for level in value:
        minutes = level.get("minutes")
        if type(minutes) is not int or not 1 <= minutes <= MAX_TARGET:
            return _("Say after how many minutes the next people are told.")
        if not level.get("people"):
            return _("Name at least one person on each level.")
    members = Membership.objects.filter(
        membership_in_force(), clinic_id=clinic_id, user_id__in=named, user__is_active=True
    )
    if members.count() != len(named):
        return _("Name people of this clinic only.")
    return None


def _check_subset(known: Sequence[Any]) -> Any:
    def check(value: Sequence[Any], _clinic_id: UUID) -> str | None:
        return _("Choose from the list.") if set(value) - set(known) else None

    return check


_CHECKS: Final[dict[str, Any]] = {
    "targets": _check_targets,
    "views": _check_views,
    "critical_enabled": lambda _value, _clinic_id: None,
    "critical_regions": _check_subset(Study.BodyPart.values),
    "critical_severities": _check_subset(SEVERITIES),
    "critical_priority": lambda value, _id: (
        None if value in Priority.values else _("Choose from the list.")
    ),
    "critical_levels": _check_people,
}
