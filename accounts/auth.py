"""How django-allauth lets people in: by invitation only, never by an address alone."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.http import HttpRequest

INVITATION_SESSION_KEY = "invitation"


class InvitationOnlyAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up is open only while an invitation from its link is in the session."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Return whether the visitor came through an invitation."""
        return INVITATION_SESSION_KEY in request.session


class MembersOnlySocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """An identity of a provider is bound by issuer and subject, after an invitation or by its owner."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Return whether the visitor came through an invitation."""
        return INVITATION_SESSION_KEY in request.session
