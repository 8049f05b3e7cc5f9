"""The dashboard's figures as plain tables: what CSV files and the API give, and what pages show.

Codes and unrounded numbers; words and number formats are the page's. A rate of fewer than
``proportions.MINIMUM`` cases is left out, its counts stay; each rate has its 95 % interval.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from diagnosis.models import Priority, Verdict
from diagnosis.selectors.dashboard.calibration import CalibrationError
from diagnosis.selectors.dashboard.counts import BINS, Wait
from diagnosis.selectors.dashboard.figures import DRIFTING, Dashboard
from diagnosis.selectors.proportions import MINIMUM, Share

Cell = Any  # str, int, float, date or None
VERDICTS: Final = (
    Verdict.DEFINITE,
    Verdict.SUSPICION,
    Verdict.NEGATIVE,
    Verdict.CANNOT_ASSESS,
    "",
)
RATES: Final = (
    "agreement",
    "sensitivity",
    "specificity",
    "sensitivity_definite",
    "specificity_definite",
)


@dataclass(frozen=True, slots=True)
class Table:
    """One chart's figures."""

    key: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def dashboard_tables(figures: Dashboard) -> list[Table]:
    """Return the table of every chart, in the order of the page."""
    return [
        _volume(figures),
        _waits(figures),
        _verdicts(figures),
        _agreement(figures),
        _calibration(figures),
        _reliability(figures),
        _drift(figures),
        _failures(figures),
    ]


def _volume(figures: Dashboard) -> Table:
    priorities = [priority.name.lower() for priority in Priority]
    rows = [
        (step, *(figures.volume.get((step, priority), 0) for priority in Priority.values))
        for step in figures.steps
    ]
    return _table("volume", ("from", *priorities, "total"), ((*row, sum(row[1:])) for row in rows))


def _waits(figures: Dashboard) -> Table:
    names: list[tuple[int | None, str]] = [(p.value, p.name.lower()) for p in Priority]
    rows = []
    for measure, by_urgency in figures.waits.items():
        for priority, name in [*names, (None, "all")]:
            wait = by_urgency.get(priority, Wait(0, None, None))
            enough = wait.count >= MINIMUM
            times = (wait.median, wait.p90) if enough else (None, None)
            rows.append((measure, name, wait.count, *times))
    return _table("times", ("measure", "urgency", "n", "median_minutes", "p90_minutes"), rows)


def _verdicts(figures: Dashboard) -> Table:
    rows = (
        (step, *(figures.verdicts.get((step, verdict), 0) for verdict in VERDICTS))
        for step in figures.steps
    )
    return _table("verdicts", ("from", *(str(verdict) or "none" for verdict in VERDICTS)), rows)


def _agreement(figures: Dashboard) -> Table:
    rows = []
    for found in figures.agreement:
        row: list[Cell] = [found.group, found.name]
        for rate in RATES:
            row += rate_cells(getattr(found, rate))
        rows.append(row)
    parts = ("hits", "n", "value", "low", "high")
    columns = [f"{rate}_{part}" for rate in RATES for part in parts]
    return _table("agreement", ("group", "name", *columns), rows)


def _calibration(figures: Dashboard) -> Table:
    found: list[tuple[Cell, CalibrationError]] = [("all", figures.calibration_all)]
    found += [(s, figures.calibration.get(s, CalibrationError(0))) for s in figures.steps]
    rows = ((step, each.count, each.value, each.low, each.high) for step, each in found)
    return _table("calibration", ("from", "n", "error", "low", "high"), rows)


def _reliability(figures: Dashboard) -> Table:
    rows = []
    for number in range(BINS):
        found = figures.reliability.get(number)
        stated = found.stated if found else None
        observed = found.observed if found else Share(0, 0)
        rows.append((number / BINS, (number + 1) / BINS, stated, *rate_cells(observed)))
    columns = ("bin_from", "bin_to", "stated", "fractured", "n", "observed", "low", "high")
    return _table("reliability", columns, rows)


def _drift(figures: Dashboard) -> Table:
    rows = []
    for kind in DRIFTING:
        for step in figures.steps:
            found = figures.drift[kind, step]
            rows.append((kind, step, found.count, found.baseline, found.index, found.by_chance))
    columns = ("of", "from", "n", "n_baseline", "stability_index", "by_chance")
    return _table("drift", columns, rows)


def _failures(figures: Dashboard) -> Table:
    rows = sorted(
        ((kind, code, count) for (kind, code), count in figures.failures.items()),
        key=lambda row: (-row[2], row[:2]),
    )
    return _table("failures", ("of", "code", "n"), rows)


def rate_cells(share: Share) -> tuple[Cell, ...]:
    """Return hits, cases, rate and interval; no rate of too few cases."""
    if not share.is_enough:
        return share.hits, share.count, None, None, None
    return share.hits, share.count, share.value, *share.interval


def _table(key: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Table:
    return Table(key, tuple(columns), tuple(tuple(row) for row in rows))
