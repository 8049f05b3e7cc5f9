"""Reads around a report: macros, kept texts, the second reader."""

from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.models import User
from diagnosis.models import DraftCopy, Report, SecondReading, TextMacro
from diagnosis.selectors.lookup import get_or_404


def macro_list(*, user: User) -> QuerySet[TextMacro]:
    """Return the clinic's macros and the person's own, by name; the own one comes last."""
    macros = TextMacro.objects.for_user(user).filter(Q(owner=user) | Q(owner__isnull=True))
    return macros.order_by("name", "-owner")


def macro_texts(*, user: User) -> dict[str, str]:
    """Return what each name inserts; a person's own macro hides the clinic's."""
    rows = sorted(macro_list(user=user), key=lambda macro: macro.owner_id is not None)
    return {macro.name: macro.text for macro in rows}


def macro_get(*, user: User, pk: UUID | str) -> TextMacro:
    """Return one of these macros."""
    return get_or_404(macro_list(user=user), pk)


def draft_copies(*, user: User, report: Report) -> QuerySet[DraftCopy]:
    """Return texts that were kept aside for the report's draft, newest first."""
    copies = DraftCopy.objects.for_user(user).filter(
        version__report=report, version__status="draft"
    )
    return copies.select_related("author").order_by("-updated_at")


def draft_copy_get(*, user: User, report: Report, pk: UUID | str) -> DraftCopy:
    """Return one of these texts."""
    return get_or_404(draft_copies(user=user, report=report), pk)


def second_reading_open(*, user: User, report: Report) -> SecondReading | None:
    """Return the second reading that waits, if any, with its first reader."""
    readings = SecondReading.objects.for_user(user).filter(
        version__report=report, state=SecondReading.State.AWAITING
    )
    return readings.select_related("first_reader").first()
