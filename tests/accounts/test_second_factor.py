"""One-time codes, recovery codes and passkeys: asked at every sign-in of who has them."""

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent
from tests.factories import PASSWORD, UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("steady_clock")]
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def code(secret: str = SECRET) -> str:
    counter = next(totp.yield_hotp_counters_from_time())
    return totp.format_hotp_value(totp.hotp_value(secret, counter))


@pytest.fixture
def factor(doctor, rf) -> Authenticator:
    return totp.TOTP.activate(doctor.user, SECRET).instance


def password_only(user) -> Client:
    client = Client()
    answer = client.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    assert answer["Location"].startswith(reverse("mfa_authenticate"))
    return client


def is_in(client: Client) -> bool:
    return client.get(reverse("accounts:tokens")).status_code == 200


def test_the_password_alone_opens_nothing(doctor, factor):
    client = password_only(doctor.user)
    assert not is_in(client)
    assert client.get("/api/v1/me/").status_code in {401, 403, 404}
    assert not AuditEvent.objects.filter(action="auth.sign_in").exists()


def test_the_code_completes_the_sign_in(doctor, factor):
    client = password_only(doctor.user)
    client.post(reverse("mfa_authenticate"), {"code": code()})
    assert is_in(client)


def test_a_code_works_once(doctor, factor):
    first, second = password_only(doctor.user), password_only(doctor.user)
    used = code()
    first.post(reverse("mfa_authenticate"), {"code": used})
    second.post(reverse("mfa_authenticate"), {"code": used})
    assert is_in(first)
    assert not is_in(second)


def test_wrong_codes_are_limited_and_recorded(doctor, factor):
    client = password_only(doctor.user)
    wrong = f"{(int(code()) + 1) % 10**6:06}"
    for _ in range(5):
        client.post(reverse("mfa_authenticate"), {"code": wrong})
    client.post(reverse("mfa_authenticate"), {"code": code()})
    assert not is_in(client)
    failed = AuditEvent.objects.filter(action="auth.sign_in", outcome="failed")
    assert failed.count() == 6
    assert {event.target_id for event in failed} == {doctor.user_id}


def test_another_persons_code_does_not_help(doctor, factor):
    other = UserFactory()
    totp.TOTP.activate(other, "A" * 32)
    client = password_only(doctor.user)
    client.post(reverse("mfa_authenticate"), {"code": code("A" * 32)})
    assert not is_in(client)


def test_signing_in_as_another_person_does_not_carry_the_first_factor_over(doctor, factor, admin):
    client = password_only(doctor.user)
    client.post(reverse("account_login"), {"login": admin.user.email, "password": PASSWORD})
    client.post(reverse("mfa_authenticate"), {"code": code()})
    assert client.session.get("_auth_user_id") != str(admin.user_id)


def test_a_recovery_code_works_once(doctor, factor):
    codes = RecoveryCodes.activate(doctor.user).get_unused_codes()
    for expected in (True, False):
        client = password_only(doctor.user)
        client.post(reverse("mfa_authenticate"), {"code": codes[0]})
        assert is_in(client) is expected


def test_the_stored_secrets_are_encrypted(doctor, factor, settings):
    RecoveryCodes.activate(doctor.user)
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert SECRET not in stored
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the-key-after-the-rotation-" + "x" * 40
    assert factor.wrap().validate_code(code())


@pytest.mark.django_db(transaction=True)
def test_a_person_sets_up_codes_in_the_browser(doctor, sign_in):
    client = sign_in(doctor.user)
    url = reverse("mfa_activate_totp")
    client.post(f"{reverse('account_reauthenticate')}?next={url}", {"password": PASSWORD})
    assert client.get(url).status_code == 200
    client.post(url, {"code": code(client.session[totp.SECRET_SESSION_KEY])})
    assert Authenticator.objects.filter(user=doctor.user, type="totp").exists()
    assert "Authenticator" in "".join(message.subject for message in mail.outbox), mail.outbox
    assert AuditEvent.objects.filter(details__change="totp_activated").exists()


def test_a_passkey_must_know_its_owner(settings):
    assert settings.MFA_WEBAUTHN_USER_VERIFICATION == "required"
    assert not settings.MFA_TRUST_ENABLED
