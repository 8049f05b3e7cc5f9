"""The clinic: its settings, its audit log, and the choice of another one."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.audit import audit_record
from accounts.policy import Action
from accounts.selectors import audit_event_list
from accounts.services import clinic_switch as clinic_switch_service
from accounts.services import clinic_update, clinic_use_attest, clinic_use_withdraw
from accounts.web.access import actor_of, member_required, membership_of
from accounts.web.audit_words import action_words
from accounts.web.forms import AuditFilterForm, ClinicForm, UseForm, add_domain_error
from fracture_site.common.errors import DomainError

AUDIT_PAGE = 50


@require_POST
@login_required
def clinic_switch(request: HttpRequest) -> HttpResponse:
    """Work in another of the person's clinics from now on; its worklist opens."""
    try:
        membership_id = UUID(request.POST.get("membership", ""))
    except ValueError as error:
        raise Http404 from error
    clinic_switch_service(request=request, membership_id=membership_id)
    return redirect("/")


@require_http_methods(["GET", "HEAD", "POST"])
@member_required(Action.CLINIC_SETTINGS)
def clinic_settings(request: HttpRequest) -> HttpResponse:
    """Show and change name, address, time zone and the rules of reading."""
    clinic = membership_of(request).clinic
    form = ClinicForm(request.POST or None, initial=clinic_initial(request))
    if form.is_valid():
        try:
            clinic_update(actor=actor_of(request), clinic=clinic, **form.cleaned_data)
            messages.success(request, _("The settings were saved."))
            return redirect("accounts:clinic-settings")
        except DomainError as error:
            add_domain_error(form, error)
    return _settings_page(request, form, UseForm(initial=_use_initial(request)))


def _settings_page(request: HttpRequest, form: ClinicForm, use_form: UseForm) -> HttpResponse:
    clinic = membership_of(request).clinic
    context = {
        "form": form,
        "use_form": use_form,
        "attestation": clinic.attestations.select_related("author").first(),
        "section": "clinic",
    }
    return render(request, "accounts/clinic_settings.html", context)


@require_POST
@member_required(Action.CLINIC_SETTINGS, confirm=True)
def clinic_use(request: HttpRequest) -> HttpResponse:
    """Attest local clearance, or take it back; asks who is there before."""
    clinic = membership_of(request).clinic
    if "withdraw" in request.POST:
        try:
            clinic_use_withdraw(actor=actor_of(request), clinic=clinic)
            messages.success(request, _("From now on everything says: research use only."))
        except DomainError as error:
            messages.error(request, str(error.detail or error.code))
        return redirect("accounts:clinic-settings")
    form = UseForm(request.POST)
    if form.is_valid():
        try:
            clinic_use_attest(actor=actor_of(request), clinic=clinic, **form.cleaned_data)
            messages.success(request, _("The attestation is stored."))
            return redirect("accounts:clinic-settings")
        except DomainError as error:
            add_domain_error(form, error)
    return _settings_page(request, ClinicForm(initial=clinic_initial(request)), form)


def _use_initial(request: HttpRequest) -> dict[str, object]:
    return {"attested_name": actor_of(request).display_name, "attested_on": timezone.localdate()}


def clinic_initial(request: HttpRequest) -> dict[str, str]:
    """Return the present settings."""
    clinic = membership_of(request).clinic
    return {name: getattr(clinic, name) for name in ClinicForm.base_fields}


@require_safe
@member_required(Action.AUDIT_VIEW)
def audit_log(request: HttpRequest) -> HttpResponse:
    """Show the trail, newest first, 50 events a page; opening it is an event itself."""
    membership = membership_of(request)
    form = AuditFilterForm(request.GET, membership=membership)
    filters = form.filters() if form.is_valid() else {}
    before = form.cleaned_data.get("before")
    events = audit_event_list(clinic_id=membership.clinic_id, **filters)
    page = list((events.filter(pk__lt=before) if before else events)[: AUDIT_PAGE + 1])
    if not before:
        audit_record(actor=actor_of(request), action="audit.view", clinic_id=membership.clinic_id)
    older = page[AUDIT_PAGE - 1].pk if len(page) > AUDIT_PAGE else None
    events_shown = page[:AUDIT_PAGE]
    context = {
        "form": form,
        "events": events_shown,
        "rows": [(event, action_words(event.action)) for event in events_shown],
        "older": older,
        "paged": bool(before),
        "section": "clinic",
    }
    return render(request, "accounts/audit_log.html", context)
