"""Figures of one clinic over a span of days; counted in SQL, a fixed number of queries."""

from diagnosis.selectors.dashboard.figures import Dashboard, dashboard_figures
from diagnosis.selectors.dashboard.period import Period, default_period, span_error
from diagnosis.selectors.dashboard.tables import Table, dashboard_tables

__all__ = [
    "Dashboard",
    "Period",
    "Table",
    "dashboard_figures",
    "dashboard_tables",
    "default_period",
    "span_error",
]
