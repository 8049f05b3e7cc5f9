"""What every page knows about the reader's clinics."""

from typing import Any

from django.http import HttpRequest

from accounts.models import User
from accounts.policy import allowed_actions
from accounts.selectors import membership_list


def clinic(request: HttpRequest) -> dict[str, Any]:
    """Give the current membership, all memberships and the allowed actions (lazily)."""
    membership = getattr(request, "membership", None)
    if not isinstance(request.user, User):
        return {"membership": None, "memberships": [], "can": frozenset()}
    user = request.user
    return {
        "membership": membership,
        "memberships": membership_list(user=user),
        "can": {
            action.name.lower()
            for action in (
                allowed_actions(user=user, clinic_id=membership.clinic_id) if membership else ()
            )
        },
    }
