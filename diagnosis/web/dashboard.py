"""The clinic's dashboard: figures over a span of days, and each of them as a CSV file."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django import forms
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.audit import audit_record
from accounts.policy import Action, require
from diagnosis.selectors.dashboard import (
    Dashboard,
    Period,
    dashboard_figures,
    dashboard_tables,
    default_period,
    span_error,
)
from diagnosis.selectors.proportions import MINIMUM
from diagnosis.web.csv_files import csv_response
from diagnosis.web.dashboard_charts import dashboard_charts
from diagnosis.web.dashboard_words import minutes, number
from diagnosis.web.doors import MemberRequest, member_required

SPANS = (7, 30, 90, 365)  # days


def _day(label: Any) -> forms.DateField:
    picker = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    return forms.DateField(label=label, required=False, widget=picker)


class PeriodForm(forms.Form):
    """From and to, and optionally the days that drift is measured against."""

    first = _day(_("From"))
    last = _day(_("To"))
    baseline_first = _day(_("Baseline from"))
    baseline_last = _day(_("Baseline to"))

    def clean(self) -> dict[str, Any]:
        """Refuse half a span, one that ends before it begins, and one that is endless."""
        given = super().clean() or {}
        for prefix in ("", "baseline_"):
            wrong = span_error(given.get(f"{prefix}first"), given.get(f"{prefix}last"))
            if wrong and not self.errors:
                self.add_error(f"{prefix}last", wrong)
        return given


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request asks for."""

    form: PeriodForm
    period: Period
    baseline: Period | None


@member_required
@require_safe
def dashboard_page(request: MemberRequest) -> HttpResponse:
    """The figures of the chosen days; the last thirty unless others are chosen."""
    clinic_id = request.membership.clinic_id
    require(user=request.user, action=Action.DASHBOARD_VIEW, clinic_id=clinic_id)
    asked = _asked(request)
    context: dict[str, Any] = {
        "section": "dashboard",
        "form": asked.form,
        "spans": _spans(asked.period),
        "minimum": MINIMUM,
    }
    if asked.form.errors:
        return render(request, "diagnosis/dashboard.html", context, status=422)
    figures = _figures(request, asked)
    context |= {
        "figures": figures,
        "charts": dashboard_charts(figures),
        "studies": number(figures.studies),
        "query": urlencode({n: v for n, v in request.GET.items() if n in asked.form.fields and v}),
        "report": figures.waits["report"][None],
        "median": minutes(figures.waits["report"][None].median),
        "p90": minutes(figures.waits["report"][None].p90),
        "waiting": figures.waits["waiting"][None],
        "longest_half": minutes(figures.waits["waiting"][None].median),
        "agreement": figures.agreement[0].agreement,
    }
    return render(request, "diagnosis/dashboard.html", context)


@member_required
@require_safe
def dashboard_csv(request: MemberRequest, key: str) -> HttpResponse:
    """The figures of one chart; counts and rates, nothing of a patient."""
    clinic_id = request.membership.clinic_id
    require(user=request.user, action=Action.DASHBOARD_VIEW, clinic_id=clinic_id)
    asked = _asked(request)
    if asked.form.errors:
        raise Http404
    tables = {table.key: table for table in dashboard_tables(_figures(request, asked))}
    if key not in tables:
        raise Http404
    first, last = asked.period.first.isoformat(), asked.period.last.isoformat()
    audit_record(
        actor=request.user,
        action="dashboard.export",
        clinic_id=clinic_id,
        figures=key,
        first=first,
        last=last,
    )
    table = tables[key]
    return csv_response(name=f"{key}-{first}-{last}", columns=table.columns, rows=table.rows)


def _asked(request: MemberRequest) -> _Asked:
    zone = ZoneInfo(request.membership.clinic.time_zone)
    period = default_period(now=timezone.now(), zone=zone)
    form = PeriodForm(request.GET)
    if not form.is_valid():
        return _Asked(form, period, None)
    chosen = form.cleaned_data
    baseline = None
    if chosen["first"]:
        period = Period(chosen["first"], chosen["last"], zone)
    if chosen["baseline_first"]:
        baseline = Period(chosen["baseline_first"], chosen["baseline_last"], zone)
    return _Asked(form, period, baseline)


def _figures(request: MemberRequest, asked: _Asked) -> Dashboard:
    return dashboard_figures(user=request.user, period=asked.period, baseline=asked.baseline)


def _spans(period: Period) -> list[dict[str, Any]]:
    """Return the usual spans that end today, as links."""
    today = timezone.now().astimezone(period.zone).date()
    spans = []
    for days in SPANS:
        first = today - timedelta(days=days - 1)
        query = urlencode({"first": first.isoformat(), "last": today.isoformat()})
        chosen = (period.first, period.last) == (first, today)
        spans.append({"days": days, "query": query, "chosen": chosen})
    return spans
