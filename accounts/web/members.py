"""Members and invitations of the clinic, for its administrators."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import Invitation, Membership
from accounts.policy import Action
from accounts.selectors import invitation_open_list, member_list
from accounts.services import (
    invitation_create,
    invitation_revoke,
    member_deactivate,
    member_reactivate,
    member_update,
)
from accounts.web.access import actor_of, member_required, membership_of
from accounts.web.forms import InvitationForm, MemberForm, add_domain_error
from fracture_site.common.errors import DomainError


@require_http_methods(["GET", "HEAD", "POST"])
@member_required(Action.MEMBER_MANAGE, confirm=True)
def members(request: HttpRequest) -> HttpResponse:
    """List members and open invitations; POST invites."""
    form = InvitationForm(request.POST or None)
    if form.is_valid() and _invite(request, form):
        messages.success(request, _("The invitation was sent."))
        return redirect("accounts:members")
    clinic_id = membership_of(request).clinic_id
    context = {
        "form": form,
        "members": member_list(clinic_id=clinic_id),
        "invitations": invitation_open_list(clinic_id=clinic_id),
        "section": "clinic",
    }
    return render(request, "accounts/members.html", context, status=400 if form.errors else 200)


def _invite(request: HttpRequest, form: InvitationForm) -> bool:
    try:
        invitation_create(
            actor=actor_of(request),
            clinic_id=membership_of(request).clinic_id,
            email=form.cleaned_data["email"],
            roles=form.cleaned_data["roles"],
        )
    except DomainError as error:
        add_domain_error(form, error)
        return False
    return True


@require_POST
@member_required(Action.MEMBER_MANAGE, confirm=True)
def invitation_revoke_view(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Make an open invitation useless."""
    invitation = get_object_or_404(Invitation, pk=pk, clinic_id=membership_of(request).clinic_id)
    invitation_revoke(actor=actor_of(request), invitation=invitation)
    messages.success(request, _("The invitation was revoked."))
    return redirect("accounts:members")


@require_http_methods(["GET", "HEAD", "POST"])
@member_required(Action.MEMBER_MANAGE, confirm=True)
def member_edit(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Change a member's roles, and whether they read before the AI."""
    member = _member(request, pk)
    own = {None: "", True: "yes", False: "no"}[member.read_first]
    initial = {"roles": member.roles, "in_training": member.in_training, "read_first": own}
    form = MemberForm(request.POST or None, initial=initial)
    if form.is_valid():
        try:
            member_update(actor=actor_of(request), membership=member, **form.cleaned_data)
            messages.success(request, _("The member was changed."))
            return redirect("accounts:members")
        except DomainError as error:
            add_domain_error(form, error)
    context = {"form": form, "member": member, "section": "clinic"}
    return render(request, "accounts/member_edit.html", context, status=400 if form.errors else 200)


@require_POST
@member_required(Action.MEMBER_MANAGE, confirm=True)
def member_activity(request: HttpRequest, pk: UUID) -> HttpResponse:
    """End a membership (``active=no``) or resume it (``active=yes``)."""
    change = member_reactivate if request.POST.get("active") == "yes" else member_deactivate
    try:
        change(actor=actor_of(request), membership=_member(request, pk))
        messages.success(request, _("The member was changed."))
    except DomainError as error:
        messages.error(request, str(error.detail))
    return redirect("accounts:members")


def _member(request: HttpRequest, pk: UUID) -> Membership:
    members = member_list(clinic_id=membership_of(request).clinic_id)
    return get_object_or_404(members, pk=pk)
