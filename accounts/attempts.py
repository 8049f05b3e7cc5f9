"""The limit of wrong passwords and codes of people who are signed in already."""

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.core import context
from allauth.core.internal import ratelimit

from accounts.models import User


def confirmation_begin(user: User) -> ratelimit.RateLimitUsage:
    """Count an attempt before it is checked; take it back with ``rollback`` when it was right.

    Raises:
        ValidationError: ``too_many_login_attempts``; the attempt must not be checked.
    """
    usage = ratelimit.consume(
        context.request,
        app="allauth.account",
        action="confirmation",
        key=f"confirmation:{user.pk}",
        limit_get=True,
    )
    if not usage:
        error: Any = get_adapter().validation_error("too_many_login_attempts")
        raise error
    return usage
