"""Confirming a signature: password, code or a fresh confirmation, by page and by API alike."""

from datetime import timedelta

import pytest
import time_machine
from allauth.mfa.totp.internal import auth as totp
from django.http import JsonResponse
from django.test import Client
from django.urls import path, reverse
from django.utils import timezone
from rest_framework.decorators import api_view
from rest_framework.response import Response

from accounts.models import AuditEvent
from accounts.reauthentication import credentials_confirm
from fracture_site.common.errors import DomainError
from fracture_site.urls import urlpatterns as site_urlpatterns
from tests.accounts.test_second_factor import SECRET, code
from tests.factories import PASSWORD, ApiTokenFactory

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


def sign_page(request):
    try:
        credentials_confirm(
            request=request, password=request.POST.get("password"), otp=request.POST.get("otp")
        )
    except DomainError as error:
        return JsonResponse({"code": error.code}, status=error.http_status)
    return JsonResponse({"code": "signed"})


@api_view(["POST"])
def sign_endpoint(request):
    credentials_confirm(
        request=request, password=request.data.get("password"), otp=request.data.get("otp")
    )
    return Response({"code": "signed"})


urlpatterns = [
    path("test/sign", sign_page),
    path("api/test/sign", sign_endpoint),
    *site_urlpatterns,
]


@pytest.fixture(params=["page", "session endpoint", "token endpoint"])
def sign(request, doctor, sign_in):
    """Return a function that signs in one of the three ways."""
    client, headers = Client(), {}
    if request.param == "token endpoint":
        headers = {"authorization": f"Token {ApiTokenFactory(membership=doctor).secret}"}
    else:
        sign_in(doctor.user, client)

    def sign(**data):
        url = "/test/sign" if request.param == "page" else "/api/test/sign"
        answer = client.post(url, data, headers=headers)
        return answer.status_code, answer.json()["code"]

    return sign


def test_the_right_password_signs(sign):
    assert sign(password=PASSWORD) == (200, "signed")


def test_a_wrong_password_does_not_and_is_recorded(sign, doctor):
    assert sign(password="wrong") == (403, "reauthentication_failed")
    event = AuditEvent.objects.get(action="auth.reauthentication")
    assert (event.actor, event.outcome) == (doctor.user, "failed")


def test_nothing_at_all_does_not(sign):
    assert sign() == (403, "reauthentication_required")
    assert sign(password="", otp="") == (403, "reauthentication_required")


def test_the_password_of_somebody_else_does_not(sign, admin):
    admin.user.set_password("somebody-elses-password")
    admin.user.save()
    assert sign(password="somebody-elses-password") == (403, "reauthentication_failed")


def test_an_outsider_who_guesses_at_sign_in_does_not_keep_the_doctor_from_signing(sign, doctor):
    for _ in range(6):
        answer = Client().post(
            reverse("account_login"), {"login": doctor.user.email, "password": "wrong"}
        )
    assert "Too many" in answer.content.decode()
    assert sign(password=PASSWORD) == (200, "signed")


def test_guessing_with_a_stolen_session_is_limited(sign, doctor):
    for _ in range(5):
        assert sign(password="wrong") == (403, "reauthentication_failed")
    assert sign(password=PASSWORD) == (429, "too_many_attempts")
    with time_machine.travel(timezone.now() + timedelta(seconds=301)):
        assert sign(password="wrong") == (403, "reauthentication_failed")


def test_right_passwords_do_not_use_the_limit_up(sign):
    for _ in range(7):
        assert sign(password=PASSWORD) == (200, "signed")


def test_all_ways_to_confirm_count_together(doctor, sign_in):
    """Password and code, pages and API: not five attempts each."""
    client = sign_in(doctor.user)
    totp.TOTP.activate(doctor.user, SECRET)
    for _ in range(2):
        client.post("/test/sign", {"password": "wrong"})
        client.post(reverse("account_reauthenticate"), {"password": "wrong"})
    client.post(reverse("mfa_reauthenticate"), {"code": "not-one"})
    headers = {"authorization": f"Token {ApiTokenFactory(membership=doctor).secret}"}
    answer = client.post("/api/test/sign", {"password": PASSWORD}, headers=headers)
    assert answer.json()["code"] == "too_many_attempts"
    answer = client.post(reverse("mfa_reauthenticate"), {"code": code()})
    assert "Too many" in answer.content.decode()


def test_somebody_elses_attempts_do_not_count(sign, admin, sign_in):
    client = sign_in(admin.user)
    for _ in range(6):
        client.post("/test/sign", {"password": "wrong"})
    assert sign(password=PASSWORD) == (200, "signed")


@pytest.mark.usefixtures("steady_clock")
def test_a_code_signs_once(sign, doctor):
    totp.TOTP.activate(doctor.user, SECRET)
    used = code()
    assert sign(otp=used) == (200, "signed")
    assert sign(otp=used) == (403, "reauthentication_failed")


@pytest.mark.usefixtures("steady_clock")
def test_guessing_codes_is_limited(sign, doctor):
    totp.TOTP.activate(doctor.user, SECRET)
    wrong = f"{(int(code()) + 1) % 10**6:06}"
    for _ in range(5):
        assert sign(otp=wrong) == (403, "reauthentication_failed")
    assert sign(otp=code()) == (429, "too_many_attempts")


def test_a_code_without_authenticator_does_not_sign(sign):
    assert sign(otp=code()) == (403, "reauthentication_failed")


def test_who_has_no_password_cannot_sign_by_an_empty_or_unusable_one(sign, doctor):
    doctor.user.set_unusable_password()
    # The session ends with the password; a token does not.
    doctor.user.save()
    status, _code = sign(password=doctor.user.password)
    assert status in {401, 403}


class TestFreshConfirmation:
    @pytest.fixture
    def confirmed(self, doctor, sign_in) -> Client:
        client = sign_in(doctor.user)
        client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
        return client

    def sign(self, client, **headers):
        return client.post("/api/test/sign", headers=headers).json()["code"]

    def test_counts_for_two_minutes(self, confirmed):
        assert self.sign(confirmed) == "signed"
        with time_machine.travel(timezone.now() + timedelta(seconds=115)):
            assert self.sign(confirmed) == "signed"
        with time_machine.travel(timezone.now() + timedelta(seconds=125)):
            assert self.sign(confirmed) == "reauthentication_required"

    def test_does_not_count_for_a_token_beside_it(self, confirmed, doctor):
        secret = ApiTokenFactory(membership=doctor).secret
        answer = self.sign(confirmed, authorization=f"Token {secret}")
        assert answer == "reauthentication_required"

    def test_signing_in_is_not_enough(self, doctor, sign_in):
        assert self.sign(sign_in(doctor.user)) == "reauthentication_required"

    @pytest.mark.parametrize(("method", "result"), [
        ("socialaccount", "signed"), ("password", "reauthentication_required"),
    ])  # fmt: skip
    def test_a_sign_in_through_a_provider_is(self, doctor, method, result):
        client = Client()
        client.force_login(doctor.user)
        session = client.session
        session["account_authentication_methods"] = [
            {"method": method, "at": timezone.now().timestamp()}
        ]
        session["account_authentication_methods_user"] = str(doctor.user.pk)
        session.save()
        assert self.sign(client) == result
        with time_machine.travel(timezone.now() + timedelta(minutes=3)):
            assert self.sign(client) == "reauthentication_required"
