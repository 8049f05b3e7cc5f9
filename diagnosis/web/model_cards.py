"""Model cards and figures as pages show them: Markdown of strangers, never trusted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from markdown_it import MarkdownIt

# No raw HTML, no pictures from elsewhere, no links that look like other words.
_MARKDOWN = (
    MarkdownIt("commonmark", {"html": False, "linkify": False})
    .enable("table")
    .disable(["image", "link", "autolink", "html_inline", "html_block"])
)
# Figures that people ask for first, in words; the rest follows by name.
_FIRST = {
    "auroc": _("AUROC"),
    "auroc_without_hardware": _("AUROC without metal in the picture"),
    "sensitivity_suspicion": _("Sensitivity, from suspicion on"),
    "specificity_suspicion": _("Specificity, from suspicion on"),
    "sensitivity_definite": _("Sensitivity, definite only"),
    "specificity_definite": _("Specificity, definite only"),
    "ece": _("Calibration error (ECE)"),
    "ap30": _("Boxes: average precision at IoU 0.3"),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a held-back test with its interval, of this version and of another one."""

    name: str
    value: float
    low: float | None
    high: float | None
    count: int | None
    other: float | None = None

    @property
    def difference(self) -> float | None:
        """This version minus the other one."""
        return None if self.other is None else self.value - self.other


def card_html(text: str) -> SafeString:
    """Return a card as HTML that can hold no markup of its author."""
    return SafeString(_MARKDOWN.render(text))  # nosec B703 - raw HTML is off and escaped


def figures(metrics: Mapping[str, Any], other: Mapping[str, Any] | None = None) -> list[Figure]:
    """Return the figures of a manifest, the important ones first; what is no figure is left out."""
    known = {name: _figure(name, value, (other or {}).get(name)) for name, value in metrics.items()}
    names = [*(name for name in _FIRST if name in known), *sorted(set(known) - set(_FIRST))]
    return [figure for name in names if (figure := known[name]) is not None]


def _figure(name: str, entry: object, other: object) -> Figure | None:
    """Return a figure of a manifest; plain numbers there are counts, not figures."""
    value = _number(entry)
    if value is None or not isinstance(entry, dict):
        return None
    low = high = None
    interval = entry.get("ci95")
    if isinstance(interval, list) and len(interval) == 2:
        low, high = (_number(bound) for bound in interval)
    count = entry.get("n") if isinstance(entry.get("n"), int) else None
    words = str(_FIRST.get(name, name.replace("_", " ")))
    return Figure(words, value, low, high, count, _number(other))


def _number(entry: object) -> float | None:
    value = entry.get("value") if isinstance(entry, dict) else entry
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
