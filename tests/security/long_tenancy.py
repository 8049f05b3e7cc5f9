"""The whole tenancy matrix, and proof that it would notice: one JSON line a figure.

    make tenancy

First every principal asks everywhere. Then row-level security is switched off and each place that
keeps to one clinic (``for_user``, ``filter(clinic…)``) is taken out in turn: somebody must see or
reach what is not theirs. A place where nobody does is printed; where rows are also bound by their
study, report or image, which is of the own clinic, taking the filter out changes nothing.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import connections
from django.db.models import QuerySet

from diagnosis.models.base import ClinicOwnedQuerySet
from tests.support.database import empty_all_tables
from tests.support.matrix import Matrix, matrix

pytestmark = [
    pytest.mark.django_db(databases=["default", "owner"]),
    pytest.mark.timeout(7200),
]
ROOT = Path(__file__).resolve().parents[2]
OURS = (str(ROOT / "accounts"), str(ROOT / "diagnosis"))
BASE = str(ROOT / "diagnosis" / "models" / "base.py")
NAMES = {"clinic", "clinic_id"}


def say(**figures: Any) -> None:
    """Print one line of JSON."""
    sys.__stdout__.write(json.dumps(figures) + "\n")
    sys.__stdout__.flush()


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
        for_user, narrowed = ClinicOwnedQuerySet.for_user, QuerySet._filter_or_exclude

        def for_user_seen(rows: Any, user: Any) -> Any:
            where = place()
            self.reached.add(where)
            return rows.all() if where == self.without else for_user(rows, user)

        def narrowed_seen(rows: Any, negate: bool, args: Any, kwargs: Any) -> Any:  # noqa: FBT001
            if not negate and NAMES & kwargs.keys():
                where = place()
                if where:
                    self.reached.add(where)
                if where and where == self.without:
                    kwargs = {name: kwargs[name] for name in kwargs if name not in NAMES}
            return narrowed(rows, negate, args, kwargs)

        patch.setattr(ClinicOwnedQuerySet, "for_user", for_user_seen)
        patch.setattr(QuerySet, "_filter_or_exclude", narrowed_seen)


@pytest.fixture(scope="module")
def everybody(django_db_setup: None, django_db_blocker: Any) -> Iterator[Matrix]:
    """Two clinics and those who ask."""
    with django_db_blocker.unblock():
        made = matrix(whole=True)
        yield made
        made.close()
        empty_all_tables()


def walk(everybody: Matrix) -> Iterator[tuple[Any, ...]]:
    """Yield who asks what of whom."""
    for route, method in everybody.cases:
        for who in everybody.trespassers(method, route):
            yield who, method, route


def test_the_whole_matrix(everybody: Matrix) -> None:
    """Every principal, everywhere."""
    for route, method in everybody.cases:
        for who in everybody.asking_for_own(method, route):
            everybody.ask(who, method, route)
    for who, method, route in walk(everybody):
        everybody.trespass(who, method, route)
    figures = everybody.figures
    say(figure="tenancy matrix", routes=figures.routes, principals=len(everybody.principals),
        requests=figures.requests, leaks=len(figures.leaks), places=figures.leaks[:20])  # fmt: skip
    assert not figures.leaks


def test_each_filter_taken_out_is_noticed(
    everybody: Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the second wall down, the first one is proved place by place."""
    filters = Filters(monkeypatch)
    asked_at = defaultdict(list)
    for who, method, route in walk(everybody):
        if who.name in {"doctor B", "admin B"}:
            filters.reached.clear()
            everybody.trespass(who, method, route)
            for where in filters.reached:
                asked_at[where].append((who, method, route))
    _row_security(on=False)
    try:
        noticed, missed = [], []
        for where, requests in sorted(asked_at.items()):
            filters.without = where
            everybody.figures.leaks.clear()
            for who, method, route in requests:
                everybody.trespass(who, method, route, alike=method != "head")
                if everybody.figures.leaks:
                    break
            (noticed if everybody.figures.leaks else missed).append(where)
    finally:
        filters.without = ""
        everybody.figures.leaks.clear()
        _row_security(on=True)
    say(figure="filters taken out", places=len(asked_at), noticed=len(noticed), missed=missed)
    assert len(noticed) > len(missed)


def _row_security(*, on: bool) -> None:
    word = "ENABLE" if on else "DISABLE"
    with connections["owner"].cursor() as cursor:
        for model in apps.get_models():
            table = model._meta.db_table
            cursor.execute("SELECT relforcerowsecurity FROM pg_class WHERE relname = %s", [table])
            row = cursor.fetchone()
            if row and row[0]:
                cursor.execute(f"ALTER TABLE {table} {word} ROW LEVEL SECURITY")
