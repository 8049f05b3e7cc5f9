"""The reader's own answer, before the AI's result is shown."""

import json
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from diagnosis.selectors import study_get
from diagnosis.services.first_reads import first_read_give
from diagnosis.web.doors import MemberRequest, member_required, tell_and_go
from fracture_site.common.errors import DomainError


@member_required
@require_POST
def first_read_action(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Store the answer; the study's page then shows everything."""
    study = study_get(user=request.user, pk=pk)
    try:
        first_read_give(
            actor=request.user,
            study=study,
            answer=request.POST.get("answer", ""),
            places=_places(request.POST.get("places", "")),
        )
    except DomainError as error:
        return tell_and_go(request, error, "diagnosis:study-detail", study.pk)
    messages.success(request, _("Your answer is stored. This is what the AI sees."))
    return redirect("diagnosis:study-detail", study.pk)


def _places(given: str) -> list[Any]:
    """Return what the page has collected; anything else is refused by the service."""
    try:
        places = json.loads(given or "[]")
    except (ValueError, RecursionError):
        return [None]
    return places if isinstance(places, list) else [None]
