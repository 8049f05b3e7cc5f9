"""The worklist: home of a doctor."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Role
from accounts.selectors import member_list
from diagnosis.models.regions import REGION_LABELS
from diagnosis.selectors import WorklistTab, worklist, worklist_counts
from diagnosis.selectors.recalls import recall_notices_unseen
from diagnosis.selectors.rules import saved_filter_get, saved_filters
from diagnosis.selectors.worklist import (
    COUNT_LIMIT,
    place_read,
    worklist_news,
    worklist_page,
)
from diagnosis.services.claims import studies_assign
from diagnosis.services.reading import list_open
from diagnosis.services.worklist_settings import saved_filter_remove, saved_filter_store
from diagnosis.web.doors import MemberRequest, member_required, tell_and_go
from diagnosis.web.forms import WorklistFilterForm
from diagnosis.web.searches import WORKLIST, search_kept
from diagnosis.web.study_rows import study_rows
from fracture_site.common.errors import DomainError

PAGE_ROWS = 25


@dataclass(frozen=True, slots=True)
class ListView:
    """Which studies the worklist shows: one tab, filters, a search."""

    tab: str
    form: WorklistFilterForm
    q: str

    @property
    def filters(self) -> dict[str, Any]:
        """The selector's arguments."""
        return {"tab": self.tab, "q": self.q, **self.form.filters()}

    @property
    def query(self) -> str:
        """The address of the same list, without the search."""
        return urlencode({"tab": self.tab, **self.form.query()})


def list_view(request: MemberRequest, given: QueryDict | None = None) -> ListView:
    """Return what the address (or ``given``) asks for; what it does not know is left out."""
    given = request.GET if given is None else given
    tab = given.get("tab", "")
    people = [
        (str(member.user_id), member.user.display_name)
        for member in member_list(clinic_id=request.membership.clinic_id)
    ]
    return ListView(
        tab=tab if tab in WorklistTab.values else WorklistTab.UNREAD,
        form=WorklistFilterForm(given, regions=list(REGION_LABELS.items()), people=people),
        q=search_kept(request, WORKLIST),
    )


@member_required
@require_safe
def worklist_view(request: MemberRequest) -> HttpResponse:
    """Tabs, filters and rows; news are asked for apart, so that no row moves by itself."""
    view, user = list_view(request), request.user
    page = worklist_page(
        user=user,
        rows=PAGE_ROWS,
        after=place_read(request.GET.get("after", "")),
        before=place_read(request.GET.get("before", "")),
        **view.filters,
    )
    list_open(
        actor=user,
        clinic_id=request.membership.clinic_id,
        noun="study",
        patients=(study.patient_id for study in page.studies),
    )
    context = {
        "section": "worklist",
        "view": view,
        "page": page,
        "rows": study_rows(user=user, studies=page.studies),
        "tabs": _tabs(request, view),
        "saved": saved_filters(user=user),
        "doctors": _doctors(request),
        "filtered": bool(view.form.filters() or view.q),
        "since": timezone.now().isoformat(),
        "recall_notices": recall_notices_unseen(user=request.user),
    }
    return render(request, "diagnosis/worklist.html", context)


@member_required
@require_POST
def worklist_news_view(request: MemberRequest) -> HttpResponse:
    """The tabs' counts, how much is new, and the state of the rows on the screen; 204 for no news.

    A POST, because the ids of the rows would not fit into an address; it changes nothing.
    """
    view, user = list_view(request), request.user
    shown = _ids(request.POST.getlist("shown"))[: PAGE_ROWS * 2]
    since = _moment(request.POST.get("since", ""))
    studies = list(worklist(user=user, tab=WorklistTab.ALL).filter(pk__in=shown))
    context = {
        "view": view,
        "rows": study_rows(user=user, studies=studies),
        "tabs": _tabs(request, view),
        "news": worklist_news(user=user, since=since, shown=shown, **view.filters),
    }
    body = render_to_string("diagnosis/_worklist_news.html", context, request)
    digest = hashlib.sha256(body.encode()).hexdigest()
    if digest == request.POST.get("digest"):
        return HttpResponse(status=204)
    return HttpResponse(
        body + render_to_string("diagnosis/_worklist_digest.html", {"digest": digest})
    )


@member_required
@require_POST
def worklist_assign(request: MemberRequest) -> HttpResponseBase:
    """Give the selected studies to a doctor."""
    back = _address(list_view(request))
    doctor = _ids([request.POST.get("doctor", "")])
    try:
        changed = studies_assign(
            actor=request.user,
            clinic_id=request.membership.clinic_id,
            study_ids=_ids(request.POST.getlist("study")),
            doctor_id=doctor[0] if doctor else None,
        )
    except DomainError as error:
        return tell_and_go(request, error, back)
    text = ngettext("%(n)s study was assigned.", "%(n)s studies were assigned.", changed)
    messages.success(request, text % {"n": changed})
    return redirect(back)


@member_required
@require_POST
def saved_filter_create(request: MemberRequest) -> HttpResponseBase:
    """Keep the filters of the address under a name."""
    view = list_view(request, QueryDict(request.POST.get("query", "")[:1000]))
    try:
        saved_filter_store(
            actor=request.user,
            clinic_id=request.membership.clinic_id,
            name=request.POST.get("name", ""),
            filters={"tab": view.tab, **view.form.query()},
        )
    except DomainError as error:
        return tell_and_go(request, error, _address(view))
    messages.success(request, _("The filter was saved."))
    return redirect(_address(view))


@member_required
@require_POST
def saved_filter_delete(request: MemberRequest, pk: UUID) -> HttpResponseBase:
    """Forget a filter."""
    saved_filter_remove(actor=request.user, saved=saved_filter_get(user=request.user, pk=pk))
    return redirect(_address(list_view(request)))


def _address(view: ListView) -> str:
    return f"{reverse('diagnosis:worklist')}?{view.query}"


def _tabs(request: MemberRequest, view: ListView) -> list[dict[str, Any]]:
    """Return the tabs; a count that stopped at the limit reads ``999+``."""
    counts = worklist_counts(user=request.user)
    return [
        {
            "value": value,
            "label": label,
            "count": f"{COUNT_LIMIT - 1}+" if counts[value] >= COUNT_LIMIT else counts[value],
            "query": replace(view, tab=value).query,
        }
        for value, label in WorklistTab.choices
    ]


def _doctors(request: MemberRequest) -> list[Any]:
    """Return to whom studies can be given."""
    members = member_list(clinic_id=request.membership.clinic_id)
    return [
        member.user
        for member in members
        if member.is_in_force and member.user.is_active and Role.DOCTOR in member.roles
    ]


def _ids(texts: list[str]) -> list[UUID]:
    """Return the ids among what a form sent."""
    found = []
    for text in texts:
        try:
            found.append(UUID(text))
        except ValueError:
            continue
    return found


def _moment(text: str) -> datetime:
    """Return the time that a page was made, now for what no page has sent."""
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    return moment if moment is not None and timezone.is_aware(moment) else timezone.now()
