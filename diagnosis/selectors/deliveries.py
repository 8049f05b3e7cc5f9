"""Reads of destinations and of what was sent to them."""

from uuid import UUID

from django.db.models import QuerySet

from accounts.models import User
from diagnosis.models import Delivery, Destination, Study
from diagnosis.selectors.lookup import get_or_404


def destination_list(*, user: User) -> QuerySet[Destination]:
    """Return the clinic's destinations by name, without their secrets."""
    return Destination.objects.for_user(user).defer("secrets").order_by("name", "id")


def destination_get(*, user: User, pk: UUID | str) -> Destination:
    """Return one destination."""
    return get_or_404(Destination.objects.for_user(user), pk)


def delivery_list(*, user: User) -> QuerySet[Delivery]:
    """Return the clinic's deliveries with destination and patient, newest first."""
    return (
        Delivery.objects.for_user(user)
        .select_related("destination", "study__patient")
        .defer("destination__secrets", "study__search", "study__patient__search")
        .order_by("-created_at", "id")
    )


def delivery_get(*, user: User, pk: UUID | str) -> Delivery:
    """Return one delivery."""
    return get_or_404(delivery_list(user=user), pk)


def study_deliveries(*, user: User, study: Study) -> list[Delivery]:
    """Return the newest delivery of a study to each destination."""
    newest = delivery_list(user=user).filter(study=study).order_by("destination_id", "-number")
    return sorted(newest.distinct("destination_id"), key=lambda row: row.destination.name)
