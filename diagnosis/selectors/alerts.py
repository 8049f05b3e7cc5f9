"""Reads of critical results.

That there is one tells what the AI found. A member who reads first and has not answered yet is
shown those that they were told of as studies to read now (``is_masked``), and no others.
"""

from uuid import UUID

from django.db.models import (
    BooleanField,
    Case,
    Exists,
    ExpressionWrapper,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Value,
    When,
)

from accounts.models import User
from diagnosis.models import Alert, AlertRecipient, Study
from diagnosis.selectors.first_reads import ai_shown
from diagnosis.selectors.lookup import get_or_404


def alert_list(*, user: User) -> QuerySet[Alert]:
    """Return the clinic's alerts, newest first; ``is_mine`` says whether ``user`` was told.

    ``is_masked`` says that ``user`` has to answer before they may know what it is about.
    """
    shown = ai_shown(user=user, study="study")
    no, yes = Value(value=False), Value(value=True)
    masked = Case(When(shown, then=no), default=yes) if shown else no
    recipients = AlertRecipient.objects.for_user(user).select_related("user")
    own = AlertRecipient.objects.filter(alert=OuterRef("pk"), user_id=user.pk)
    return (
        Alert.objects.for_user(user)
        .select_related("study__patient", "acknowledged_by")
        .prefetch_related(Prefetch("recipients", recipients.order_by("level", "created_at")))
        .annotate(is_mine=Exists(own), is_masked=ExpressionWrapper(masked, BooleanField()))
        .filter(Q(is_mine=True) | Q(is_masked=False))
        .defer("study__search", "study__patient__search")
        .order_by("-created_at", "id")
    )


def alert_get(*, user: User, pk: UUID | str) -> Alert:
    """Return one alert of the clinic."""
    return get_or_404(alert_list(user=user), pk)


def alert_of_study(*, user: User, study: Study) -> Alert | None:
    """Return the study's alert, answered or not; none while ``user`` has to answer first."""
    shown = ai_shown(user=user, study="study")
    return alert_list(user=user).filter(shown, study=study).first()


def alerts_open_count(*, user: User) -> int:
    """Return how many alerts wait for an answer of this person or their colleagues."""
    open_ones = Alert.objects.for_user(user).filter(acknowledged_at__isnull=True)
    return open_ones.filter(recipients__user_id=user.pk).count()
