"""Reads of orders: for modalities, for the standard interfaces."""

from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import User
from diagnosis.models import Order, Study
from diagnosis.selectors.lookup import get_or_404


def order_list(*, user: User) -> QuerySet[Order]:
    """Return the clinic's orders with study and patient, newest first."""
    orders = Order.objects.for_user(user).select_related("study__patient", "study__report")
    return orders.defer("study__search", "study__patient__search").order_by("-created_at", "id")


def order_get(*, user: User, pk: UUID | str) -> Order:
    """Return one order with study and patient."""
    return get_or_404(order_list(user=user), pk)


def modality_worklist(
    *, clinic_id: UUID, since: datetime | None = None, until: datetime | None = None
) -> QuerySet[Order]:
    """Return the orders that a modality may still examine, earliest first, with their patients.

    These are active orders whose study has no image yet. A modality is no person: its listener
    knows the clinic by its own table and has opened the clinic's scope. ``since`` and ``until``
    bound the scheduled time; orders without one are always shown.
    """
    orders = Order.objects.filter(
        clinic_id=clinic_id, status=Order.Status.ACTIVE, study__status=Study.Status.EMPTY
    )
    if since is not None:
        orders = orders.exclude(scheduled_at__lt=since)
    if until is not None:
        orders = orders.exclude(scheduled_at__gte=until)
    return (
        orders.select_related("study__patient")
        .defer("study__search", "study__patient__search")
        .order_by("scheduled_at", "created_at", "id")
    )
