"""What every page shares: who may enter, and how a refused request is told."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render

from accounts.audit import audit_no_clinic
from accounts.models import Membership, User
from accounts.web.access import lacks_second_factor, second_factor_page
from fracture_site.common.errors import DomainError

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


class MemberRequest(HttpRequest):
    """A request of a signed-in member; ``member_required`` guarantees it."""

    user: User
    membership: Membership


MemberView = Callable[Concatenate[MemberRequest, P], HttpResponseBase]


def member_required(view: MemberView[P]) -> View[P]:
    """Let members of a clinic in; others sign in, or are told what they lack."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if lacks_second_factor(request):
            return second_factor_page(request)
        if getattr(request, "membership", None) is None:
            if getattr(request.user, "is_staff", False) and request.path == "/":
                return redirect("admin:index")
            audit_no_clinic(request=request)
            return render(request, "diagnosis/no_clinic.html", status=403)
        return view(request, *args, **kwargs)  # type: ignore[arg-type]

    return login_required(cast("View[P]", guarded))


def form_refused(form: BaseForm, error: DomainError) -> None:
    """Show a domain error at the fields it names, or above the form."""
    for field, text in error.fields.items():
        form.add_error(field if field in form.fields else None, str(text))
    if not error.fields:
        form.add_error(None, str(error.detail or error.code))


def tell_and_go(request: HttpRequest, error: DomainError, to: Any, *args: Any) -> HttpResponseBase:
    """Show a domain error on the page the person came from."""
    messages.error(request, str(error.detail or error.code))
    return redirect(to, *args)
