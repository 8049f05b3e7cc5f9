"""What every page knows about the reader's clinics."""

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.models import Membership, User
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
        "can": SimpleLazyObject(lambda: _allowed(user, membership)),
    }


def _allowed(user: User, membership: Membership | None) -> frozenset[str]:
    if membership is None:
        return frozenset()
    actions = allowed_actions(user=user, clinic_id=membership.clinic_id)
    return frozenset(action.name.lower() for action in actions)
