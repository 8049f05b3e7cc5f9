"""A span of whole days by the clinic's clock, and the steps that a chart of it has."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

DEFAULT_DAYS: Final = 30
LONGEST_DAYS: Final = 5 * 366
_DAYS_BY_DAY, _DAYS_BY_WEEK = 31, 190


@dataclass(frozen=True, slots=True)
class Period:
    """From the first moment of ``first`` to the last moment of ``last``, in the clinic's zone."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def start(self) -> datetime:
        """The first moment that belongs to it."""
        return datetime.combine(self.first, time.min, tzinfo=self.zone)

    @property
    def end(self) -> datetime:
        """The first moment that no longer belongs to it."""
        return datetime.combine(self.last + timedelta(days=1), time.min, tzinfo=self.zone)

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.last - self.first).days + 1

    @property
    def step(self) -> str:
        """``day``, ``week`` or ``month``: few enough steps to be read."""
        if self.days <= _DAYS_BY_DAY:
            return "day"
        return "week" if self.days <= _DAYS_BY_WEEK else "month"

    def steps(self) -> list[date]:
        """Return the first day of each step; the first one may begin before the period."""
        steps, day = [], self._step_of(self.first)
        while day <= self.last:
            steps.append(day)
            day = self._next(day)
        return steps

    def _step_of(self, day: date) -> date:
        if self.step == "week":
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self.step == "month" else day

    def _next(self, day: date) -> date:
        if self.step == "month":
            return (day + timedelta(days=31)).replace(day=1)
        return day + timedelta(days=7 if self.step == "week" else 1)


def span_error(first: date | None, last: date | None) -> str:
    """Return what is wrong with two chosen days, ``""`` when they can be used."""
    if (first is None) != (last is None):
        return _("Give both days, or none.")
    if first is None or last is None:
        return ""
    if first > last:
        return _("This day lies before the first one.")
    return _("Choose at most five years.") if (last - first).days >= LONGEST_DAYS else ""


def default_period(*, now: datetime, zone: ZoneInfo) -> Period:
    """Return the last thirty days of the clinic's calendar, today included."""
    today = now.astimezone(zone).date()
    return Period(today - timedelta(days=DEFAULT_DAYS - 1), today, zone)
