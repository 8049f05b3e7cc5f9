"""Answers that differ: rate them, recall the patient, resolve them; preliminary answers."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from diagnosis.models import Discrepancy, FractureAnswer, RecallContact, RecallTask, Verdict
from diagnosis.selectors import study_get
from diagnosis.selectors.discrepancies import discrepancies_for, discrepancy_get, recall_get
from diagnosis.services.discrepancies import (
    discrepancy_rate,
    discrepancy_resolve,
    preliminary_read_give,
    recall_close,
    recall_contact_add,
)
from diagnosis.web.doors import MemberRequest, member_required, tell_and_go
from fracture_site.common.errors import DomainError

PAGE_ROWS = 25
_WORDS = {
    **dict(Verdict.choices),
    **dict(FractureAnswer.choices),
    "agreed": _("Signed"),
    "disagreed": _("Disagrees"),
}


class ContactForm(forms.Form):
    """One attempt to reach the patient; no number or address is stored."""

    contacted_at = forms.DateTimeField(
        label=_("When"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    way = forms.ChoiceField(label=_("How"), choices=RecallContact.Way.choices)
    result = forms.ChoiceField(label=_("Result"), choices=RecallContact.Result.choices)


@member_required
@require_safe
def discrepancy_page(request: MemberRequest) -> HttpResponse:
    """The open ones (``?all=1``: all), each with what is to be done next."""
    everything = request.GET.get("all") == "1"
    rows = discrepancies_for(user=request.user, open_only=not everything)
    page = Paginator(rows, PAGE_ROWS).get_page(request.GET.get("page"))
    context = {
        "section": "discrepancies",
        "page": page,
        "rows": [_row(each) for each in page.object_list],
        "everything": everything,
        "contact_form": ContactForm(),
        "outcomes": RecallTask.Outcome.choices,
    }
    return render(request, "diagnosis/discrepancies.html", context)


@member_required
@require_POST
def discrepancy_action(request: MemberRequest, pk: UUID, what: str) -> HttpResponseBase:
    """Rate or resolve one."""
    row = discrepancy_get(user=request.user, pk=pk)
    if what == "rate":
        severity = request.POST.get("severity", "")
        return _done(
            request,
            lambda: discrepancy_rate(actor=request.user, discrepancy=row, severity=severity),
        )
    if what == "resolve":
        text = request.POST.get("resolution", "")
        return _done(
            request,
            lambda: discrepancy_resolve(actor=request.user, discrepancy=row, resolution=text),
        )
    raise Http404


@member_required
@require_POST
def recall_action(request: MemberRequest, pk: UUID, what: str) -> HttpResponseBase:
    """Note a contact, or close the recall."""
    task = recall_get(user=request.user, pk=pk)
    if what == "contact":
        form = ContactForm(request.POST)
        if not form.is_valid():
            messages.error(request, gettext("Say when, how and with what result."))
            return redirect("diagnosis:discrepancies")
        return _done(
            request,
            lambda: recall_contact_add(actor=request.user, task=task, **form.cleaned_data),
        )
    if what == "close":
        outcome = request.POST.get("outcome", "")
        return _done(request, lambda: recall_close(actor=request.user, task=task, outcome=outcome))
    raise Http404


@member_required
@require_POST
def preliminary_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Store the treating doctor's quick answer."""
    study = study_get(user=request.user, pk=pk)
    try:
        preliminary_read_give(
            actor=request.user,
            study=study,
            answer=request.POST.get("answer", ""),
            note=request.POST.get("note", ""),
        )
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:study-detail", study.pk)
    messages.success(
        request, gettext("The preliminary answer is stored. The final report follows.")
    )
    return redirect("diagnosis:study-detail", study.pk)


def _done(request: MemberRequest, act: Callable[[], Any]) -> HttpResponseBase:
    try:
        act()
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:discrepancies")
    return redirect("diagnosis:discrepancies")


def _row(row: Discrepancy) -> dict[str, Any]:
    return {
        "row": row,
        "first": _WORDS.get(row.first, row.first),
        "second": _WORDS.get(row.second, row.second),
        "recall": getattr(row, "recall", None),
    }
