"""The invited person's side: opening the link, and accepting."""

from allauth.account.adapter import get_adapter
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.auth import INVITATION_SESSION_KEY, accept_from_session, invitation_in_session
from accounts.models import User
from accounts.selectors import address_is_known, invitation_find, owns_address
from accounts.services import SESSION_KEY


@never_cache
@require_safe
def invitation_open(request: HttpRequest, secret: str) -> HttpResponse:
    """Take the secret out of the address bar; looking at the link does not use it up."""
    invitation = invitation_find(secret=secret)
    request.session.pop(INVITATION_SESSION_KEY, None)
    if invitation is not None:
        request.session[INVITATION_SESSION_KEY] = str(invitation.pk)
        get_adapter().stash_verified_email(request, invitation.email)
    return redirect("accounts:invitation-accept")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation_accept(request: HttpRequest) -> HttpResponse:
    """Show the invitation and how to accept it, or accept it; every other case reads alike."""
    invitation = invitation_in_session(request)
    person = request.user if isinstance(request.user, User) else None
    foreign = invitation and person and not owns_address(user=person, email=invitation.email)
    if invitation is None or foreign:
        return render(request, "accounts/invitation_invalid.html", status=404)
    if request.method != "POST" or person is None:
        known = address_is_known(email=invitation.email)
        context = {"invitation": invitation, "has_account": known}
        return render(request, "accounts/invitation_accept.html", context)
    accept_from_session(request, person)
    request.session[SESSION_KEY] = str(invitation.clinic_id)
    messages.success(request, _("You are a member of this clinic now."))
    return redirect("/")
