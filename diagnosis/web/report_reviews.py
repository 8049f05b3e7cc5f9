"""What happens to a report after it was written: second reader, withdrawal, history."""

import difflib
import re
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.reauthentication import credentials_confirm
from diagnosis.models import Report, ReportVersion
from diagnosis.selectors import report_get
from diagnosis.selectors.drafting import draft_copy_get
from diagnosis.selectors.pages import report_versions
from diagnosis.services.drafting import draft_copy_drop
from diagnosis.services.reading import report_open
from diagnosis.services.report_texts import SECTIONS
from diagnosis.services.second_readings import (
    second_reading_agree,
    second_reading_disagree,
    second_reading_withdraw,
)
from diagnosis.services.withdrawals import report_withdraw
from diagnosis.web.doors import MemberRequest, member_required, tell_and_go
from diagnosis.web.forms import ReportForm, SignForm
from diagnosis.web.reports import to_report
from fracture_site.common.errors import DomainError

Segment = tuple[str, str]  # "same", "gone" or "new", and the words


@member_required
@require_POST
def report_second_action(request: MemberRequest, pk: UUID, what: str) -> HttpResponseBase:
    """Agree, disagree, or take the draft back from the second reader."""
    report = report_get(user=request.user, pk=pk)
    try:
        message = _second(request, report, what)
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:study-detail", report.study_id)
    messages.success(request, message)
    return to_report(report)


def _second(request: MemberRequest, report: Report, what: str) -> str:
    if what == "agree":
        _confirm(request)
        second_reading_agree(actor=request.user, report=report)
        return _("The report is final.")
    if what == "disagree":
        remark = request.POST.get("remark", "")
        second_reading_disagree(actor=request.user, report=report, remark=remark)
        return _("The first reader is asked to look again.")
    if what == "take-back":
        second_reading_withdraw(actor=request.user, report=report)
        return _("You can edit the report again.")
    raise Http404


@member_required
@require_POST
def report_withdraw_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Say that the signed version must not be used any more."""
    report = report_get(user=request.user, pk=pk)
    try:
        _confirm(request)
        report_withdraw(actor=request.user, report=report, reason=request.POST.get("reason", ""))
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:study-detail", report.study_id)
    messages.success(request, _("The report is withdrawn."))
    return to_report(report)


@member_required
@require_POST
def draft_copy_drop_action(request: MemberRequest, pk: UUID, copy: UUID) -> HttpResponseBase:
    """Remove a text that was kept aside."""
    report = report_get(user=request.user, pk=pk)
    kept = draft_copy_get(user=request.user, report=report, pk=copy)
    draft_copy_drop(actor=request.user, report=report, copy=kept)
    return to_report(report)


@member_required
@require_safe
def report_history_page(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """All versions, newest first, each with what it changed."""
    report = report_get(user=request.user, pk=pk)
    try:
        report_open(actor=request.user, report=report)
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:study-detail", report.study_id)
    versions = list(report_versions(user=request.user, report=report))
    older = [*versions[1:], None]
    entries = [_entry(version, before) for version, before in zip(versions, older, strict=True)]
    context = {"section": "worklist", "report": report, "entries": entries}
    return render(request, "diagnosis/report_history.html", context)


def _entry(version: ReportVersion, before: ReportVersion | None) -> dict[str, Any]:
    labels = ReportForm.base_fields
    changes = [
        (labels[name].label, text_changes(getattr(before, name, ""), getattr(version, name)))
        for name in SECTIONS
        if before is None or getattr(before, name) != getattr(version, name)
    ]
    return {"version": version, "changes": [c for c in changes if c[1]], "is_first": before is None}


def text_changes(before: str, after: str) -> list[Segment]:
    """Return the words of both texts in order, each run marked as same, gone or new.

    >>> text_changes("No fracture.", "Fracture of the radius.")[0]
    ('gone', 'No fracture')
    """
    old, new = re.findall(r"\w+|\W", before), re.findall(r"\w+|\W", after)
    segments: list[Segment] = []
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            segments.append(("same", "".join(old[a:b])))
            continue
        segments += [(k, "".join(w)) for k, w in (("gone", old[a:b]), ("new", new[c:d])) if w]
    return segments


def _confirm(request: MemberRequest) -> None:
    form = SignForm(request.POST, has_authenticator=True)
    form.is_valid()
    credentials_confirm(
        request=request,
        password=form.cleaned_data.get("password") or None,
        otp=form.cleaned_data.get("otp") or None,
    )
