"""Search parameters: what a value means as a condition on rows."""

import re
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from diagnosis.api.fhir.errors import BadSearch
from diagnosis.interop.fhir_base import FhirContext

NOTHING = Q(pk__in=[])
EVERYTHING = Q(pk__isnull=False)  # Q() beside an "or" is nothing
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6})\d*)?)?"
    r"(Z|[+-]\d\d:\d\d)?)?)?)?"
)
_PREFIXES = ("eq", "ne", "lt", "gt", "ge", "le", "sa", "eb", "ap")
Condition = Callable[[FhirContext, str, str], Q]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its FHIR type, what it does, and what its documentation adds."""

    kind: str
    condition: Condition
    documentation: str = ""

    def match(self, context: FhirContext, modifier: str, values: list[str]) -> Q:
        """Return rows that fit one of the values.

        Raises:
            BadSearch: a value or modifier cannot be understood.
        """
        found = NOTHING
        for value in values:
            found |= self.condition(context, modifier, value)
        return found


def token(build: Callable[[FhirContext, str | None, str], Q], documentation: str = "") -> Parameter:
    """Return a token; ``build`` gets the system (``None`` when none was named) and the code."""

    def condition(context: FhirContext, modifier: str, value: str) -> Q:
        if modifier not in {"", "not"}:
            raise BadSearch(f"The modifier :{modifier} is not supported.")
        system, bar, code = value.rpartition("|")
        found = build(context, system if bar else None, code)
        return ~found if modifier == "not" else found

    return Parameter("token", condition, documentation)


def codes(values: dict[str, Q]) -> Parameter:
    """Return a token of a fixed set; a code outside of it is an error."""

    def build(_context: FhirContext, _system: str | None, code: str) -> Q:
        if code not in values:
            raise BadSearch(f"Use one of {', '.join(values)}.")
        return values[code]

    return token(build)


def identifier(numbers: dict[str, str], *, exact: bool = True) -> Parameter:
    """Return the clinic's own numbers: kind of number (see ``identifier_system``) to column."""

    def build(context: FhirContext, system: str | None, code: str) -> Q:
        found = NOTHING
        for kind, column in numbers.items():
            if system in {None, context.identifier_system(kind), context.site_system(kind)}:
                found |= Q(**{column if exact else f"{column}__iexact": code})
        return found

    return token(build)


def reference(kind: str, column: str, documentation: str = "") -> Parameter:
    """Return a reference to one resource of ``kind``: by id, relative or absolute address."""

    def condition(context: FhirContext, modifier: str, value: str) -> Q:
        if modifier not in {"", kind}:
            raise BadSearch(f"The modifier :{modifier} is not supported.")
        key = value.removeprefix(f"{context.fhir_url}/").removeprefix(f"{kind}/")
        try:
            return Q(**{column: UUID(key)})
        except ValueError:
            if "/" in key:
                raise BadSearch(f"Give a reference to a {kind}.") from None
            return NOTHING

    return Parameter("reference", condition, documentation)


def chained_identifier(kind: str, column: str) -> Parameter:
    """Return ``patient.identifier``: one number of the resource that is referred to."""
    return identifier({kind: column})


def words(*columns: str) -> Parameter:
    """Return a string: the beginning of one of the columns, whatever its case."""

    def condition(_context: FhirContext, modifier: str, value: str) -> Q:
        lookups = {"": "istartswith", "exact": "exact", "contains": "icontains"}
        if modifier not in lookups:
            raise BadSearch(f"The modifier :{modifier} is not supported.")
        found = NOTHING
        for column in columns:
            found |= Q(**{f"{column}__{lookups[modifier]}": value})
        return found

    return Parameter("string", condition)


def moment(column: str, documentation: str = "") -> Parameter:
    """Return a date parameter over a column of exact times."""
    return Parameter("date", _dates(column, days=False), documentation)


def day(column: str) -> Parameter:
    """Return a date parameter over a column of days."""
    return Parameter("date", _dates(column, days=True))


def _dates(column: str, *, days: bool) -> Condition:
    def condition(_context: FhirContext, modifier: str, value: str) -> Q:
        if modifier == "missing":
            if value not in {"true", "false"}:
                raise BadSearch("Use :missing=true or :missing=false.")
            return Q(**{f"{column}__isnull": value == "true"})
        if modifier:
            raise BadSearch(f"The modifier :{modifier} is not supported.")
        prefix = value[:2] if value[:2] in _PREFIXES else "eq"
        low, high = _range(value.removeprefix(prefix))
        if prefix == "ap":
            low, high = _approximately(low, high)
        return _compared(column, prefix, low, high, days=days)

    return condition


def _compared(column: str, prefix: str, low: datetime, high: datetime, *, days: bool) -> Q:
    """Return the rows whose point (or day) lies as asked to the half-open range."""
    begin, end = (low.date(), high.date()) if days else (low, high)
    if days and high.time() != time.min:
        raise BadSearch("This is a date without time.")
    within = Q(**{f"{column}__gte": begin, f"{column}__lt": end})
    return {
        "eq": within,
        "ap": within,
        "ne": ~within & Q(**{f"{column}__isnull": False}),
        "lt": Q(**{f"{column}__lt": begin}),
        "eb": Q(**{f"{column}__lt": begin}),
        "gt": Q(**{f"{column}__gte": end}),
        "sa": Q(**{f"{column}__gte": end}),
        "ge": Q(**{f"{column}__gte": begin}),
        "le": Q(**{f"{column}__lt": end}),
    }[prefix]


def _range(text: str) -> tuple[datetime, datetime]:
    """Return begin and end of what a partial date covers.

    Without an offset a time is in UTC, as all times that this server tells.
    """
    found = _DATE.fullmatch(text)
    if found is None:
        raise BadSearch("Dates are written as 2026, 2026-11, 2026-11-20 or 2026-11-20T12:30:00Z.")
    year, month, number, hour, minute, second, fraction, offset = found.groups()
    try:
        first = date(int(year), int(month or 1), int(number or 1))
        if hour is None:
            return _midnight(first), _midnight(_next(first, month, number))
        stamp = f"{first}T{hour}:{minute}:{second or '00'}.{(fraction or '0').ljust(6, '0')}"
        low = datetime.fromisoformat(stamp + (offset or "Z")).astimezone(UTC)
        step = timedelta(minutes=1) if second is None else timedelta(seconds=1)
        if fraction:
            step = timedelta(microseconds=10 ** (6 - len(fraction)))
        return low, low + step
    except (ValueError, OverflowError) as error:
        raise BadSearch("There is no such date.") from error


def _next(first: date, month: str | None, number: str | None) -> date:
    if number:
        return first + timedelta(days=1)
    if month:
        return first + timedelta(days=monthrange(first.year, first.month)[1])
    return date(first.year + 1, 1, 1)


def _approximately(low: datetime, high: datetime) -> tuple[datetime, datetime]:
    """Widen by a tenth of the distance to now, by a day at least, to whole days."""
    slack = max(abs(timezone.now() - low) / 10, timedelta(days=1))
    try:
        return _midnight((low - slack).date()), _midnight((high + slack).date())
    except OverflowError as error:
        raise BadSearch("There is no such date.") from error


def _midnight(value: date) -> datetime:
    return datetime.combine(value, time.min, tzinfo=UTC)
