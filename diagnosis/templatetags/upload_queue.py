"""What every page of a person who uploads tells ``static/js/queue.js``."""

from typing import Any

from django import template
from django.conf import settings
from django.urls import reverse

from accounts.device_keys import device_lock, device_marks
from accounts.models import Membership, User

register = template.Library()


@register.simple_tag
def upload_queue_identity(user: User, membership: Membership) -> dict[str, Any]:
    """Return marks and public key; ``seconds``: how long the device may take the person as here."""
    return {
        **device_marks(user_id=user.pk, clinic_id=membership.clinic_id),
        "lock": device_lock(user_id=user.pk),
        "seconds": settings.SESSION_ABSOLUTE_SECONDS,
        "key_url": reverse("diagnosis:upload-queue-key"),
        "login_url": reverse("account_login"),
    }
