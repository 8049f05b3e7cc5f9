"""A clinic's reading rules, with defaults for what it has not decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import User
from diagnosis.models import ClinicRules, SavedFilter, Study
from diagnosis.selectors.lookup import get_or_404

# Minutes until a study should be read; the shortest that applies counts.
DEFAULT_TARGETS: Final[Mapping[str, int | None]] = {
    "stat": 30,
    "urgent": 60,
    "routine": 24 * 60,
    "definite": 60,
    "suspicion": 120,
    "cannot_assess": None,
    "negative": None,
}
PRIORITY_KEYS: Final = ("stat", "urgent", "routine")
VERDICT_KEYS: Final = ("definite", "suspicion", "cannot_assess", "negative")
# Two projections at right angles, as trauma series have them; each clinic may choose its own.
DEFAULT_VIEWS: Final[Mapping[str, Sequence[str]]] = {
    "hand": ("frontal", "oblique"),
    "wrist": ("frontal", "lateral"),
    "forearm": ("frontal", "lateral"),
    "elbow": ("frontal", "lateral"),
    "humerus": ("frontal", "lateral"),
    "shoulder": ("frontal", "lateral"),
    "hip": ("frontal", "lateral"),
    "femur": ("frontal", "lateral"),
    "knee": ("frontal", "lateral"),
    "lower_leg": ("frontal", "lateral"),
    "ankle": ("frontal", "lateral"),
    "foot": ("frontal", "oblique"),
}


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts in a clinic now."""

    targets: Mapping[str, int | None] = field(default_factory=lambda: DEFAULT_TARGETS)
    views: Mapping[str, Sequence[str]] = field(default_factory=lambda: DEFAULT_VIEWS)


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long a study waits to be read, against the clinic's target (``None``: no target)."""

    minutes: int
    target: int | None

    @property
    def is_late(self) -> bool:
        """Whether the target is missed."""
        return self.target is not None and self.minutes > self.target


def rules_get(*, user: User) -> Rules:
    """Return the rules of the current clinic."""
    stored = ClinicRules.objects.for_user(user).only("targets", "views").first()
    return rules_of(stored)


def rules_of(stored: ClinicRules | None) -> Rules:
    """Return stored rules with defaults for what is missing."""
    if stored is None:
        return Rules()
    return Rules(
        targets={**DEFAULT_TARGETS, **stored.targets}, views={**DEFAULT_VIEWS, **stored.views}
    )


def rules_stored(*, user: User) -> ClinicRules | None:
    """Return the row that the clinic's administrators edit, if there is one."""
    return ClinicRules.objects.for_user(user).first()


def study_waiting(study: Study, rules: Rules, *, now: datetime) -> Waiting | None:
    """Return how long a study waits; ``None`` when nothing of it is left to read."""
    status = Study.Status
    idle = study.status in {status.EMPTY, status.PRIOR}
    if idle or (study.status == status.REPORTED and not study.new_image_after_report):
        return None
    keys: list[Any] = [PRIORITY_KEYS[study.priority], study.verdict]
    targets = [minutes for key in keys if (minutes := rules.targets.get(key)) is not None]
    waited = int((now - study.created_at).total_seconds() // 60)
    return Waiting(minutes=max(waited, 0), target=min(targets, default=None))


def saved_filters(*, user: User) -> QuerySet[SavedFilter]:
    """Return the person's own filters of the current clinic, by name."""
    return SavedFilter.objects.for_user(user).filter(user_id=user.pk).order_by("name")


def saved_filter_get(*, user: User, pk: UUID) -> SavedFilter:
    """Return one of the person's own filters."""
    return get_or_404(saved_filters(user=user), pk)
