"""The head of a study's page: its place in the list, who reads it, what to check."""

from typing import Any
from uuid import UUID

from django.http import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from diagnosis.models import Study
from diagnosis.models.regions import region_label
from diagnosis.selectors import study_get
from diagnosis.selectors.alerts import alert_of_study
from diagnosis.selectors.pages import report_versions
from diagnosis.selectors.rules import rules_get, study_waiting
from diagnosis.selectors.similar import similar_cases
from diagnosis.selectors.studies import study_images
from diagnosis.selectors.study_warnings import study_warnings
from diagnosis.selectors.worklist import live_claim, worklist_neighbours
from diagnosis.services.claims import (
    claim_release,
    claim_renew,
    claim_take,
    claim_take_over,
)
from diagnosis.web.doors import MemberRequest, member_required
from diagnosis.web.finding_words import word
from diagnosis.web.worklist import list_view
from diagnosis.web.worklist_words import rank_words, warning_sentences
from fracture_site.common.errors import ConflictError


def study_head(request: MemberRequest, study: Study) -> dict[str, Any]:
    """Return what the head of the page shows."""
    view, user, rules = list_view(request), request.user, rules_get(user=request.user)
    previous_id, next_id = worklist_neighbours(user=user, study=study, **view.filters)
    report = getattr(study, "report", None)
    warnings = study_warnings(
        study,
        list(study_images(user=user, study=study).prefetch_related(None)),
        report_versions(user=user, report=report) if report else (),
        views=rules.views.get(study.body_part, ()),
    )
    return {
        "list_query": view.query,
        "previous_id": previous_id,
        "next_id": next_id,
        "waiting": study_waiting(study, rules, now=timezone.now()),
        "rank": rank_words(study),
        "study_warnings": warning_sentences(warnings),
        "alert": alert_of_study(user=user, study=study),
        **_claim(request, study),
    }


@member_required
@require_http_methods(["GET", "POST"])
def study_claim(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Who reads the study; a POST takes, renews, releases or takes over the claim."""
    study = study_get(user=request.user, pk=pk)
    told = _change(request, study) if request.method == "POST" else {}
    if request.method == "POST" and not request.htmx:  # type: ignore[attr-defined]
        return redirect("diagnosis:study-detail", study.pk)
    context = {"study": study, **_claim(request, study), **told}
    return render(request, "diagnosis/_study_claim.html", context)


@member_required
@require_safe
def similar_cases_page(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Confirmed cases of the clinic that are like this study."""
    study = study_get(user=request.user, pk=pk)
    cases = [
        {
            "case": case,
            "region": region_label(case.region),
            "severity": word("severity", case.severity),
        }
        for case in similar_cases(user=request.user, study=study)
    ]
    context = {"section": "worklist", "study": study, "cases": cases}
    return render(request, "diagnosis/similar_cases.html", context)


def _change(request: MemberRequest, study: Study) -> dict[str, Any]:
    """Do what the page asks for; return what the reader must be told."""
    user, form = request.user, request.POST
    try:
        match form.get("do"):
            case "take":
                claim_take(actor=user, study=study)
            case "take_over":
                holder = _id(form.get("holder", ""))
                if holder:
                    claim_take_over(actor=user, study=study, holder_id=holder)
            case "release":
                claim_release(actor=user, study=study, token=_id(form.get("token", "")))
            case "renew":
                if not claim_renew(actor=user, study=study):
                    return {"lost": True}
    except ConflictError as conflict:
        return {"refused": str(conflict.detail or _("Somebody else was faster."))}
    return {}


def _claim(request: MemberRequest, study: Study) -> dict[str, Any]:
    claim = live_claim(user=request.user, study=study)
    waits = study.status not in {Study.Status.EMPTY, Study.Status.PRIOR} and (
        study.status != Study.Status.REPORTED or study.new_image_after_report
    )
    return {
        "claim": claim,
        "claim_is_mine": claim is not None and claim.doctor_id == request.user.pk,
        "study_waits": waits,
    }


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
