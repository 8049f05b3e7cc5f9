"""What a chart is: words, a table to read, and its series."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from diagnosis.selectors.dashboard import Dashboard, Table
from diagnosis.selectors.proportions import Share
from diagnosis.web import dashboard_words as words
from diagnosis.web.dashboard_words import number

_TONES: Final = {
    "stat": "danger",
    "urgent": "warning",
    "routine": "accent",
    "definite": "danger",
    "suspicion": "warning",
    "negative": "neutral",
    "cannot_assess": "line-strong",
    "none": "line",
}


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: what it is about, what it says, its table, and the series that are drawn.

    ``drawing`` is read by ``static/js/dashboard.js``; ``None`` when there is nothing to draw.
    """

    key: str
    title: str
    about: str
    summary: str
    head: Sequence[str]
    body: Sequence[Sequence[str]]
    drawing: dict[str, Any] | None = None

    @property
    def data_id(self) -> str:
        """The id of the element that holds the drawing."""
        return f"{self.key}-data"


def step_names(figures: Dashboard) -> list[str]:
    """Return what the steps are called on an axis."""
    return [words.step_name(step, figures.period.step) for step in figures.steps]


def counted_rows(labels: Sequence[str], table: Table) -> list[list[str]]:
    """Return a table of counts as it is read."""
    return [
        [label, *(number(value) for value in row[1:])]
        for label, row in zip(labels, table.rows, strict=True)
    ]


def stacked(labels: Sequence[str], table: Table, keys: Sequence[str], names: Any) -> dict[str, Any]:
    """Return counts, one upon the other in each step."""
    return {
        "kind": "stacked",
        "unit": "count",
        "labels": labels,
        "series": [
            {
                "name": str(names[key]),
                "tone": _TONES[key],
                "values": [row[place] for row in table.rows],
            }
            for place, key in enumerate(keys, start=1)
        ],
    }


def intervals(
    *, labels: Sequence[str], series: Sequence[tuple[str, str, Sequence[Share]]], across: bool
) -> dict[str, Any] | None:
    """Return rates with their intervals; a rate of too few cases is not drawn."""
    drawn = [
        {
            "name": name,
            "tone": tone,
            "values": [
                (share.value, *share.interval) if share.is_enough else (None, None, None)
                for share in shares
            ],
        }
        for name, tone, shares in series
    ]
    if not any(value[0] is not None for each in drawn for value in each["values"]):
        return None
    return {
        "kind": "intervals",
        "unit": "percent",
        "across": across,
        "labels": labels,
        "series": drawn,
    }
