"""People of one clinic, a stranger of another, and a way to sign in."""

from collections.abc import Callable

import pytest
import time_machine
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Membership, User
from tests.factories import PASSWORD, MembershipFactory


@pytest.fixture(autouse=True)
def _no_remembered_attempts():
    """Rate limits live in Redis and would outlast the test."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def admin(db) -> Membership:
    return MembershipFactory(clinic_admin=True)


@pytest.fixture
def doctor(admin) -> Membership:
    return MembershipFactory(doctor=True, clinic=admin.clinic)


@pytest.fixture
def stranger(db) -> Membership:
    return MembershipFactory(clinic_admin=True)


@pytest.fixture
def sign_in() -> Callable[[User], Client]:
    """Return a function that signs a person in through the real page."""

    def through_the_page(user: User, client: Client | None = None) -> Client:
        client = client or Client()
        answer = client.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
        assert answer.status_code == 302, answer.content
        return client

    return through_the_page


@pytest.fixture
def steady_clock():
    """A one-time code must not expire because the machine is busy."""
    with time_machine.travel(timezone.now(), tick=False):
        yield
