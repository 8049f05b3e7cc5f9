"""Pages about patients."""

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from diagnosis.models import Patient
from diagnosis.selectors import patient_get, patient_list
from diagnosis.selectors.first_reads import hide_ai
from diagnosis.selectors.pages import merged_patients, patient_studies
from diagnosis.selectors.patient_page import likely_duplicates, study_steps
from diagnosis.services.patients import (
    patient_create,
    patient_merge,
    patient_unmerge,
    patient_update,
)
from diagnosis.services.reading import list_open, patient_open
from diagnosis.web.doors import MemberRequest, form_refused, member_required, tell_and_go
from diagnosis.web.forms import PatientForm, RecordNumberForm
from diagnosis.web.patient_words import reason_words, step_words
from diagnosis.web.searches import PATIENTS, search_keep, search_kept
from diagnosis.web.study_rows import study_rows
from fracture_site.common.errors import DomainError

PAGE_ROWS = 50


@member_required
@require_http_methods(["GET", "HEAD", "POST"])
def patient_list_page(request: MemberRequest) -> HttpResponse:
    """Search as you type, by POST: a name has no place in an address. htmx asks for the rows."""
    if request.method == "POST":
        q = search_keep(request, PATIENTS, request.POST.get("q", ""))
    else:
        q = search_kept(request, PATIENTS)
    page = Paginator(patient_list(user=request.user, q=q), PAGE_ROWS).get_page(
        request.GET.get("page")
    )
    list_open(
        actor=request.user,
        clinic_id=request.membership.clinic_id,
        noun="patient",
        patients=(patient.pk for patient in page),
    )
    partial = request.htmx and not request.htmx.boosted  # type: ignore[attr-defined]
    template = "diagnosis/_patient_rows.html" if partial else "diagnosis/patient_list.html"
    context = {"section": "patients", "page": page, "q": q, "search_query": q}
    return render(request, template, context)


@member_required
@require_http_methods(["GET", "POST"])
def patient_create_page(request: MemberRequest) -> HttpResponseBase:
    """Register a patient, then go on to the study."""
    form = PatientForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            patient = patient_create(
                actor=request.user, clinic_id=request.membership.clinic_id, **form.cleaned_data
            )
        except DomainError as error:
            form_refused(form, error)
        else:
            return redirect("diagnosis:patient-detail", patient.pk)
    context = {"section": "patients", "form": form}
    return render(request, "diagnosis/patient_form.html", context, status=_status(form))


@member_required
@require_safe
def patient_page(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Identity, studies, and the way to a new one."""
    user, patient = request.user, patient_get(user=request.user, pk=pk)
    patient_open(actor=user, patient=patient)
    studies = hide_ai(user=user, studies=patient_studies(user=user, patient=patient))
    steps = study_steps(user=user, studies=studies)
    context = {
        "section": "patients",
        "patient": patient,
        "rows": [
            (row, step_words(steps[row.study.pk])) for row in study_rows(user=user, studies=studies)
        ],
        "duplicates": [
            (found.patient, reason_words(found.reasons))
            for found in likely_duplicates(user=user, patient=patient)
        ],
        "merge_form": RecordNumberForm(),
        "merged": merged_patients(user=request.user, patient=patient),
    }
    return render(request, "diagnosis/patient_detail.html", context)


@member_required
@require_safe
def patient_compare(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Open the newer of two studies with the older one beside it."""
    patient = patient_get(user=request.user, pk=pk)
    chosen = set(request.GET.getlist("study"))
    studies = patient_studies(user=request.user, patient=patient)
    found = [study.pk for study in studies if str(study.pk) in chosen]
    if len(found) != len(chosen) or len(found) != 2:
        messages.error(request, _("Tick two studies to compare them."))
        return redirect("diagnosis:patient-detail", patient.pk)
    newer, older = found
    return redirect(f"{reverse('diagnosis:study-detail', args=[newer])}?prior={older}")


@member_required
@require_http_methods(["GET", "POST"])
def patient_edit_page(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Correct a patient's identity."""
    patient = patient_get(user=request.user, pk=pk)
    patient_open(actor=request.user, patient=patient)
    form = PatientForm(request.POST or None, initial=_identity(patient))
    if request.method == "POST" and form.is_valid():
        try:
            patient_update(actor=request.user, patient=patient, **form.cleaned_data)
        except DomainError as error:
            form_refused(form, error)
        else:
            messages.success(request, _("Saved."))
            return redirect("diagnosis:patient-detail", patient.pk)
    context = {"section": "patients", "form": form, "patient": patient}
    return render(request, "diagnosis/patient_form.html", context, status=_status(form))


@member_required
@require_POST
def patient_merge_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Merge this patient into the one with the given record number."""
    patient = patient_get(user=request.user, pk=pk)
    form = RecordNumberForm(request.POST)
    target = patient_by_record_number(request, form)
    if target is None:
        return redirect("diagnosis:patient-detail", patient.pk)
    if "confirmed" not in request.POST:
        context = {"source": patient, "target": target, "what": "merge"}
        return render(request, "diagnosis/confirm_patient.html", context)
    try:
        patient_merge(actor=request.user, source=patient, target=target)
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:patient-detail", patient.pk)
    messages.success(request, _("Merged. You can undo this on the merged patient's page."))
    return redirect("diagnosis:patient-detail", target.pk)


@member_required
@require_POST
def patient_unmerge_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Undo a merge."""
    patient = patient_get(user=request.user, pk=pk)
    try:
        patient_unmerge(actor=request.user, patient=patient)
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:patient-detail", patient.pk)
    messages.success(request, _("The merge is undone."))
    return redirect("diagnosis:patient-detail", patient.pk)


def patient_by_record_number(request: MemberRequest, form: RecordNumberForm) -> Patient | None:
    """Return the clinic's patient that a form names; without one, say so on the next page."""
    if not form.is_valid():
        messages.error(request, _("Type the record number of the right patient."))
        return None
    found = patient_list(user=request.user).filter(
        record_number=form.cleaned_data["record_number"].strip()
    )
    patient = found.first()
    if patient is None:
        messages.error(request, _("No patient of this clinic has this record number."))
    return patient


def _identity(patient: Patient) -> dict[str, object]:
    return {name: getattr(patient, name) for name in PatientForm.Meta.fields}


def _status(form: PatientForm) -> int:
    return 422 if form.errors else 200
