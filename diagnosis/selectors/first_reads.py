"""From whom the AI's result is hidden, and until when.

A member who reads first sees nothing of the AI in a study until they have answered for
themselves or the report is signed. What is hidden is taken off the rows here, where every
page and the API get them from, not in templates.
"""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from django.db.models import Q

from accounts.models import Membership, Role, User, membership_in_force
from accounts.tenancy import current_clinic_id
from diagnosis.models import FirstRead, Study

# A fetched prior is read by nobody here, so there is no answer of one's own to spoil.
_OPEN_TO_ALL: Final = (Study.Status.REPORTED, Study.Status.PRIOR)


def reads_first(*, user: User) -> bool:
    """Return whether this person answers before the AI in the current clinic; doctors only."""
    clinic_id = current_clinic_id()
    if clinic_id is None:
        return False
    known: dict[UUID, bool] = user.__dict__.setdefault("_reads_first", {})
    if clinic_id not in known:
        members = Membership.objects.filter(
            membership_in_force(), user=user, clinic_id=clinic_id, roles__contains=[Role.DOCTOR]
        )
        member = members.select_related("clinic").first()
        known[clinic_id] = member is not None and member.reads_first
    return known[clinic_id]


def ai_is_hidden(*, user: User, study: Study) -> bool:
    """Return whether this person has to answer before they see the AI's result."""
    return bool(_hidden(user, [study]))


def hide_ai(*, user: User, studies: Iterable[Study]) -> list[Study]:
    """Return the studies, with the AI's result taken off those that are hidden from ``user``.

    The rank of all of them becomes the priority alone: a list in the AI's order would tell.
    """
    rows = list(studies)
    if not reads_first(user=user):
        return rows
    hidden = _hidden(user, rows)
    for study in rows:
        study.rank = float(study.priority)
        if study.pk in hidden:
            study.verdict, study.region, study.severity = "", "", ""
            study.probability, study.result, study.urgency = None, None, 0.0
            study.is_late = False  # verdicts have targets, too
            study.ai_hidden = True
    return rows


def _hidden(user: User, studies: list[Study]) -> set[UUID]:
    if not reads_first(user=user):
        return set()
    open_ids = {study.pk for study in studies if study.status not in _OPEN_TO_ALL}
    if not open_ids:
        return set()
    answered = FirstRead.objects.for_user(user).filter(reader=user, study__in=open_ids)
    return open_ids - set(answered.values_list("study_id", flat=True))


def ai_shown(*, user: User, study: str) -> Q:
    """Return the condition of results that may be shown; ``study`` leads to their study."""
    if not reads_first(user=user):
        return Q()
    answered = FirstRead.objects.for_user(user).filter(reader=user).values("study_id")
    return Q(**{f"{study}__status__in": list(_OPEN_TO_ALL)}) | Q(**{f"{study}__in": answered})


def first_read_of(*, user: User, study: Study) -> FirstRead | None:
    """Return what this person answered before they saw the AI's result."""
    return FirstRead.objects.for_user(user).filter(reader=user, study=study).first()
