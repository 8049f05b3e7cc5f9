"""Everybody asks for everything: routes of the URLconf, by method, by the ten principals.

What opens to whom is ``tenancy_table.txt``; a route without a line fails. Texts and files of two
clinics are marked, and no answer to anybody may hold the other clinic's mark. The long run, with
every principal everywhere, is ``make tenancy``.
"""

import os
from collections.abc import Iterator

import pytest
from django.test import Client

from diagnosis.models.base import ClinicOwnedQuerySet
from tests.support.database import empty_all_tables
from tests.support.matrix import Matrix, matrix
from tests.support.routes import ROUTES
from tests.support.tenancy import TABLE, is_doubtful, may

pytestmark = [
    pytest.mark.django_db(databases=["default", "owner"]),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def _everybody(django_db_setup, django_db_blocker) -> Iterator[Matrix]:
    """Two clinics and ten principals, committed; each request is undone by itself."""
    with django_db_blocker.unblock():
        made = matrix(whole=os.environ.get("TENANCY") == "all")
        yield made
        made.close()
        empty_all_tables()


@pytest.fixture
def everybody(_everybody: Matrix) -> Matrix:
    _everybody.figures.leaks.clear()
    return _everybody


def test_every_route_has_a_line_and_every_line_a_route(everybody):
    assert set(TABLE) == {route.name for route in ROUTES}


def test_everybody_gets_what_the_table_says(everybody):
    """Nobody else gets in, and somebody of those who may does."""
    wrong = []
    for route, method in everybody.cases:
        opened = {
            who.name: everybody.ask(who, method, route).is_open
            for who in everybody.asking_for_own(method, route)
        }
        allowed = {name for name in opened if may(name, method, route)}
        entered = {name for name, is_open in opened.items() if is_open}
        wrong += [f"{method} {route.name}: {name} gets in" for name in entered - allowed]
        if allowed and not entered and not is_doubtful(method, route):
            wrong.append(f"{method} {route.name}: nobody gets in")
    assert "\n".join(wrong) == ""
    assert "\n".join(everybody.figures.leaks) == ""


def test_nobody_sees_or_reaches_what_is_of_another_clinic(everybody):
    for route, method in everybody.cases:
        for who in everybody.trespassers(method, route):
            everybody.trespass(who, method, route)
    assert "\n".join(everybody.figures.leaks) == ""


def test_without_any_filter_the_database_shows_nothing_foreign(everybody, monkeypatch):
    """The second wall by itself: every selector returns whatever the database gives."""
    monkeypatch.setattr(ClinicOwnedQuerySet, "for_user", lambda rows, _user: rows.all())
    for route, method in everybody.cases:
        if method == "get" and not route.name.startswith("admin:"):
            for who in everybody.trespassers(method, route):
                everybody.trespass(who, method, route, alike=False)
    assert "\n".join(everybody.figures.leaks) == ""


def test_the_marks_are_where_patients_are(everybody):
    """The search for marks would be worth nothing if nobody ever saw one."""
    route = next(route for route in ROUTES if route.name == "api:patient-detail")
    own = everybody.ask(everybody.by_name("doctor"), "get", route)
    assert everybody.a.mark in own.text().decode()
    assert everybody.a.unmarked == set()


def test_every_answer_carries_its_headers(everybody):
    """Of all answers to all requests of the tests above."""
    assert everybody.figures.requests > 1000
    assert "\n".join(sorted(everybody.figures.headers)) == ""


def test_no_answer_repeats_the_request():
    secret = "only-the-sender-knows"
    for address in ("/", "/api/v1/me/", "/healthz"):
        answer = Client(raise_request_exception=False).generic(
            "TRACE", address, headers={"X-Secret": secret}
        )
        assert secret.encode() not in answer.content
