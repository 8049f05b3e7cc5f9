"""Looking for a patient's earlier studies in the clinic's archives, from the study's page."""

from typing import Any, Final
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.policy import Action, allowed_actions
from diagnosis.models import PriorFetch, Study
from diagnosis.selectors import study_get
from diagnosis.selectors.deliveries import destination_get
from diagnosis.selectors.priors import prior_fetch_get, prior_sources
from diagnosis.services.prior_fetches import prior_fetch_request
from diagnosis.services.prior_lookups import PriorFound, priors_look_up
from diagnosis.services.reading import study_open
from diagnosis.web.delivery_words import REASONS as PEER_REASONS
from diagnosis.web.doors import MemberRequest, member_required
from fracture_site.common.errors import DomainError

DIFFERENCES: Final = {
    "patient_id": _("another record number"),
    "birth_date": _("another birth date"),
    "issuer": _("a record number of another hospital"),
    "name": _("another name"),
    "sex": _("another sex"),
    "unproven": _("no birth date to compare"),
}
REASONS: Final = {
    **PEER_REASONS,
    "peer_refused": _("The archive refused the question. Its log says why."),
    "destination_off": _("Earlier studies are not looked up there any more."),
    "query_not_accepted": _("The archive does not let us search (C-FIND)."),
    "retrieve_not_accepted": _(
        "The archive does not give images away like this. Choose the other way (C-GET or C-MOVE) "
        "in its settings."
    ),
    "move_destination_unknown": _(
        "The archive does not know where our listener is. Enter our AE title and address there."
    ),
    "answer_unreadable": _("The archive's answer cannot be understood."),
    "prior_gone": _("The archive does not have this study any more."),
    "prior_empty": _("The archive names no images of this study."),
    "prior_no_radiographs": _("The study has no radiographs; other kinds are not fetched."),
    "prior_too_many": _("The study has more images than one study here can hold."),
    "prior_wrong_patient": _(
        "The archive's images name another person. Nothing was taken. Have the record corrected."
    ),
    "prior_nothing_usable": _("None of the study's images could be used."),
    "timeout": _("The archive took too long."),
    "worker_lost": _("Fetching broke off three times. Tell your administrator."),
}
OTHER_REASON: Final = _("Fetching failed for an unknown reason. Tell your administrator.")
SKIPPED: Final = {
    "wrong_patient": _("they name another person"),
    "not_a_radiograph": _("they are no radiographs"),
    "instance_missing": _("the archive did not give them away"),
    "too_much": _("the study is too large"),
    "too_large": _("they are too large"),
    "answer_too_large": _("they are too large"),
}
SKIPPED_OTHER: Final = _("they cannot be used")


@member_required
@require_POST
def priors_look_up_action(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Ask the archives and show what they have."""
    study = study_get(user=request.user, pk=pk)
    answers = [
        {
            "answer": answer,
            "reason": _reason(answer.code),
            "priors": [_found(prior) for prior in answer.priors],
        }
        for answer in priors_look_up(actor=request.user, study=study)
    ]
    context = {"study": study, "answers": answers}
    return render(request, "diagnosis/_priors_found.html", context)


@member_required
@require_POST
def prior_fetch_action(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Promise to fetch one study, and show how far it is."""
    study = study_get(user=request.user, pk=pk)
    source = destination_get(user=request.user, pk=request.POST.get("source", ""))
    try:
        fetch = prior_fetch_request(
            actor=request.user,
            study=study,
            source=source,
            study_uid=request.POST.get("study_uid", ""),
            confirmed=request.POST.getlist("confirmed") if "sure" in request.POST else (),
        )
    except DomainError as error:
        context: dict[str, Any] = {"study": study, "refused": str(error.detail)}
        return render(request, "diagnosis/_prior_fetch.html", context, status=422)
    return _progress(request, fetch)


@member_required
@require_safe
def prior_fetch_status(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Show how far a fetch is; polled."""
    fetch = prior_fetch_get(user=request.user, pk=pk)
    study_open(actor=request.user, study=fetch.study, polled=True)
    return _progress(request, fetch)


def priors_context(request: MemberRequest, study: Study) -> dict[str, Any]:
    """Return what the study's page needs to offer a look into the archives."""
    can = allowed_actions(user=request.user, clinic_id=study.clinic_id)
    sources = prior_sources(user=request.user) if Action.PRIOR_FETCH in can else []
    return {"prior_sources": [source.name for source in sources]}


def _progress(request: MemberRequest, fetch: PriorFetch) -> HttpResponse:
    return render(request, "diagnosis/_prior_fetch.html", fetch_words(fetch))


def fetch_words(fetch: PriorFetch) -> dict[str, Any]:
    """Return what a page says of a fetch."""
    return {
        "fetch": fetch,
        "reason": _reason(fetch.error_code),
        "left_out": [
            (count, SKIPPED.get(code, SKIPPED_OTHER)) for code, count in fetch.skipped.items()
        ],
    }


def _found(prior: PriorFound) -> dict[str, Any]:
    return {
        "prior": prior,
        "study": prior.found,
        "modalities": ", ".join(prior.found.modalities),
        "differences": [DIFFERENCES[code] for code in prior.differences],
        "confirm": prior.differences,
        **(fetch_words(prior.fetch) if prior.fetch else {}),
    }


def _reason(code: str) -> str:
    return str(REASONS.get(code, OTHER_REASON)) if code else ""
