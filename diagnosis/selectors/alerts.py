"""Reads of critical results."""

from uuid import UUID

from django.db.models import Exists, OuterRef, Prefetch, QuerySet

from accounts.models import User
from diagnosis.models import Alert, AlertRecipient, Study
from diagnosis.selectors.lookup import get_or_404


def alert_list(*, user: User) -> QuerySet[Alert]:
    """Return the clinic's alerts, newest first; ``is_mine`` says whether ``user`` was told."""
    recipients = AlertRecipient.objects.for_user(user).select_related("user")
    own = AlertRecipient.objects.filter(alert=OuterRef("pk"), user_id=user.pk)
    return (
        Alert.objects.for_user(user)
        .select_related("study__patient", "acknowledged_by")
        .prefetch_related(Prefetch("recipients", recipients.order_by("level", "created_at")))
        .annotate(is_mine=Exists(own))
        .defer("study__search", "study__patient__search")
        .order_by("-created_at", "id")
    )


def alert_get(*, user: User, pk: UUID | str) -> Alert:
    """Return one alert of the clinic."""
    return get_or_404(alert_list(user=user), pk)


def alert_of_study(*, user: User, study: Study) -> Alert | None:
    """Return the study's alert, answered or not."""
    return alert_list(user=user).filter(study=study).first()


def alerts_open_count(*, user: User) -> int:
    """Return how many alerts wait for an answer of this person or their colleagues."""
    open_ones = Alert.objects.for_user(user).filter(acknowledged_at__isnull=True)
    return open_ones.filter(recipients__user_id=user.pk).count()
