"""Pages about studies: request, upload, result, report."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from diagnosis.ingest.film import film_task
from diagnosis.selectors import patient_get, study_get
from diagnosis.selectors.pages import queue_position, study_is_busy
from diagnosis.services.analyses import study_analyses_request
from diagnosis.services.reading import report_open, study_open
from diagnosis.services.studies import study_create, study_move, study_update
from diagnosis.services.uploads import image_upload
from diagnosis.web.doors import MemberRequest, form_refused, member_required, tell_and_go
from diagnosis.web.forms import RecordNumberForm, StudyForm
from diagnosis.web.live import first_look_config
from diagnosis.web.patients import patient_by_record_number
from diagnosis.web.study_context import study_context
from diagnosis.web.study_head import study_head
from fracture_site.common.errors import ConflictError, DomainError


@member_required
@require_http_methods(["GET", "POST"])
def study_create_page(request: MemberRequest) -> HttpResponseBase:
    """Ask for a study of ``?patient=``; images are added on its page."""
    patient = patient_get(user=request.user, pk=request.GET.get("patient", ""))
    form = StudyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            study = study_create(
                actor=request.user,
                clinic_id=request.membership.clinic_id,
                patient=patient,
                **form.cleaned_data,
            )
        except DomainError as error:
            form_refused(form, error)
        else:
            return redirect("diagnosis:study-detail", study.pk)
    context = {"section": "patients", "form": form, "patient": patient}
    return render(request, "diagnosis/study_form.html", context, status=422 if form.errors else 200)


@member_required
@require_safe
def study_page(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Images, result, earlier studies and report beside each other; the opening is audited."""
    study = study_get(user=request.user, pk=pk)
    study_open(actor=request.user, study=study)
    if hasattr(study, "report") and not study.ai_hidden:
        report_open(actor=request.user, report=study.report)
    context = study_context(request, study) | study_head(request, study)
    context["first_look"] = first_look_config()
    return render(request, "diagnosis/study_detail.html", context)


@member_required
@require_http_methods(["GET", "POST"])
def study_edit_page(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Correct what was asked."""
    study = study_get(user=request.user, pk=pk)
    initial = {name: getattr(study, name) for name in StudyForm.Meta.fields}
    form = StudyForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            study_update(actor=request.user, study=study, **form.cleaned_data)
        except DomainError as error:
            form_refused(form, error)
        else:
            return redirect("diagnosis:study-detail", study.pk)
    context = {"section": "worklist", "form": form, "patient": study.patient, "study": study}
    return render(request, "diagnosis/study_form.html", context, status=422 if form.errors else 200)


@member_required
@require_safe
def study_status(request: MemberRequest, pk: UUID) -> HttpResponse:
    """The live status; when it is final the page loads again with the result."""
    study = study_get(user=request.user, pk=pk)
    if not study_is_busy(user=request.user, study=study):
        return HttpResponse(headers={"HX-Refresh": "true"})
    context = {"study": study, "ahead": queue_position(user=request.user, study=study)}
    return render(request, "diagnosis/_study_status.html", context)


@member_required
@require_POST
def study_upload(request: MemberRequest, pk: UUID) -> JsonResponse:
    """Take one file and say what became of it."""
    study = study_get(user=request.user, pk=pk)
    upload = request.FILES.get("file")
    if request.GET.get("patient", str(study.patient_id)) != str(study.patient_id):
        text = _(
            "This study now belongs to another patient. Load the page again before you upload."
        )
        return _outcome("refused", "study_moved", text, status=409)
    if upload is None:
        return _outcome("refused", "no_file", _("No file arrived. Choose it again."), status=400)
    try:
        film = film_task(
            capture=request.POST.get("capture", ""), corners=request.POST.get("corners", "")
        )
        outcome = image_upload(actor=request.user, study=study, data=upload.read(), film=film)
    except ConflictError as error:
        return _refused(error, url=_study_url(error))
    except DomainError as error:
        return _refused(error)
    url = f"{reverse('diagnosis:study-detail', args=[study.pk])}?image={outcome.image.pk}"
    if outcome.created:
        return _outcome("accepted", "created", accepted_text(outcome.image.warnings), url, 201)
    return _outcome("existing", "existing", _("This file is already in this study."), url)


@member_required
@require_POST
def study_reanalyse(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Ask for another run over all images."""
    study = study_get(user=request.user, pk=pk)
    try:
        study_analyses_request(actor=request.user, study=study)
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:study-detail", study.pk)
    return redirect("diagnosis:study-detail", study.pk)


@member_required
@require_POST
def study_move_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Move the study to the right patient."""
    study = study_get(user=request.user, pk=pk)
    patient = patient_by_record_number(request, RecordNumberForm(request.POST))
    if patient is None:
        return redirect("diagnosis:study-detail", study.pk)
    if "confirmed" not in request.POST:
        context = {"source": study.patient, "target": patient, "what": "study", "study": study}
        return render(request, "diagnosis/confirm_patient.html", context)
    try:
        study_move(actor=request.user, study=study, patient=patient)
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:study-detail", study.pk)
    messages.success(request, _("The study was moved."))
    return redirect("diagnosis:study-detail", study.pk)


def _outcome(
    outcome: str, code: str, message: str, url: str = "", status: int = 200
) -> JsonResponse:
    answer: dict[str, Any] = {"outcome": outcome, "code": code, "message": message}
    return JsonResponse(answer | ({"url": url} if url else {}), status=status)


def _refused(error: DomainError, url: str = "") -> JsonResponse:
    return _outcome("refused", error.code, str(error.detail or error.code), url, error.http_status)


def _study_url(error: DomainError) -> str:
    study_id = error.extra.get("study")
    return reverse("diagnosis:study-detail", args=[study_id]) if study_id else ""


def accepted_text(warnings: list[str]) -> str:
    """Return what is said of an accepted file."""
    if "truncated_file" in warnings:
        return _("Accepted. The end of the file is missing; look whether the picture is complete.")
    if "photo_of_film" in warnings:
        return _("Accepted, straightened and marked as a photo of a film: lower trust.")
    return _("Accepted. The analysis has started.")
