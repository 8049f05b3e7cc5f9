"""The site's backups, for an administrator without a shell: make one, watch it, check one."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from accounts.reauthentication import credentials_confirm
from diagnosis.services.backup_orders import (
    backup_check_order,
    backup_order,
    backup_root,
    backup_rows,
    may_back_up,
)
from diagnosis.web.doors import tell_and_go
from fracture_site.common.errors import DomainError

P = ParamSpec("P")


def keeper_required(
    view: Callable[Concatenate[HttpRequest, P], HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """Let administrators of the site in."""

    @wraps(view)
    @login_required
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not may_back_up(_user(request)):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded


@keeper_required
@require_safe
def backups_page(request: HttpRequest) -> HttpResponse:
    """All backups; the page's part asks again while one is being made."""
    rows = backup_rows()
    context = {
        "rows": rows,
        "root": backup_root(),
        "running": any(row.state == "running" for row in rows),
    }
    part = getattr(request, "htmx", False)
    template = "diagnosis/_backup_rows.html" if part else "diagnosis/backups.html"
    return render(request, template, context)


@keeper_required
@require_POST
def backup_take_action(request: HttpRequest) -> HttpResponseBase:
    """Begin a backup."""
    try:
        _prove(request)
        backup_order(actor=_user(request))
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:backups")
    messages.success(request, _("A worker makes the backup; this page shows how far it is."))
    return redirect("diagnosis:backups")


@keeper_required
@require_POST
def backup_check_action(request: HttpRequest) -> HttpResponseBase:
    """Read a backup again."""
    try:
        _prove(request)
        backup_check_order(actor=_user(request), name=request.POST.get("name", ""))
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:backups")
    messages.success(request, _("A worker reads the backup again; the result appears here."))
    return redirect("diagnosis:backups")


def _prove(request: HttpRequest) -> None:
    credentials_confirm(
        request=request,
        password=request.POST.get("password") or None,
        otp=request.POST.get("otp") or None,
    )


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)
