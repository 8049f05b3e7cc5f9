"""Reads of devices."""

from uuid import UUID

from django.db.models import QuerySet

from accounts.models import User
from diagnosis.models import Device
from diagnosis.selectors.lookup import get_or_404


def device_list(*, user: User) -> QuerySet[Device]:
    """Return the clinic's devices by name."""
    return Device.objects.for_user(user).order_by("name", "id")


def device_get(*, user: User, pk: UUID | str) -> Device:
    """Return one device."""
    return get_or_404(device_list(user=user), pk)
