"""The models of the site: what reads images, what runs in shadow, what was recalled.

Administrators of clinics look; only staff of the site with the right to change models acts, with a
reason and a password or code.
"""

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.audit import audit_record
from accounts.models import Membership, User
from accounts.policy import Action, ActionDeniedError, allowed_actions, require
from accounts.reauthentication import credentials_confirm
from diagnosis.models import ModelVersion
from diagnosis.selectors import model_version_list
from diagnosis.selectors.model_versions import model_changes, model_version_get, rollback_candidate
from diagnosis.selectors.recalls import (
    RecallRow,
    recall_results,
    recall_rows,
    was_told_of_recall,
)
from diagnosis.selectors.shadow import BINS, shadow_comparison
from diagnosis.selectors.training import training_consent
from diagnosis.services.model_recalls import (
    model_recall,
    recall_mails_send,
    recall_notice_confirm,
)
from diagnosis.services.model_registry import may_operate, model_revision
from diagnosis.services.model_stages import model_activate, model_rollback, model_shadow
from diagnosis.services.training_consents import training_consent_set
from diagnosis.web.csv_files import csv_response
from diagnosis.web.doors import MemberRequest, member_required, tell_and_go
from diagnosis.web.forms import ModelChangeForm
from diagnosis.web.model_cards import card_html, figures
from fracture_site.common.errors import DomainError

P = ParamSpec("P")
SHOWN = 100


def reader_required(
    view: Callable[Concatenate[HttpRequest, P], HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """Let administrators of the current clinic in, and who operates the models."""

    @wraps(view)
    @login_required
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not (_operates(request) or _administers(request)):
            raise ActionDeniedError(Action.MODEL_VIEW)
        return view(request, *args, **kwargs)

    return guarded


@reader_required
@require_safe
def model_list_page(request: HttpRequest) -> HttpResponse:
    """Every registered version: active, shadow, the rest."""
    context = _context(request) | {
        "models": model_version_list(),
        "changes": model_changes()[:20],
        "rollback": rollback_candidate(),
        "consent": training_consent(user=_user(request)),
        "administers": _administers(request),
    }
    return render(request, "diagnosis/models.html", context)


@reader_required
@require_safe
def model_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One version: card, figures beside the active one's, shadow, recall, actions."""
    model = model_version_get(pk=pk)
    active = next((m for m in model_version_list() if m.is_active and m.pk != model.pk), None)
    other = active.manifest.get("metrics", {}) if active else None
    context = _context(request) | {
        "model": model,
        "active": active,
        "card": card_html(model.card),
        "figures": figures(model.manifest.get("metrics", {}), other),
        "changes": model_changes(model)[:20],
    }
    if _administers(request):
        user = _user(request)
        context["comparison"] = shadow_comparison(user=user, version=model)
        context["bins"] = [f"{2 * low / BINS - 1:+.1f} …" for low in range(BINS)]
        if model.is_recalled:
            results = recall_results(user=user, version=model)
            context["recalled_count"] = results.count()
            context["recalled"] = list(recall_rows(results[:SHOWN]))
    return render(request, "diagnosis/model_detail.html", context)


@reader_required
@require_POST
def model_change_action(request: HttpRequest, pk: UUID, verb: str) -> HttpResponseBase:
    """Activate, start or end the shadow, or recall."""
    model = model_version_get(pk=pk)
    form = ModelChangeForm(request.POST)
    try:
        confirmed = _confirmed(request, form)
        _change(verb, model, confirmed | {"replace": form.cleaned_data["replace"]})
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:model-detail", pk)
    messages.success(request, _("Done. It acts on the next image."))
    return redirect("diagnosis:model-detail", pk)


@reader_required
@require_POST
def model_rollback_action(request: HttpRequest) -> HttpResponseBase:
    """Undo the newest activation."""
    try:
        back = model_rollback(**_confirmed(request, ModelChangeForm(request.POST)))
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:model-list")
    names = ", ".join(str(model) for model in back)
    messages.success(request, _("Active again: %(names)s.") % {"names": names})
    return redirect("diagnosis:model-list")


@member_required
@require_safe
def model_recall_csv(request: MemberRequest, pk: UUID) -> HttpResponse:
    """The clinic's results and reports that rest on a recalled version; ids only."""
    clinic_id = request.membership.clinic_id
    model = model_version_get(pk=pk)
    if not was_told_of_recall(user=request.user, version=model):
        require(user=request.user, action=Action.MODEL_VIEW, clinic_id=clinic_id)
    if not model.is_recalled:
        raise Http404
    found = list(recall_rows(recall_results(user=request.user, version=model)))
    names = [field.name for field in fields(RecallRow)]
    rows = [[getattr(row, name) for name in names] for row in found]
    audit_record(
        actor=request.user,
        action="model.recall.export",
        clinic_id=clinic_id,
        target=model,
        rows=len(rows),
    )
    return csv_response(name=f"recall-{model.pk}", columns=names, rows=rows)


@member_required
@require_POST
def recall_notice_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """The reader has seen a notice."""
    recall_notice_confirm(actor=request.user, pk=pk)
    return redirect("diagnosis:worklist")


@member_required
@require_POST
def training_consent_action(request: MemberRequest) -> HttpResponseBase:
    """Let training sets leave the clinic, or stop that."""
    form = ModelChangeForm(request.POST)
    form.is_valid()
    try:
        _prove(request, form)
        training_consent_set(
            actor=request.user,
            clinic_id=request.membership.clinic_id,
            granted=request.POST.get("granted") == "yes",
        )
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:model-list")
    messages.success(request, _("The decision was saved."))
    return redirect("diagnosis:model-list")


def _change(verb: str, model: ModelVersion, options: dict[str, Any]) -> None:
    replace = options.pop("replace")
    match verb:
        case "activate":
            model_activate(version=model, replace=replace, **options)
        case "shadow" | "unshadow":
            model_shadow(version=model, on=verb == "shadow", **options)
        case "recall":
            recall_mails_send(change=model_recall(version=model, **options))
        case _:
            raise Http404


def _confirmed(request: HttpRequest, form: ModelChangeForm) -> dict[str, Any]:
    """Return who changes, why, and what they have seen, after they proved to be there."""
    if not form.is_valid():
        raise DomainError("invalid", _("The form is not complete. Load the page again."))
    _prove(request, form)
    return {
        "actor": _user(request),
        "reason": form.cleaned_data["reason"],
        "revision": form.cleaned_data["revision"],
    }


def _prove(request: HttpRequest, form: ModelChangeForm) -> None:
    credentials_confirm(
        request=request,
        password=form.cleaned_data.get("password") or None,
        otp=form.cleaned_data.get("otp") or None,
    )


def _context(request: HttpRequest) -> dict[str, Any]:
    return {
        "section": "clinic",
        "operates": _operates(request),
        "revision": model_revision(),
    }


def _operates(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and may_operate(request.user)


def _administers(request: HttpRequest) -> bool:
    membership: Membership | None = getattr(request, "membership", None)
    if membership is None:
        return False
    return Action.MODEL_VIEW in allowed_actions(user=_user(request), clinic_id=membership.clinic_id)


def _user(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise TypeError("this view lacks login_required")
    return request.user
