"""Charts of how good the AI is: against reports, its probabilities, and drift of its input."""

from django.utils.translation import gettext as _

from diagnosis.selectors.dashboard import Dashboard, Table
from diagnosis.selectors.dashboard.agreement import Agreement
from diagnosis.selectors.dashboard.calibration import MINIMUM as CALIBRATION_MINIMUM
from diagnosis.selectors.dashboard.drift import MINIMUM as DRIFT_MINIMUM
from diagnosis.selectors.dashboard.drift import MUCH
from diagnosis.selectors.dashboard.figures import DRIFTING
from diagnosis.selectors.proportions import Share
from diagnosis.web import dashboard_words as words
from diagnosis.web.dashboard_chart import Chart, intervals, step_names
from diagnosis.web.dashboard_words import NOTHING, number, percent, rate


def agreement_chart(figures: Dashboard, table: Table) -> Chart:
    """Return agreement, sensitivity and specificity by region and model version."""
    left = figures.left_out
    together = figures.agreement[0]
    said = _(
        "Agreement %(agreement)s, sensitivity %(sensitivity)s, specificity %(specificity)s. Left "
        "out: %(not_reported)s without a signed report in force, %(undecided)s with an undecided "
        "finding, %(not_assessed)s that the AI did not assess."
    ) % {
        "agreement": rate(together.agreement),
        "sensitivity": rate(together.sensitivity),
        "specificity": rate(together.specificity),
        "not_reported": number(left.not_reported),
        "undecided": number(left.undecided),
        "not_assessed": number(left.not_assessed),
    }
    shown = [
        each
        for each in figures.agreement
        if each.sensitivity.is_enough or each.specificity.is_enough
    ]
    return Chart(
        key=table.key,
        title=_("AI against signed reports"),
        about=_(
            "The reference is the newest signed report of each study, unless it was withdrawn: a "
            "fracture where doctors accepted, moved or added a finding, none where they rejected "
            "every finding or there was none. The AI calls a fracture when it says Fracture or "
            "Suspicion. Doctors who saw the AI before they signed may have followed it, so these "
            "figures can look better than the AI is."
        ),
        summary=said,
        head=[
            _("Group"),
            _("Studies"),
            _("Agreement"),
            _("Sensitivity"),
            _("Specificity"),
            _("Sensitivity, Fracture only"),
            _("Specificity, Fracture only"),
        ],
        body=[_agreement_row(each) for each in figures.agreement],
        drawing=intervals(
            labels=[words.group_name(each.group, each.name) for each in shown],
            series=[
                (_("Sensitivity"), "danger", [each.sensitivity for each in shown]),
                (_("Specificity"), "accent", [each.specificity for each in shown]),
            ],
            across=True,
        ),
    )


def _agreement_row(each: Agreement) -> list[str]:
    return [
        words.group_name(each.group, each.name),
        number(each.studies),
        rate(each.agreement),
        rate(each.sensitivity),
        rate(each.specificity),
        rate(each.sensitivity_definite),
        rate(each.specificity_definite),
    ]


def calibration_chart(figures: Dashboard, table: Table) -> Chart:
    """Return the calibration error in each step."""
    found = figures.calibration_all
    said = (
        _(
            "The stated probability is off by %(value)s on average (%(low)s to %(high)s; "
            "%(n)s studies)."
        )
        % {
            "value": percent(found.value, 1),
            "low": percent(found.low, 1),
            "high": percent(found.high, 1),
            "n": number(found.count),
        }
        if found.value is not None
        else _("%(n)s studies to compare; at least %(minimum)s are needed.")
        % {"n": number(found.count), "minimum": CALIBRATION_MINIMUM}
    )
    labels = step_names(figures)
    steps = table.rows[1:]
    drawn = [(row[2], row[3], row[4]) for row in steps]
    return Chart(
        key=table.key,
        title=_("Calibration over time"),
        about=_(
            "Expected calibration error: the mean gap between the AI's probability and how often "
            "signed reports confirm a fracture. A study states the probability of its worst image, "
            "which overstates studies with many images."
        ),
        summary=said,
        head=[_("From"), _("Studies"), _("Error"), _("95 % interval")],
        body=[
            [
                label,
                number(row[1]),
                percent(row[2], 1),
                NOTHING
                if row[2] is None
                else f"{percent(row[3], 1)} \N{EN DASH} {percent(row[4], 1)}",
            ]
            for label, row in zip([_("Whole period"), *labels], table.rows, strict=True)
        ],
        drawing={
            "kind": "intervals",
            "unit": "percent",
            "across": False,
            "labels": labels,
            "series": [{"name": _("Error"), "tone": "accent", "values": drawn}],
        }
        if any(value is not None for value, _low, _high in drawn)
        else None,
    )


def reliability_chart(_figures: Dashboard, table: Table) -> Chart:
    """Return stated and confirmed probability in tenths."""
    labels = [f"{number(100 * row[0])}\N{EN DASH}{number(100 * row[1])} %" for row in table.rows]
    shares = [Share(row[3], row[4]) for row in table.rows]
    enough = [
        (label, row, share)
        for label, row, share in zip(labels, table.rows, shares, strict=True)
        if share.is_enough
    ]
    off = sum(not share.interval[0] <= row[2] <= share.interval[1] for _l, row, share in enough)
    drawing = intervals(
        labels=labels, series=[(_("Confirmed by reports"), "accent", shares)], across=False
    )
    if drawing:
        drawing["points"] = {
            "name": _("Stated by the AI"),
            "tone": "warning",
            "values": [row[2] if row[4] else None for row in table.rows],
        }
    return Chart(
        key=table.key,
        title=_("Stated and confirmed probability"),
        about=_("Of the studies with a probability in each tenth: how many reports confirm it."),
        summary=_(
            "In %(off)s of %(n)s tenths with enough studies the stated probability lies outside "
            "the interval of what reports confirm."
        )
        % {"off": off, "n": len(enough)},
        head=[_("Probability"), _("Studies"), _("Mean stated"), _("Confirmed")],
        body=[
            [label, number(row[4]), percent(row[2]), rate(share)]
            for label, row, share in zip(labels, table.rows, shares, strict=True)
        ],
        drawing=drawing,
    )


def drift_chart(figures: Dashboard, table: Table) -> Chart:
    """Return the stability index of what comes in, in each step."""
    labels = step_names(figures)
    much = [
        f"{words.DRIFTING[kind]} ({label})"
        for kind in DRIFTING
        for step, label in zip(figures.steps, labels, strict=True)
        if figures.drift[kind, step].is_much
    ]
    known = any(row[4] is not None for row in table.rows)
    if not known:
        said = _("At least %(n)s cases are needed in a step and in the baseline.") % {
            "n": DRIFT_MINIMUM
        }
    elif much:
        said = _("Much has changed: %(what)s.") % {"what": "; ".join(much)}
    else:
        said = _("Nothing has changed much, beyond what chance explains.")
    tones = ("accent", "warning", "danger", "success")
    return Chart(
        key=table.key,
        title=_("Drift of what comes in"),
        about=_(
            "Population stability index against the baseline: below 0.1 little, above 0.25 much "
            "has changed. Small numbers differ by chance; the table says how much."
        ),
        summary=said,
        head=[_("Of"), _("From"), _("Cases"), _("Baseline"), _("Index"), _("Chance explains")],
        body=[
            [
                str(words.DRIFTING[row[0]]),
                words.step_name(row[1], figures.period.step),
                number(row[2]),
                number(row[3]),
                NOTHING if row[4] is None else number(row[4], 2),
                NOTHING if row[5] is None else number(row[5], 2),
            ]
            for row in table.rows
        ],
        drawing={
            "kind": "lines",
            "unit": "index",
            "labels": labels,
            "limit": {"value": MUCH, "name": _("Much")},
            "series": [
                {
                    "name": str(words.DRIFTING[kind]),
                    "tone": tone,
                    "values": [figures.drift[kind, step].index for step in figures.steps],
                }
                for kind, tone in zip(DRIFTING, tones, strict=True)
            ],
        }
        if known
        else None,
    )
