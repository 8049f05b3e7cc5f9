"""SMART scopes: what an app may ask for, and what its token opens.

``patient/``, ``user/`` or ``system/``, a resource type or ``*``, and ``.rs`` (read, search),
``.r``, ``.s`` or the older ``.read``. Apps change nothing here, so nothing else is known.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

READABLE: Final = (
    "Patient",
    "ServiceRequest",
    "ImagingStudy",
    "Observation",
    "DiagnosticReport",
    "Device",
    "DocumentReference",
    "Provenance",
    "AuditEvent",
)
LAUNCH: Final = "launch/patient"
OFFLINE: Final = "offline_access"
ONLINE: Final = "online_access"
_LAUNCHING: Final = frozenset({LAUNCH, OFFLINE, ONLINE})
_SCOPE = re.compile(r"(patient|user|system)/(\*|[A-Za-z]+)\.(read|rs|r|s)")


class Reach(IntEnum):
    """Whose resources a token opens; more is greater."""

    NOTHING = 0
    PATIENT = 1
    CLINIC = 2


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope; ``verbs`` are of ``r`` (read by id) and ``s`` (search)."""

    level: str
    kind: str
    verbs: frozenset[str]

    def covers(self, other: "Scope") -> bool:
        """Return whether all that ``other`` opens is opened by this one."""
        same_kind = self.kind in {"*", other.kind}
        return self.level == other.level and same_kind and self.verbs >= other.verbs


def scope_parsed(text: str) -> Scope | None:
    """Return a scope of resources; ``None`` for anything else."""
    found = _SCOPE.fullmatch(text)
    if found is None or (found[2] != "*" and found[2] not in READABLE):
        return None
    verbs = "rs" if found[3] == "read" else found[3]
    return Scope(found[1], found[2], frozenset(verbs))


def scopes_parsed(texts: Iterable[str]) -> list[Scope]:
    """Return those that are of resources."""
    return [scope for scope in map(scope_parsed, texts) if scope is not None]


def scopes_askable(texts: Iterable[str]) -> bool:
    """Return whether an app of people may ask for all of them, and reads something by them."""
    given = list(texts)
    of_people = [scope for scope in scopes_parsed(given) if scope.level != "system"]
    others = [text for text in given if scope_parsed(text) is None]
    both_lives = {OFFLINE, ONLINE} <= set(others)
    known = len(of_people) + len(others) == len(given) and set(others) <= _LAUNCHING
    return bool(of_people) and known and not both_lives


def scopes_within(texts: Iterable[str], granted: Iterable[str]) -> bool:
    """Return whether ``granted`` opens all of it already."""
    allowed = list(granted)
    had = scopes_parsed(allowed)
    for text in texts:
        scope = scope_parsed(text)
        if scope is None:
            if text not in allowed:
                return False
        elif not any(each.covers(scope) for each in had):
            return False
    return True


def scopes_system(texts: Iterable[str]) -> bool:
    """Return whether they are a backend service's: ``system/`` and nothing else."""
    given = list(texts)
    parsed = scopes_parsed(given)
    return bool(given) and len(parsed) == len(given) and all(s.level == "system" for s in parsed)


def needs_patient(texts: Iterable[str]) -> bool:
    """Return whether somebody has to choose the patient of the launch."""
    given = list(texts)
    return LAUNCH in given or any(scope.level == "patient" for scope in scopes_parsed(given))


def scope_reach(scopes: str, kind: str, verb: str) -> Reach:
    """Return what a token's scopes open of a type; a token without any is no app's.

    Args:
        scopes: As the token has them.
        kind: A resource type.
        verb: ``r`` to read one by its id, ``s`` to search.
    """
    if not scopes:
        return Reach.CLINIC
    wanted = frozenset(verb)
    levels = {
        scope.level
        for scope in scopes_parsed(scopes.split())
        if scope.covers(Scope(scope.level, kind, wanted))
    }
    if levels - {"patient"}:
        return Reach.CLINIC
    return Reach.PATIENT if levels else Reach.NOTHING
