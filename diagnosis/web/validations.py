"""Site validations: ask for one, watch it being made, read it, print it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.audit import audit_record
from accounts.policy import Action, require
from diagnosis.models import ModelVersion, SiteValidation
from diagnosis.selectors import model_version_list
from diagnosis.selectors.validation_cases import site_validation_get, site_validations
from diagnosis.services.site_validations import (
    validation_document,
    validation_pdf,
    validation_request,
)
from diagnosis.web.doors import MemberRequest, form_refused, member_required, tell_and_go
from diagnosis.web.reports import pdf_response
from fracture_site.common.errors import DomainError

PAGE_ROWS = 25
DEFAULT_DAYS = 365


class ValidationForm(forms.Form):
    """Which version, and studies of which days."""

    version = forms.ModelChoiceField(
        label=_("Model"), queryset=ModelVersion.objects.none(), empty_label=None
    )
    first = forms.DateField(
        label=_("From"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    last = forms.DateField(
        label=_("To"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["version"].queryset = model_version_list()  # type: ignore[attr-defined]


@member_required
@require_http_methods(["GET", "POST"])
def validation_list_page(request: MemberRequest) -> HttpResponseBase:
    """The clinic's validations; administrators ask for another one."""
    clinic_id = request.membership.clinic_id
    require(user=request.user, action=Action.DASHBOARD_VIEW, clinic_id=clinic_id)
    today = timezone.localdate()
    days = {"first": today - timedelta(days=DEFAULT_DAYS - 1), "last": today}
    form = ValidationForm(request.POST or None, initial=days)
    if request.method == "POST" and form.is_valid():
        try:
            row = validation_request(actor=request.user, clinic_id=clinic_id, **form.cleaned_data)
        except DomainError as error:
            form_refused(form, error)
        else:
            return redirect("diagnosis:validation-detail", row.pk)
    page = Paginator(site_validations(user=request.user), PAGE_ROWS).get_page(
        request.GET.get("page")
    )
    context = {"section": "dashboard", "form": form, "page": page}
    return render(
        request, "diagnosis/validations.html", context, status=422 if form.errors else 200
    )


@member_required
@require_safe
def validation_page(request: MemberRequest, pk: UUID) -> HttpResponse:
    """One validation: its progress, or what it says."""
    row = _row(request, pk)
    context: dict[str, Any] = {"section": "dashboard", "validation": row}
    if row.result is not None:
        clinic = request.membership.clinic
        context["document"] = validation_document(validation=row, clinic=clinic)
        audit_record(
            actor=request.user, action="validation.open", clinic_id=row.clinic_id, target=row
        )
    return render(request, "diagnosis/validation_detail.html", context)


@member_required
@require_safe
def validation_status(request: MemberRequest, pk: UUID) -> HttpResponse:
    """The live progress; when it has ended the page loads again with the result."""
    row = _row(request, pk)
    if not row.is_open:
        return HttpResponse(headers={"HX-Refresh": "true"})
    return render(request, "diagnosis/_validation_status.html", {"validation": row})


@member_required
@require_safe
def validation_pdf_file(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """A finished validation as PDF/A; studies by their ids only."""
    row = _row(request, pk)
    try:
        pdf = validation_pdf(actor=request.user, validation=row)
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:validation-detail", pk)
    return pdf_response(pdf, f"validation-{row.pk}.pdf")


def _row(request: MemberRequest, pk: UUID) -> SiteValidation:
    clinic_id = request.membership.clinic_id
    require(user=request.user, action=Action.DASHBOARD_VIEW, clinic_id=clinic_id)
    return site_validation_get(user=request.user, pk=pk)
