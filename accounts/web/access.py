"""The door of pages: signed in, member of a clinic, allowed by the policy."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from allauth.core.exceptions import ReauthenticationRequired
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render

from accounts.audit import audit_no_clinic
from accounts.models import Membership, User
from accounts.policy import Action, require
from accounts.reauthentication import second_factor_words, session_is_fresh

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def member_required(
    action: Action | None = None, *, confirm: bool = False
) -> Callable[[View[P]], Callable[..., HttpResponseBase]]:
    """Let active members of the current clinic in; with ``action``, those whose roles allow it.

    Nobody is sent to sign in; people without a clinic read what to do. With
    ``confirm``, a change is made only soon after the person proved to be there:
    an unattended or stolen session cannot make itself permanent.
    """

    def decorate(view: View[P]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        @login_required
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            membership = getattr(request, "membership", None)
            if lacks_second_factor(request):
                return second_factor_page(request)
            if membership is None:
                audit_no_clinic(request=request)
                return render(request, "accounts/no_clinic.html", status=403)
            if action is not None:
                require(user=actor_of(request), action=action, clinic_id=membership.clinic_id)
            if confirm and request.method == "POST" and not session_is_fresh(request):
                raise ReauthenticationRequired  # allauth asks, then resumes this very request
            return view(request, *args, **kwargs)

        return checked

    return decorate


def lacks_second_factor(request: HttpRequest) -> bool:
    """Return whether the clinic asks for a second factor that this person does not have."""
    return bool(getattr(request, "second_factor_missing", False))


def second_factor_page(request: HttpRequest) -> HttpResponseBase:
    """Lead to where it is set up, and say why."""
    audit_no_clinic(request=request)
    messages.warning(request, second_factor_words())
    return redirect("mfa_index")


def actor_of(request: HttpRequest) -> User:
    """Return the signed-in person; only for views behind a door."""
    if not isinstance(request.user, User):
        raise TypeError("this view lacks member_required or login_required")
    return request.user


def membership_of(request: HttpRequest) -> Membership:
    """Return the current membership; only for views behind ``member_required``."""
    membership = getattr(request, "membership", None)
    if not isinstance(membership, Membership):
        raise TypeError("this view lacks member_required")
    return membership
