"""Writing, signing and printing reports, beside the images."""

from typing import Any
from uuid import UUID, uuid4

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.reauthentication import credentials_confirm
from diagnosis.models import Report, ReportVersion
from diagnosis.selectors import report_get, report_version_get, study_get
from diagnosis.selectors.verification import report_verification
from diagnosis.services.drafting import draft_copy_before_overwrite, draft_copy_keep
from diagnosis.services.report_texts import SECTIONS
from diagnosis.services.reports import (
    report_amend,
    report_create,
    report_draft_update,
    report_pdf,
    report_preview,
)
from diagnosis.services.second_readings import report_finish
from diagnosis.web.doors import MemberRequest, member_required, tell_and_go
from diagnosis.web.forms import ReportForm, SignForm
from fracture_site.common.errors import DomainError


@member_required
@require_POST
def report_create_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Begin the report with a prefilled draft."""
    study = study_get(user=request.user, pk=pk)
    try:
        report = report_create(actor=request.user, study=study)
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:study-detail", study.pk)
    return to_report(report)


@member_required
@require_safe
def report_page(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """The report lives beside its images."""
    return to_report(report_get(user=request.user, pk=pk))


@member_required
@require_POST
def report_autosave(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Save the draft; answers with the new revision or with what stood in the way."""
    report = report_get(user=request.user, pk=pk)
    try:
        if "overwrite" in request.POST:
            draft_copy_before_overwrite(actor=request.user, report=report)
        draft = _save(request, report)
    except DomainError as error:
        context = {"error": error, **_kept_aside(request, report, error)}
        return render(request, "diagnosis/_report_saved.html", context)
    return render(request, "diagnosis/_report_saved.html", {"draft": draft})


@member_required
@require_POST
def report_sign_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Save what is in the form, confirm who signs, and sign it."""
    report = report_get(user=request.user, pk=pk)
    form = SignForm(request.POST, has_authenticator=True)
    try:
        draft = _save(request, report)
        form.is_valid()
        credentials_confirm(
            request=request,
            password=form.cleaned_data.get("password") or None,
            otp=form.cleaned_data.get("otp") or None,
        )
        version = report_finish(
            actor=request.user,
            report=report,
            revision=draft.revision,
            second_reader="second_reader" in request.POST,
        )
    except DomainError as error:
        _kept_aside(request, report, error)
        return tell_and_go(request, error, "diagnosis:study-detail", report.study_id)
    if version.status == ReportVersion.Status.SIGNED:
        messages.success(request, _("The report is signed."))
    else:
        messages.success(request, _("You have signed. The report now waits for a second reader."))
    return to_report(report)


@member_required
@require_POST
def report_amend_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Open a new draft on top of the signed version."""
    report = report_get(user=request.user, pk=pk)
    try:
        report_amend(actor=request.user, report=report, reason=request.POST.get("reason", ""))
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:study-detail", report.study_id)
    return to_report(report)


@member_required
@require_safe
def report_pdf_file(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """A signed version as PDF/A, the newest by default."""
    report = report_get(user=request.user, pk=pk)
    number = request.GET.get("version", "")
    if number and (not number.isdecimal() or len(number) > 5):
        raise Http404
    try:
        version, pdf = report_pdf(
            actor=request.user, report=report, number=int(number) if number else None
        )
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:study-detail", report.study_id)
    mark = "withdrawn-" if hasattr(version, "withdrawal") else ""
    return pdf_response(pdf, f"{mark}report-{report.pk}-v{version.number}.pdf")


@member_required
@require_safe
def report_preview_file(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """The draft as a PDF that says that it is not signed."""
    report = report_get(user=request.user, pk=pk)
    try:
        pdf = report_preview(actor=request.user, report=report)
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:study-detail", report.study_id)
    return pdf_response(pdf, f"draft-{report.pk}.pdf")


@require_safe
def report_verify_page(request: HttpRequest, sha256: str) -> HttpResponse:
    """Say whether a printed report's number is genuine, and nothing else; needs no account."""
    sha256 = sha256.lower()[:64]
    verification = report_verification(sha256=sha256)
    context = {"verification": verification, "sha256": sha256}
    return render(
        request,
        "diagnosis/report_verify.html",
        context,
        status=200 if verification else 404,
    )


def pdf_response(pdf: bytes, name: str) -> HttpResponse:
    """Return a PDF to look at; the name holds ids only."""
    response = HttpResponse(pdf, content_type="application/pdf")
    response["Content-Disposition"] = f'inline; filename="{name}"'
    response["Cache-Control"] = "private, no-store"
    return response


def _save(request: MemberRequest, report: Report) -> ReportVersion:
    form = ReportForm(request.POST)
    if not form.is_valid():
        raise DomainError("invalid", _("A section is too long. Shorten it and save again."))
    return report_draft_update(actor=request.user, report=report, **form.cleaned_data)


def _kept_aside(request: MemberRequest, report: Report, error: DomainError) -> dict[str, Any]:
    """Keep a text that came too late, and return what to show beside it."""
    form = ReportForm(request.POST)
    if error.code != "draft_changed" or not form.is_valid():
        return {}
    try:
        tab = UUID(request.POST.get("tab", ""))
    except ValueError:
        tab = uuid4()
    mine = {name: form.cleaned_data[name] for name in SECTIONS}
    draft_copy_keep(actor=request.user, report=report, tab=tab, texts=mine)
    theirs = report_version_get(user=request.user, report=report)
    differing = [
        (name, form.fields[name].label, getattr(theirs, name))
        for name in SECTIONS
        if getattr(theirs, name) != mine[name]
    ]
    return {"theirs": theirs, "differing": differing}


def to_report(report: Report) -> HttpResponseBase:
    """Go to the report beside its images."""
    response = redirect("diagnosis:study-detail", report.study_id)
    response["Location"] += "#report"
    return response
