"""Searches: what was asked, which rows fit, which page of them, and the bundle that tells it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from cryptography.fernet import InvalidToken
from django.core.exceptions import ValidationError
from django.db.models import IntegerField, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast
from django.http import QueryDict
from django.utils import timezone
from fhir.resources.R4B.resource import Resource

from accounts.policy import require
from diagnosis.api.fhir.errors import BadSearch
from diagnosis.api.fhir.reader import Reader
from diagnosis.api.fhir.resources import RESOURCES, Served, Source
from diagnosis.interop.fhir import fhir_search_bundle
from diagnosis.interop.fhir_base import FhirContext
from fracture_site.common.sealing import cipher

PAGE, MAX_PAGE = 50, 200
MAX_VALUES = 100
_PURPOSE = "page of a FHIR search:"
_IGNORED = frozenset({"_format", "_pretty"})


@dataclass(frozen=True, slots=True)
class Search:
    """What was asked, in the words of the client; ``after`` is where the page before ended."""

    served: Served
    asked: tuple[tuple[str, str], ...]
    after: tuple[datetime, str] | None = None

    @property
    def count(self) -> int:
        """How many resources a page has; 0 counts only."""
        texts = [value for name, value in self.asked if name == "_count"]
        if self._last("_summary") == "count":
            return 0
        if not texts:
            return PAGE
        if not texts[-1].isdecimal() or len(texts[-1]) > 9:
            raise BadSearch("_count is a number.")
        return min(int(texts[-1]), MAX_PAGE)

    @property
    def includes(self) -> list[tuple[str, str]]:
        """Return element and type of each reference whose target comes along."""
        found = []
        for value in (value for name, value in self.asked if name == "_include"):
            kind, _colon, rest = value.partition(":")
            known = self.served.includes.get(rest.partition(":")[0])
            if kind != self.served.kind or known is None:
                names = ", ".join(f"{self.served.kind}:{name}" for name in self.served.includes)
                raise BadSearch(f"_include takes {names or 'nothing'} here.")
            found.append(known)
        return list(dict.fromkeys(found))

    @property
    def looks_at_patients(self) -> bool:
        """Whether rows are chosen by what their patient's record says."""
        chains = ("patient.", "subject.")
        return any(name.startswith(chains) for name, _value in self.asked)

    def condition(self, context: FhirContext, source: Source) -> Q:
        """Return the rows of one source that fit all that was asked."""
        found = Q()
        for name, text in self.asked:
            if name in {"_count", "_include", "_summary", "_total"}:
                continue
            plain, _colon, modifier = name.partition(":")
            parameter = source.search.get(plain)
            if parameter is None:
                known = ", ".join(sorted(source.search))
                raise BadSearch(f"Known parameters are {known}.")
            found &= parameter.match(context, modifier, _values(text))
        return found

    def _last(self, name: str) -> str:
        return next((value for key, value in reversed(self.asked) if key == name), "")

    def check(self) -> None:
        """Refuse what is not done, rather than to answer something else.

        Raises:
            BadSearch: a value of ``_summary`` or ``_total`` that is not supported.
        """
        if self._last("_summary") not in {"", "count", "false"}:
            raise BadSearch("_summary is count or false.")
        if self._last("_total") not in {"", "none", "estimate", "accurate"}:
            raise BadSearch("_total is none, estimate or accurate.")


@dataclass(frozen=True, slots=True)
class Page:
    """One page: resources with the patients they tell of, how many fit in all, what follows."""

    resources: list[Resource]
    included: list[Resource]
    patients: set[UUID]
    total: int
    next_token: str


def search_asked(served: Served, query: QueryDict) -> Search:
    """Return what a request asks for.

    Raises:
        BadSearch: a page token of another server or type, or something that is not supported.
    """
    page = query.get("_page")
    if page is None:
        asked = tuple(
            (name, value)
            for name, values in query.lists()
            for value in values
            if name not in _IGNORED and value != ""
        )
        search = Search(served, asked)
    else:
        search = _continued(served, page)
    search.check()
    return search


def search_page(context: FhirContext, reader: Reader, search: Search) -> Page:
    """Return one page, newest first; the number of queries does not depend on its rows.

    What ``reader`` may not see is neither found nor counted nor included, whatever was asked and
    whoever was told the address of a page.
    """
    if search.looks_at_patients:
        reader.require("Patient", "s")
    sources = [
        reader.rows(search.served, source, "s").filter(search.condition(context, source))
        for source in search.served.sources
    ]
    if _joins(search):
        sources = [rows.distinct() for rows in sources]
    total = sum(rows.count() for rows in sources)
    count = search.count
    if count == 0:
        return Page([], [], set(), total, "")
    keys = _keys(sources, search.after, count + 1)
    more, keys = len(keys) > count, keys[:count]
    resources, patients = _built(context, reader, search.served, [key[1:] for key in keys])
    return Page(
        resources=resources,
        included=_included(context, reader, search, resources),
        patients=patients,
        total=total,
        next_token=_token(search, keys[-1]) if more else "",
    )


def search_bundle(context: FhirContext, search: Search, page: Page, *, private: bool) -> Resource:
    """Return the page as a bundle; a ``private`` search leaves its words out of its address."""
    address = f"{context.fhir_url}/{search.served.kind}"
    words = "" if private or search.after else urlencode(search.asked)
    links = {"self": f"{address}?{words}" if words else address}
    if page.next_token:
        links["next"] = f"{address}?{urlencode({'_page': page.next_token})}"
    return fhir_search_bundle(
        context,
        page.resources,
        total=page.total,
        at=timezone.now(),
        links=links,
        included=page.included,
    )


def one(reader: Reader, served: Served, pk: str) -> tuple[Source, Any] | None:
    """Return the row with this id, whichever source has it, if it is for ``reader``."""
    for source in served.sources:
        try:
            row = reader.rows(served, source, "r").filter(pk=pk).first()
        except (ValidationError, ValueError):
            return None
        if row is not None:
            return source, row
    return None


def _joins(search: Search) -> bool:
    """Return whether a parameter may find a row more than once."""
    joining = {"identifier", "target", "basedon"}
    return any(name.partition(":")[0] in joining for name, _value in search.asked)


def _keys(
    sources: Sequence[QuerySet[Any]], after: tuple[datetime, str] | None, count: int
) -> list[tuple[datetime, str, int]]:
    """Return time, id and number of the source of the next rows, all sources in one order."""
    found = []
    for number, source in enumerate(sources):
        rows = source.annotate(
            fhir_key=Cast("pk", TextField()), fhir_source=Value(number, IntegerField())
        )
        if after is not None:
            at, key = after
            rows = rows.filter(Q(fhir_at__lt=at) | Q(fhir_at=at, fhir_key__lt=key))
        found.append(rows.order_by().values_list("fhir_at", "fhir_key", "fhir_source"))
    merged = found[0].union(*found[1:], all=True) if len(found) > 1 else found[0]
    return list(merged.order_by("-fhir_at", "-fhir_key")[:count])


def _built(
    context: FhirContext, reader: Reader, served: Served, keys: Sequence[tuple[str, int]]
) -> tuple[list[Resource], set[UUID]]:
    """Return the resources in the order of their keys."""
    made: dict[str, Resource] = {}
    patients: set[UUID] = set()
    for number, source in enumerate(served.sources):
        wanted = [key for key, where in keys if where == number]
        rows = list(reader.rows(served, source, "s").filter(pk__in=wanted)) if wanted else []
        patients.update(filter(None, map(source.patient, rows)))
        for row, resource in zip(rows, source.build(context, reader.user, rows), strict=True):
            made[str(row.pk)] = resource
    return [made[key] for key, _where in keys if key in made], patients


def _included(
    context: FhirContext, reader: Reader, search: Search, resources: Sequence[Resource]
) -> list[Resource]:
    wanted: dict[str, set[str]] = {}
    for element, kind in search.includes:
        for resource in resources:
            wanted.setdefault(kind, set()).update(_references(resource, element, kind))
    shown = {(resource.get_resource_type(), resource.id) for resource in resources}
    found: list[Resource] = []
    for kind, ids in sorted(wanted.items()):
        served = RESOURCES[kind]
        require(user=reader.user, action=served.action, clinic_id=context.clinic_id)
        reader.require(kind, "rs")
        for source in served.sources:
            rows = list(reader.rows(served, source, "rs").filter(pk__in=ids))
            found += source.build(context, reader.user, rows) if rows else []
    return [each for each in found if (each.get_resource_type(), each.id) not in shown]


def _references(resource: Resource, element: str, kind: str) -> list[str]:
    value = getattr(resource, element, None) or []
    told = value if isinstance(value, list) else [value]
    names = [(each.reference or "").partition("/") for each in told]
    return [key for named, _slash, key in names if named == kind]


def _values(text: str) -> list[str]:
    """Return the alternatives of a value; a backslash makes a comma an ordinary character."""
    parts = text.replace("\\\\", "\x00").replace("\\,", "\x01").split(",")
    if len(parts) > MAX_VALUES:
        raise BadSearch(f"At most {MAX_VALUES} alternatives.")
    back = str.maketrans({"\x00": "\\", "\x01": ","})
    return [part.translate(back).replace("\\|", "|").replace("\\$", "$") for part in parts]


def _token(search: Search, last: tuple[datetime, str, int]) -> str:
    """Return all that the next page needs, sealed: addresses stand in logs."""
    at, key, _source = last
    told = [search.served.kind, search.asked, at.isoformat(), key]
    return cipher(_PURPOSE).encrypt(json.dumps(told).encode()).decode()


def _continued(served: Served, page: str) -> Search:
    try:
        kind, asked, at, key = json.loads(cipher(_PURPOSE).decrypt(page.encode()))
    except (InvalidToken, ValueError) as error:
        raise BadSearch("This page was not told by this server.") from error
    if kind != served.kind:
        raise BadSearch("This page is of another type.")
    words = tuple((str(name), str(value)) for name, value in asked)
    return Search(served, words, (datetime.fromisoformat(at), str(key)))
