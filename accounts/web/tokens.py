"""The API tokens of the signed-in member, and of the clinic for its administrators."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.policy import Action, allowed_actions
from accounts.selectors import token_list
from accounts.services import token_create, token_revoke
from accounts.web.access import actor_of, member_required, membership_of
from accounts.web.forms import TokenForm, add_domain_error
from fracture_site.common.errors import DomainError


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@member_required(Action.TOKEN_MANAGE, confirm=True)
def tokens(request: HttpRequest) -> HttpResponse:
    """List tokens; POST makes one and shows its secret, this once."""
    form = TokenForm(request.POST or None)
    secret = _create(request, form) if form.is_valid() else ""
    membership, whole = membership_of(request), _sees_all(request)
    context = {
        "form": TokenForm() if secret else form,
        "secret": secret,
        "tokens": token_list(membership=membership, whole_clinic=whole),
        "whole_clinic": whole,
        "section": "clinic" if whole else "account",
    }
    return render(request, "accounts/tokens.html", context, status=400 if form.errors else 200)


def _create(request: HttpRequest, form: TokenForm) -> str:
    try:
        _token, secret = token_create(
            actor=actor_of(request),
            membership=membership_of(request),
            name=form.cleaned_data["name"],
            scope=form.cleaned_data["scope"],
            expires_at=form.expires_at(),
        )
    except DomainError as error:
        add_domain_error(form, error)
        return ""
    return secret


@require_POST
@member_required(Action.TOKEN_MANAGE)
def token_revoke_view(request: HttpRequest, pk: UUID) -> HttpResponse:
    """End a token."""
    visible = token_list(membership=membership_of(request), whole_clinic=_sees_all(request))
    token_revoke(actor=actor_of(request), token=get_object_or_404(visible, pk=pk))
    messages.success(request, _("The token was revoked."))
    return redirect("accounts:tokens")


def _sees_all(request: HttpRequest) -> bool:
    membership = membership_of(request)
    allowed = allowed_actions(user=actor_of(request), clinic_id=membership.clinic_id)
    return Action.MEMBER_MANAGE in allowed
