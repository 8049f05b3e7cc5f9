"""A session ends when nobody uses it, and after a working day whatever happens."""

import datetime

import pytest
import time_machine
from django.test import Client

from accounts.models import AuditEvent

pytestmark = pytest.mark.django_db
START = datetime.datetime(2026, 11, 20, 8, 0, tzinfo=datetime.UTC)


@pytest.fixture
def clock():
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def client(clock, doctor, settings) -> Client:
    settings.SESSION_IDLE_SECONDS, settings.SESSION_ABSOLUTE_SECONDS = 1800, 12 * 3600
    client = Client()
    client.force_login(doctor.user)
    assert is_in(client)
    return client


def is_in(client: Client, **headers) -> bool:
    return client.get("/tokens/", headers=headers).status_code == 200


def test_an_idle_session_ends_and_that_is_audited(client, clock, doctor):
    clock.shift(1801)
    assert not is_in(client)
    assert not is_in(client)
    event = AuditEvent.objects.get(action="auth.session_expired")
    assert event.actor == doctor.user


def test_use_keeps_a_session(client, clock):
    for _ in range(4):
        clock.shift(1700)
        assert is_in(client)


def test_a_screen_that_refreshes_itself_does_not(client, clock):
    clock.shift(1000)
    assert is_in(client, **{"X-Background": "true"})
    clock.shift(1000)
    assert not is_in(client, **{"X-Background": "true"})


def test_no_session_outlives_the_working_day(client, clock):
    for _ in range(26):
        clock.shift(1700)
        is_in(client)
    assert not is_in(client)
