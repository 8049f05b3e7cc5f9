"""Proof that the tenancy matrix would notice a missing filter: one JSON line with the figures.

    make tenancy-mutants

Row-level security is switched off, and each place that keeps to one clinic (``for_user``,
``counted_for``, ``filter(clinic…)``) is taken out in turn: a stranger must see or reach what is not
theirs, or get another answer about their own things than before (a count, a rule, an order of
rows). A place where nothing changes is printed with its line: there the rows are bound by their
study, report or person, too, or the two clinics do not differ enough. Fewer than ``NOTICED`` fail.
"""

import json
import linecache
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.apps import apps
from django.db import connections
from django.db.models import QuerySet
from psycopg2 import sql

from diagnosis.models.base import ClinicOwnedQuerySet
from tests.support.database import empty_all_tables
from tests.support.matrix import Matrix, ask, matrix, plain

pytestmark = pytest.mark.timeout(7200)
ROOT = Path(__file__).resolve().parents[2]
OURS = (str(ROOT / "accounts"), str(ROOT / "diagnosis"))
BASE = str(ROOT / "diagnosis" / "models" / "base.py")
NAMES = {"clinic", "clinic_id"}
NOTICED = 0.55  # of the places; 74 of 123 were
Asked = tuple[Any, str, Any, bool]  # who, how, what; whether of the other clinic
Told = tuple[int, bytes]


def place() -> str:
    """Return which line of ours is asking."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(OURS) and name != BASE:
            return f"{Path(name).relative_to(ROOT)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


class Filters:
    """Sees each place that keeps to one clinic, and takes one of them out."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.reached: set[str] = set()
        self.without = ""
        counted_for, narrowed = ClinicOwnedQuerySet.counted_for, QuerySet._filter_or_exclude

        def counted_for_seen(rows: Any, user: Any) -> Any:
            where = place()
            self.reached.add(where)
            return rows.all() if where == self.without else counted_for(rows, user)

        def narrowed_seen(rows: Any, negate: bool, args: Any, kwargs: Any) -> Any:  # noqa: FBT001
            if not negate and NAMES & kwargs.keys():
                where = place()
                if where:
                    self.reached.add(where)
                if where and where == self.without:
                    kwargs = {name: kwargs[name] for name in kwargs if name not in NAMES}
            return narrowed(rows, negate, args, kwargs)

        patch.setattr(ClinicOwnedQuerySet, "counted_for", counted_for_seen)
        patch.setattr(QuerySet, "_filter_or_exclude", narrowed_seen)


@pytest.fixture
def everybody(django_db_setup: None, django_db_blocker: Any) -> Iterator[Matrix]:
    """Two clinics and those who ask; no transaction stays open, it would hold the tables."""
    with django_db_blocker.unblock():
        made = matrix()
        yield made
        made.close()
        empty_all_tables()


def walk(everybody: Matrix) -> Iterator[Asked]:
    """Yield who asks what: people of one clinic, for their own and for what is not theirs."""
    for route, method in everybody.cases:
        if method == "head":
            continue
        for who in everybody.trespassers(method, route):
            if who.name in {"doctor B", "admin B"}:
                yield who, method, route, True
                yield who, method, route, False


def told(everybody: Matrix, request: Asked) -> Told:
    """Ask; return what cannot differ from one time to the next."""
    who, method, route, foreign = request
    if foreign:
        everybody.trespass(who, method, route)
        return 0, b""
    answer = ask(who, method, route, who.side.ids)
    return answer.status, plain(answer.body)


def test_each_filter_taken_out_is_noticed(
    everybody: Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the second wall down, the first one is proved place by place."""
    filters = Filters(monkeypatch)
    asked_at: dict[str, list[int]] = defaultdict(list)
    requests = list(walk(everybody))
    noticed, missed = [], []
    _row_security(on=False)
    try:
        before: list[Told | None] = []
        for number, request in enumerate(requests):
            filters.reached.clear()
            first = told(everybody, request)
            before.append(first if told(everybody, request) == first else None)
            for where in filters.reached - {""}:
                asked_at[where].append(number)
        assert everybody.figures.leaks == []  # all filters alone keep it

        def is_noticed(numbers: list[int]) -> bool:
            everybody.figures.leaks.clear()
            return any(
                told(everybody, requests[number]) != before[number] or everybody.figures.leaks
                for number in numbers
                if before[number] is not None
            )

        for where, numbers in sorted(asked_at.items()):
            filters.without = where
            (noticed if is_noticed(numbers) else missed).append(where)
    finally:
        filters.without = ""
        everybody.figures.leaks.clear()
        _row_security(on=True)
    figures = {"figure": "filters taken out", "places": len(asked_at), "noticed": len(noticed)}
    lines = [f"{where} {_line(where)}" for where in missed]
    sys.__stdout__.write(json.dumps(figures | {"not_noticed": lines}) + "\n")
    assert len(noticed) >= NOTICED * len(asked_at)


def _line(where: str) -> str:
    name, _, number = where.rpartition(":")
    return linecache.getline(str(ROOT / name), int(number)).strip()


def _row_security(*, on: bool) -> None:
    """Switch it as the owner, on a connection of its own that commits at once."""
    parameters = connections["owner"].get_connection_params()
    kept = {
        k: v for k, v in parameters.items() if k not in {"cursor_factory", "server_side_binding"}
    }
    owner = psycopg2.connect(**kept)
    owner.autocommit = True
    word = sql.SQL("ENABLE" if on else "DISABLE")
    try:
        with owner.cursor() as cursor:
            cursor.execute("SET lock_timeout = '15s'")
            for model in apps.get_models():
                table = model._meta.db_table
                cursor.execute(
                    "SELECT 1 FROM pg_class WHERE relname = %s AND relforcerowsecurity", [table]
                )
                if cursor.fetchone():
                    statement = sql.SQL("ALTER TABLE {} {} ROW LEVEL SECURITY")
                    cursor.execute(statement.format(sql.Identifier(table), word))
    finally:
        owner.close()
