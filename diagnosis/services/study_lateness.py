"""Raising studies that wait beyond the clinic's target, and lowering those that do so no more.

Time passes without anybody changing a row, so somebody has to look: beat does, once a minute. Each
row is locked for its change and another sweeper's rows are left alone, so that any number of them
may run at the same time.
"""

from datetime import timedelta
from typing import Final

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from accounts.models import Clinic
from accounts.tenancy import clinic_scope
from diagnosis.models import ClinicRules, Study
from diagnosis.models.studies import WAITING_FOR_READER
from diagnosis.selectors.rules import PRIORITY_KEYS, VERDICT_KEYS, Rules, rules_of
from diagnosis.services.study_urgency import study_urgency_parts

AT_ONCE: Final = 500
_WAITS = (Q(status__in=WAITING_FOR_READER) | Q(new_image_after_report=True)) & Q(
    erased_at__isnull=True
)


def lateness_sweep() -> int:
    """Mark what became late in any clinic, unmark what is not late any more; return how many."""
    clinics = Clinic.objects.filter(is_active=True).values_list("pk", flat=True)
    changed = 0
    for clinic_id in clinics:
        with clinic_scope(clinic_id):
            late = late_condition(rules_of(ClinicRules.objects.first()))
            changed += _mark(Study.objects.filter(_WAITS, late, is_late=False), is_late=True)
            changed += _mark(
                Study.objects.filter(is_late=True).exclude(_WAITS & late), is_late=False
            )
    return changed


def late_condition(rules: Rules) -> Q:
    """Return which studies have waited for longer than the shortest target that applies.

    The same rule as ``selectors.rules.study_waiting``: whole minutes, more than the target.
    """
    found = Q(pk__in=[])
    named = [(Q(priority=number), key) for number, key in enumerate(PRIORITY_KEYS)]
    named += [(Q(verdict=key), key) for key in VERDICT_KEYS]
    for which, key in named:
        minutes = rules.targets.get(key)
        if minutes is not None:
            found |= which & Q(created_at__lte=Now() - timedelta(minutes=minutes + 1))
    return found


def _mark(rows: QuerySet[Study], *, is_late: bool) -> int:
    """Change the flag and what the rank is made of; ``updated_at`` stays: nothing else is new."""
    locked = rows.select_for_update(no_key=True, skip_locked=True)
    studies = list(locked.defer("search", "result")[:AT_ONCE])
    for study in studies:
        study.is_late = is_late
        study.urgency = sum((part.points for part in study_urgency_parts(study)), 0.0)
    Study.objects.bulk_update(studies, ["is_late", "urgency"])
    return len(studies)
