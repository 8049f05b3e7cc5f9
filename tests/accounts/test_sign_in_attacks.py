"""Attacks on sign-in that need many hands at once, or many doors."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from allauth.account.forms import EmailAwarePasswordResetTokenGenerator
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.db import connections
from django.test import Client
from django.urls import reverse

from tests.accounts.test_second_factor import SECRET, code, is_in, password_only
from tests.factories import PASSWORD, ApiTokenFactory, MembershipFactory, StudyFactory

HANDS = 50
WRONG = "wrong-horse-battery"


def at_once(clients: list[Client], used: str) -> int:
    """Send one code from all clients at the same moment; return how many are in."""
    ready = Barrier(10)

    def use(client: Client) -> None:
        try:
            ready.wait(timeout=60)
            client.post(reverse("mfa_authenticate"), {"code": used})
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as hands:
        list(hands.map(use, clients))
    return sum(is_in(client) for client in clients)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["one-time", "recovery"])
def test_of_many_uses_of_one_code_at_once_one_is_accepted(doctor, kind, settings, steady_clock):
    # The limit of wrong codes would hide what is looked for here.
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "1000/m/ip", "login": "1000/m/ip"}
    totp.TOTP.activate(doctor.user, SECRET)
    codes = RecoveryCodes.activate(doctor.user).get_unused_codes()
    clients = [password_only(doctor.user) for _ in range(HANDS)]
    assert at_once(clients, code() if kind == "one-time" else codes[0]) == 1


@pytest.mark.django_db
def test_all_doors_share_one_limit(doctor):
    """Sign-in by any address of the site, and by the admin's, counts together."""
    doors = [reverse("account_login"), reverse("account_login") + "?next=/admin/",
             reverse("account_login")]  # fmt: skip
    for number in range(5):
        Client().post(doors[number % 3], {"login": doctor.user.email.upper(), "password": WRONG})
    client = Client()
    client.post(reverse("admin:login"), {"username": doctor.user.email, "password": PASSWORD})
    assert not is_in(client)
    client.post(reverse("account_login"), {"login": doctor.user.email, "password": PASSWORD})
    assert not is_in(client)


@pytest.mark.django_db
def test_a_new_password_does_not_pass_by_the_second_factor(doctor):
    totp.TOTP.activate(doctor.user, SECRET)
    key = EmailAwarePasswordResetTokenGenerator().make_token(doctor.user)
    client = Client()
    link = client.get(
        f"/accounts/password/reset/key/{user_pk_to_url_str(doctor.user)}-{key}/"
    ).headers["Location"]
    client.post(link, {"password1": "another-long-horse", "password2": "another-long-horse"})
    assert not is_in(client)
    doctor.user.refresh_from_db()
    assert doctor.user.check_password("another-long-horse")
    client.post(
        reverse("account_login"),
        {"login": doctor.user.email, "password": "another-long-horse"},
    )
    assert not is_in(client)


@pytest.mark.django_db
def test_rights_that_end_end_with_the_next_request(sign_in):
    member = MembershipFactory(roles=["doctor", "clinic_admin"])
    study = StudyFactory(patient__clinic=member.clinic)
    token = ApiTokenFactory(membership=member)
    page = sign_in(member.user)
    program = Client(headers={"Authorization": f"Token {token.secret}"})
    address = f"/api/v1/studies/{study.pk}/"
    assert program.get(address).status_code == 200
    assert program.post(f"{address}claim/", "{}", "application/json").status_code == 200
    assert page.get("/clinic/audit/").status_code == 200
    member.roles = ["technician"]
    member.save()
    assert page.get("/clinic/audit/").status_code == 403
    assert program.post(f"{address}claim/", "{}", "application/json").status_code == 403
    member.is_active = False
    member.save()
    assert page.get(f"/studies/{study.pk}/").status_code == 403
    assert program.get(address).status_code == 401
