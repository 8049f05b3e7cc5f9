"""What the figures of the dashboard are called, and how numbers are written."""

from datetime import date
from typing import Final

from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from diagnosis.models import Priority, Verdict
from diagnosis.models.regions import region_label
from diagnosis.selectors.proportions import Share

URGENCIES: Final = {
    **{priority.name.lower(): priority.label for priority in Priority},
    "all": gettext_lazy("All"),
}
VERDICTS: Final = {
    **{str(verdict.value): verdict.label for verdict in Verdict},
    "none": gettext_lazy("No result yet"),
}
MEASURES: Final = {
    "report": gettext_lazy("Arrival to signed report"),
    "waiting": gettext_lazy("Waiting now"),
    "ai": gettext_lazy("Image to AI result"),
}
SHORT_MEASURES: Final = {
    "report": gettext_lazy("Signed report"),
    "waiting": gettext_lazy("Waiting now"),
    "ai": gettext_lazy("AI result"),
}
DRIFTING: Final = {
    "probability": gettext_lazy("Probability"),
    "region": gettext_lazy("Body region"),
    "verdict": gettext_lazy("Verdict"),
    "gate": gettext_lazy("Image quality"),
}
KINDS: Final = {
    "analysis": gettext_lazy("Analysis"),
    "delivery": gettext_lazy("Delivery"),
}
NOTHING: Final = "\N{EN DASH}"


def number(value: float, places: int = 0) -> str:
    """Return a number, rounded, as the reader's language writes it."""
    return str(formats.number_format(round(value, places), places, force_grouping=True))


def percent(value: float | None, places: int = 0) -> str:
    """Return a share in percent, a dash for none."""
    return NOTHING if value is None else f"{number(100 * value, places)} %"


def rate(share: Share) -> str:
    """Return a rate with its interval, or the bare counts of too few cases."""
    counted = _("%(hits)s of %(n)s") % {"hits": number(share.hits), "n": number(share.count)}
    if not share.is_enough:
        return counted
    low, high = share.interval
    span = f"{number(100 * low)}\N{EN DASH}{percent(high)}"
    return f"{percent(share.value)} ({span}; {counted})"


def minutes(value: float | None) -> str:
    """Return a length of time in the two units that matter."""
    if value is None:
        return NOTHING
    whole = round(value)
    if value < 2:
        return _("%(n)s s") % {"n": number(value * 60)}
    if whole < 120:
        return _("%(n)s min") % {"n": number(whole)}
    if whole < 48 * 60:
        return _("%(h)s h %(m)s min") % {"h": whole // 60, "m": whole % 60}
    return _("%(d)s d %(h)s h") % {"d": whole // 1440, "h": whole % 1440 // 60}


def step_name(first: date, step: str) -> str:
    """Return what a day, week or month is called on an axis."""
    if step == "month":
        return str(formats.date_format(first, "M Y"))
    return str(formats.date_format(first, "j M"))


def group_name(group: str, name: str) -> str:
    """Return what a group of compared studies is called."""
    if group == "all":
        return _("All studies")
    if group == "model":
        return _("Several models") if name == "*" else (name or _("Unknown model"))
    return region_label(name) if name else _("Region unknown")


def studies(count: int) -> str:
    """Return a count of studies in words."""
    return ngettext("%(n)s study", "%(n)s studies", count) % {"n": number(count)}
