"""A session ends when nobody uses it, and after a working day whatever happens."""

import datetime
import time

import pytest
import time_machine
from django.test import Client

from accounts.middleware import SESSION_KEY, _note_activity
from accounts.models import AuditEvent
from tests.factories import ApiTokenFactory, MembershipFactory

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


def test_a_part_of_a_page_leads_to_sign_in_as_a_whole(client, clock):
    clock.shift(1801)
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/tokens/?a=b"}
    answer = client.get("/tokens/", headers=headers)
    assert answer.status_code == 200
    assert answer["HX-Redirect"] == "/accounts/login/?next=%2Ftokens%2F%3Fa%3Db"
    headers["HX-Current-URL"] = "https://evil.example/x"
    answer = client.get("/tokens/", headers=headers)
    assert answer["HX-Redirect"] == "/accounts/login/?next=%2F"


def test_pages_do_not_stay_in_the_browser(client):
    assert client.get("/clinic/switch/")["Cache-Control"] == "private, no-store"


def test_a_token_beside_an_old_session_does_not_touch_it(client, clock, doctor):
    secret = ApiTokenFactory(membership=doctor).secret
    clock.shift(1801)
    client.get("/api/v1/me/", headers={"authorization": f"Token {secret}"})
    assert not AuditEvent.objects.filter(action="auth.session_expired").exists()


def test_noting_activity_does_not_undo_a_choice_made_meanwhile(client, clock, doctor):
    other = MembershipFactory(user=doctor.user, clinic__name="Zebra")
    clock.shift(100)
    late = client.session  # what a slow request still holds
    client.post("/clinic/switch/", {"membership": other.pk})
    _note_activity(late, int(time.time()))
    assert client.session[SESSION_KEY] == str(other.clinic_id)
    client.logout()
    _note_activity(late, int(time.time()))
    assert not client.session.keys()
