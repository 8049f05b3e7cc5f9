"""What follows from signing out, whoever did it: the person, or the end of the session's time."""

from typing import Any

from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver

from accounts.models import User
from accounts.services.smart_tokens import smart_online_end


@receiver(user_logged_out, dispatch_uid="smart_online_end")
def end_online_apps(user: Any = None, **_kwargs: Any) -> None:
    """End apps that may read only while the person is here."""
    if isinstance(user, User):
        smart_online_end(user=user)
