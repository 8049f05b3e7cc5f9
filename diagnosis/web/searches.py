"""What a person searches for, kept in the session.

An address with a name in it would end up in histories and in the logs of every machine on the way.
"""

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from diagnosis.web.doors import MemberRequest, member_required

MAX_LENGTH = 100
WORKLIST, PATIENTS = "worklist", "patients"
_PAGES = {WORKLIST: "diagnosis:worklist", PATIENTS: "diagnosis:patient-list"}


def search_kept(request: HttpRequest, page: str) -> str:
    """Return what is searched for on a page in this clinic."""
    return str(request.session.get(_key(request, page), ""))


def search_keep(request: HttpRequest, page: str, text: str) -> str:
    """Remember what is searched for, ``""`` forgets it; return it."""
    text = text.replace("\0", "").strip()[:MAX_LENGTH]
    if text:
        request.session[_key(request, page)] = text
    else:
        request.session.pop(_key(request, page), None)
    return text


@member_required
@require_POST
def search_action(request: MemberRequest, page: str) -> HttpResponseBase:
    """Take a search, then show the page; the rest of its address stays."""
    search_keep(request, page, request.POST.get("q", ""))
    query = QueryDict(request.POST.get("query", "")[:1000]).dict()
    for name in ("page", "after", "before", "q"):
        query.pop(name, None)
    address = reverse(_PAGES[page])
    return redirect(f"{address}?{urlencode(query)}" if query else address)


def _key(request: HttpRequest, page: str) -> str:
    """Return a name that another clinic's search does not have."""
    membership = getattr(request, "membership", None)
    return f"search/{page}/{membership.clinic_id if membership else ''}"
