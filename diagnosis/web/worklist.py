"""The worklist: home of a doctor."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from diagnosis.models.regions import REGION_LABELS
from diagnosis.selectors import WorklistTab, worklist, worklist_counts
from diagnosis.web.doors import MemberRequest, member_required
from diagnosis.web.forms import WorklistFilterForm

PAGE_ROWS = 25


@member_required
@require_safe
def worklist_page(request: MemberRequest) -> HttpResponse:
    """Tabs, filters and rows; the rows ask for themselves again."""
    return render(request, "diagnosis/worklist.html", _context(request))


@member_required
@require_safe
def worklist_rows(request: MemberRequest) -> HttpResponse:
    """The tabs' counts and the rows alone."""
    return render(request, "diagnosis/_worklist_rows.html", _context(request))


def _context(request: MemberRequest) -> dict[str, Any]:
    tab = request.GET.get("tab", WorklistTab.UNREAD)
    form = WorklistFilterForm(request.GET, regions=list(REGION_LABELS.items()))
    filters = form.filters()
    studies = worklist(user=request.user, tab=tab, **filters)
    counts = worklist_counts(user=request.user)
    paginator = _CountedPaginator(studies, PAGE_ROWS, known=None if filters else counts.get(tab))
    query = request.GET.copy()
    query.pop("page", None)
    return {
        "section": "worklist",
        "tab": tab,
        "tabs": [(value, label, counts[value]) for value, label in WorklistTab.choices],
        "counts": counts,
        "filter_form": form,
        "filtered": bool(filters),
        "page": paginator.get_page(request.GET.get("page")),
        "query": query.urlencode(),
    }


class _CountedPaginator(Paginator[Any]):
    """A paginator that takes the count from the tabs when no filter is set."""

    def __init__(self, rows: Any, per_page: int, *, known: int | None) -> None:
        super().__init__(rows, per_page)
        if known is not None:
            self.__dict__["count"] = known
