"""Reads of answers that differ, recalls and preliminary answers."""

from uuid import UUID

from django.db.models import Prefetch, QuerySet

from accounts.models import User
from diagnosis.models import Discrepancy, PreliminaryRead, RecallContact, RecallTask, Study
from diagnosis.selectors.first_reads import ai_shown
from diagnosis.selectors.lookup import get_or_404


def discrepancies_for(
    *, user: User, study: Study | None = None, open_only: bool = True
) -> QuerySet[Discrepancy]:
    """Return the clinic's discrepancies, newest first, with study, patient and recall.

    Who reads before the AI gets none of a study that they have to answer for first.
    """
    rows = Discrepancy.objects.for_user(user).filter(ai_shown(user=user, study="study"))
    if study is not None:
        rows = rows.filter(study=study)
    if open_only:
        rows = rows.filter(resolved_at__isnull=True)
    contacts = RecallContact.objects.for_user(user).select_related("author")
    return (
        rows.select_related("study__patient", "recall__closed_by", "resolved_by")
        .prefetch_related(
            Prefetch("recall__contacts", contacts.order_by("contacted_at", "created_at"))
        )
        .defer("study__search", "study__patient__search")
        .order_by("-created_at", "id")
    )


def discrepancy_get(*, user: User, pk: UUID | str) -> Discrepancy:
    """Return one of them, also a resolved one."""
    return get_or_404(discrepancies_for(user=user, open_only=False), pk)


def recalls_for(*, user: User) -> QuerySet[RecallTask]:
    """Return the clinic's recalls of patients, newest first, with every contact.

    As with discrepancies, none of a study that ``user`` has to answer for first.
    """
    contacts = RecallContact.objects.for_user(user).select_related("author")
    rows = RecallTask.objects.for_user(user).filter(ai_shown(user=user, study="discrepancy__study"))
    return (
        rows.select_related("discrepancy__study", "opened_by", "closed_by")
        .prefetch_related(Prefetch("contacts", contacts.order_by("contacted_at", "created_at")))
        .defer("discrepancy__study__search")
        .order_by("-created_at", "id")
    )


def recall_get(*, user: User, pk: UUID | str) -> RecallTask:
    """Return one recall."""
    return get_or_404(recalls_for(user=user), pk)


def preliminary_reads(*, user: User, study: Study) -> QuerySet[PreliminaryRead]:
    """Return the study's preliminary answers, newest first."""
    reads = PreliminaryRead.objects.for_user(user).filter(study=study)
    return reads.select_related("author").order_by("-created_at")
