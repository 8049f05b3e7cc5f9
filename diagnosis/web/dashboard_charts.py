"""The dashboard's charts in the order of its page; here those of the clinic's work."""

from collections.abc import Callable
from typing import Final

from django.utils.translation import gettext as _

from diagnosis.selectors.dashboard import Dashboard, Table, dashboard_tables
from diagnosis.selectors.proportions import MINIMUM, Share
from diagnosis.web import dashboard_words as words
from diagnosis.web.dashboard_chart import Chart, counted_rows, stacked, step_names
from diagnosis.web.dashboard_quality import (
    agreement_chart,
    calibration_chart,
    drift_chart,
    reliability_chart,
)
from diagnosis.web.dashboard_words import number, rate


def dashboard_charts(figures: Dashboard) -> list[Chart]:
    """Return the charts in the order of the page."""
    return [_MAKERS[table.key](figures, table) for table in dashboard_tables(figures)]


def _volume(figures: Dashboard, table: Table) -> Chart:
    labels = step_names(figures)
    keys = table.columns[1:-1]
    parts = [
        f"{words.URGENCIES[key]} {number(sum(row[place] for row in table.rows))}"
        for place, key in enumerate(keys, start=1)
    ]
    return Chart(
        key=table.key,
        title=_("Studies"),
        about=_("Studies by the day they arrived and their urgency."),
        summary=f"{words.studies(figures.studies)}: {', '.join(parts)}.",
        head=[_("From"), *(str(words.URGENCIES[key]) for key in keys), _("All")],
        body=counted_rows(labels, table),
        drawing=stacked(labels, table, keys, words.URGENCIES) if figures.studies else None,
    )


def _verdicts(figures: Dashboard, table: Table) -> Chart:
    labels = step_names(figures)
    keys = table.columns[1:]
    total = sum(figures.verdicts.values())
    parts = [
        f"{words.VERDICTS[key]} {rate(Share(sum(row[place] for row in table.rows), total))}"
        for place, key in enumerate(keys, start=1)
    ]
    return Chart(
        key=table.key,
        title=_("Verdicts of the AI"),
        about=_("What the AI says of the studies now, by the day they arrived."),
        summary=f"{'; '.join(parts)}." if total else _nothing(),
        head=[_("From"), *(str(words.VERDICTS[key]) for key in keys)],
        body=counted_rows(labels, table),
        drawing=stacked(labels, table, keys, words.VERDICTS) if total else None,
    )


def _times(figures: Dashboard, table: Table) -> Chart:
    found = [row for row in table.rows if row[1] != "all" and row[3] is not None]
    report = figures.waits["report"][None]
    enough = report.count >= MINIMUM
    said = (
        _(
            "Half of the %(n)s reported studies were signed within %(median)s, nine of ten "
            "within %(p90)s."
        )
        % {
            "n": number(report.count),
            "median": words.minutes(report.median),
            "p90": words.minutes(report.p90),
        }
        if enough
        else _("Fewer than %(n)s studies were reported; no times are given.") % {"n": MINIMUM}
    )
    return Chart(
        key=table.key,
        title=_("Waiting and turnaround"),
        about=_(
            "From the arrival of a study to its first signed report, from an image to the AI's "
            "result, and how long studies without a report wait at this moment."
        ),
        summary=said,
        head=[_("What"), _("Urgency"), _("Cases"), _("Median"), _("Nine of ten within")],
        body=[
            [
                str(words.MEASURES[row[0]]),
                str(words.URGENCIES[row[1]]),
                number(row[2]),
                words.minutes(row[3]),
                words.minutes(row[4]),
            ]
            for row in table.rows
        ],
        drawing={
            "kind": "bars",
            "unit": "minutes",
            "labels": [  # two lines each
                [str(words.SHORT_MEASURES[row[0]]), str(words.URGENCIES[row[1]])] for row in found
            ],
            "series": [
                {"name": _("Median"), "tone": "accent", "values": [row[3] for row in found]},
                {
                    "name": _("Nine of ten within"),
                    "tone": "line-strong",
                    "values": [row[4] for row in found],
                },
            ],
        }
        if found
        else None,
    )


def _failures(figures: Dashboard, table: Table) -> Chart:
    total = sum(figures.failures.values())
    labels = [f"{words.KINDS[kind]}: {code}" for kind, code, _count in table.rows]
    return Chart(
        key=table.key,
        title=_("Failures"),
        about=_("Analyses and deliveries that ended with an error, by its code."),
        summary=_("%(n)s failures.") % {"n": number(total)} if total else _("Nothing has failed."),
        head=[_("What"), _("Code"), _("Cases")],
        body=[[str(words.KINDS[row[0]]), row[1], number(row[2])] for row in table.rows],
        drawing={
            "kind": "bars",
            "unit": "count",
            "labels": labels,
            "series": [
                {"name": _("Cases"), "tone": "danger", "values": [row[2] for row in table.rows]}
            ],
        }
        if total
        else None,
    )


def _nothing() -> str:
    return _("No studies.")


_MAKERS: Final[dict[str, Callable[[Dashboard, Table], Chart]]] = {
    "volume": _volume,
    "times": _times,
    "verdicts": _verdicts,
    "agreement": agreement_chart,
    "calibration": calibration_chart,
    "reliability": reliability_chart,
    "drift": drift_chart,
    "failures": _failures,
}
