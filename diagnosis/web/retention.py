"""Pages about keeping and erasing: the clinic's policy and list, and one patient's privacy."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.policy import Action, require
from accounts.reauthentication import credentials_confirm
from diagnosis.models import Erasure, Patient
from diagnosis.selectors import patient_get
from diagnosis.selectors.retention import (
    erasure_get,
    erasures,
    hold_of,
    holds_open,
    keeping_of,
    patient_export_get,
    patient_exports,
    retention_policy,
)
from diagnosis.services.erasures import erasure_cancel, erasure_request, erasure_retry
from diagnosis.services.patient_exports import patient_export_hand_out, patient_export_request
from diagnosis.services.reading import patient_open
from diagnosis.services.retention import hold_place, hold_release, retention_policy_update
from diagnosis.storage import object_response
from diagnosis.web.doors import MemberRequest, form_refused, member_required, tell_and_go
from diagnosis.web.retention_forms import EraseForm, HoldForm, RetentionForm
from fracture_site.common.errors import DomainError

ROWS = 100


@member_required
@require_http_methods(["GET", "POST"])
def retention_page(request: MemberRequest) -> HttpResponseBase:
    """The policy, what it is about to erase, what was erased, and who is held."""
    clinic_id = request.membership.clinic_id
    require(user=request.user, action=Action.RETENTION_MANAGE, clinic_id=clinic_id)
    policy = retention_policy(user=request.user)
    initial = {name: getattr(policy, name) for name in RetentionForm.base_fields}
    form = RetentionForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            retention_policy_update(actor=request.user, clinic_id=clinic_id, **form.cleaned_data)
        except DomainError as error:
            form_refused(form, error)
        else:
            messages.success(request, _("The policy was saved."))
            return redirect("diagnosis:retention")
    rows = erasures(user=request.user)
    context = {
        "section": "clinic",
        "form": form,
        "policy": policy,
        "planned": rows.filter(status__in=Erasure.OPEN).order_by("due_at")[:ROWS],
        "ended": rows.exclude(status__in=Erasure.OPEN)[:ROWS],
        "holds": holds_open(user=request.user)[:ROWS],
    }
    status = 422 if form.errors else 200
    return render(request, "diagnosis/retention.html", context, status=status)


@member_required
@require_POST
def erasure_action(request: MemberRequest, pk: UUID, what: str) -> HttpResponseBase:
    """Take a planned erasure back, or let a failed one go on."""
    erasure = erasure_get(user=request.user, pk=pk)
    change = {"cancel": erasure_cancel, "retry": erasure_retry}.get(what)
    if change is None:
        return HttpResponse(status=404)
    try:
        change(actor=request.user, erasure=erasure)
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:retention")
    messages.success(request, _("Done."))
    return redirect("diagnosis:retention")


@member_required
@require_safe
def patient_privacy_page(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Hand out all data of a patient, keep the patient from being erased, erase the patient."""
    patient = _patient(request, pk)
    patient_open(actor=request.user, patient=patient)
    return _page(request, patient, EraseForm(), HoldForm())


@member_required
@require_safe
def patient_exports_part(request: MemberRequest, pk: UUID) -> HttpResponse:
    """How far the files of a patient are; the page's part asks again while one is being made."""
    return render(
        request, "diagnosis/_patient_exports.html", _exports(request, _patient(request, pk))
    )


@member_required
@require_POST
def patient_erase_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Ask for the erasure; needs the record number, a reason, and proof of who asks."""
    patient = _patient(request, pk)
    form = EraseForm(request.POST)
    if form.is_valid():
        try:
            _prove(request)
            erasure_request(actor=request.user, patient=patient, **form.cleaned_data)
        except DomainError as error:
            form_refused(form, error)
        else:
            messages.success(
                request, _("The patient is being erased. The list shows when it is done.")
            )
            return redirect("diagnosis:retention")
    return _page(request, patient, form, HoldForm())


@member_required
@require_POST
def patient_hold_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Place or lift the legal hold."""
    patient = _patient(request, pk)
    form = HoldForm(request.POST)
    try:
        if "release" in request.POST:
            hold_release(actor=request.user, patient=patient)
        elif form.is_valid():
            hold_place(actor=request.user, patient=patient, **form.cleaned_data)
        else:
            return _page(request, patient, EraseForm(), form)
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:patient-privacy", patient.pk)
    messages.success(request, _("Saved."))
    return redirect("diagnosis:patient-privacy", patient.pk)


@member_required
@require_POST
def patient_export_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Ask a worker for the file."""
    patient = _patient(request, pk)
    try:
        _prove(request)
        patient_export_request(actor=request.user, patient=patient)
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:patient-privacy", patient.pk)
    messages.success(request, _("A worker makes the file; this page shows how far it is."))
    return redirect("diagnosis:patient-privacy", patient.pk)


@member_required
@require_POST
def patient_export_file(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Hand the file out to whoever proves to be there."""
    export = patient_export_get(user=request.user, pk=pk)
    try:
        _prove(request)
        key = patient_export_hand_out(actor=request.user, export=export)
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:patient-privacy", export.patient_id)
    return object_response(
        key=key, content_type="application/zip", download_name=f"patient-{export.pk}.zip"
    )


def _patient(request: MemberRequest, pk: UUID) -> Patient:
    patient = patient_get(user=request.user, pk=pk)
    require(user=request.user, action=Action.RETENTION_MANAGE, clinic_id=patient.clinic_id)
    return patient


def _page(
    request: MemberRequest, patient: Patient, erase_form: EraseForm, hold_form: HoldForm
) -> HttpResponse:
    open_one = erasures(user=request.user).filter(patient=patient, status__in=Erasure.OPEN)
    context = _exports(request, patient) | {
        "section": "patients",
        "erase_form": erase_form,
        "hold_form": hold_form,
        "hold": hold_of(patient_id=patient.pk),
        "erasure": open_one.first(),
        "keeping": keeping_of(
            patient=patient,
            policy=retention_policy(user=request.user),
            clinic=request.membership.clinic,
        ),
    }
    status = 422 if erase_form.errors or hold_form.errors else 200
    return render(request, "diagnosis/patient_privacy.html", context, status=status)


def _exports(request: MemberRequest, patient: Patient) -> dict[str, object]:
    rows = list(patient_exports(user=request.user, patient=patient)[:10])
    return {"patient": patient, "exports": rows, "running": any(row.is_open for row in rows)}


def _prove(request: MemberRequest) -> None:
    credentials_confirm(
        request=request,
        password=request.POST.get("password") or None,
        otp=request.POST.get("otp") or None,
    )
