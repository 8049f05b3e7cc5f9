"""SMART App Launch, standalone: who may let which app read what, and what a thief gets."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts.models import ApiToken, AuditEvent, Role
from accounts.services.smart import smart_app_create
from accounts.smart_models import SmartApp, SmartCode
from accounts.tenancy import clinic_scope
from fracture_site.common.errors import DomainError
from tests.factories import MembershipFactory, PatientFactory, UserFactory
from tests.support.smart import (
    BACK,
    CHALLENGE,
    allowed,
    asked,
    exchanged,
    led_back,
    reader,
    registered,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def app():
    return registered()


@pytest.fixture
def member():
    return MembershipFactory(roles=[Role.DOCTOR])


@pytest.fixture
def browser(member):
    client = Client()
    client.force_login(member.user)
    return client


def test_an_app_reads_what_the_member_allowed_for_an_hour(app, member, browser):
    patient = PatientFactory(clinic=member.clinic)
    page = browser.get(asked(app)).content.decode()
    assert "Let Viewer read?" in page
    assert "app.example" in page

    answer = exchanged(app, allowed(browser, app))
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert (told["token_type"], told["expires_in"]) == ("Bearer", 3600)
    assert told["scope"] == "user/Patient.read"
    assert "refresh_token" not in told
    assert answer["Cache-Control"].startswith("no-store") or "no-store" in answer["Cache-Control"]

    client = reader(told["access_token"])
    assert client.get(f"/fhir/R4/Patient/{patient.pk}").status_code == 200
    assert client.get("/fhir/R4/ImagingStudy").status_code == 403
    assert client.get("/fhir/R4/AuditEvent").status_code == 403
    assert client.post("/fhir/R4/ServiceRequest", "{}", "application/json").status_code == 403
    assert client.get("/api/v1/patients/").status_code == 401
    foreign = PatientFactory()
    assert client.get(f"/fhir/R4/Patient/{foreign.pk}").status_code == 404
    with clinic_scope(member.clinic_id):
        actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"smart_app.allow", "token.create", "patient.open"} <= actions

    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert client.get(f"/fhir/R4/Patient/{patient.pk}").status_code == 401


def test_a_member_who_leaves_takes_the_app_along(app, member, browser):
    token = exchanged(app, allowed(browser, app)).json()["access_token"]
    member.is_active = False
    member.save()
    assert reader(token).get("/fhir/R4/Patient").status_code == 401


def test_a_code_works_once_and_its_second_use_ends_the_first(app, browser):
    code = allowed(browser, app)
    token = exchanged(app, code).json()["access_token"]
    assert reader(token).get("/fhir/R4/Patient").status_code == 200
    again = exchanged(app, code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert reader(token).get("/fhir/R4/Patient").status_code == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "w" * 50},
        {"code_verifier": CHALLENGE},
        {"redirect_uri": "https://app.example/callback"},
        {"code": "guess"},
    ],
)
def test_a_thief_of_the_code_gets_nothing(app, browser, changes):
    changes = dict(changes)
    code = allowed(browser, app)
    answer = exchanged(app, changes.pop("code", code), **changes)
    assert answer.status_code in {400, 401}
    assert "access_token" not in answer.json()
    assert not ApiToken.objects.exists()


def test_a_code_of_one_app_is_none_of_another(app, browser):
    other = SmartApp.objects.create(name="Other", redirect_uris=[BACK])
    assert exchanged(other, allowed(browser, app)).status_code == 400


def test_a_code_is_old_after_a_minute(app, browser):
    code = allowed(browser, app)
    SmartCode.objects.update(expires_at=timezone.now())
    assert exchanged(app, code).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "0d2f6c52-7b1f-4f6e-8f0a-64c1f7f2a811"},
        {"client_id": "x"},
        {"redirect_uri": BACK + "&y=2"},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": None},
        {"aud": "https://elsewhere.example/fhir"},
        {"aud": None},
    ],
)
def test_nothing_is_sent_to_whom_nobody_knows(app, browser, changes):
    for send in (browser.get, lambda url: browser.post(url, {"answer": "allow"})):
        response = send(asked(app, **changes))
        assert response.status_code == 400
        assert b"http-equiv" not in response.content
    assert not SmartCode.objects.exists()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"scope": "user/Patient.write"}, "invalid_scope"),
        ({"scope": "system/*.read"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
    ],
)
def test_what_an_app_may_not_ask_for(app, browser, changes, error):
    told = led_back(browser.get(asked(app, **changes)))
    assert told["error"] == error
    assert "code" not in told


def test_a_member_may_say_no(app, browser):
    told = led_back(browser.post(asked(app), {"answer": "deny"}))
    assert (told["error"], told["state"]) == ("access_denied", "s-1")
    assert not SmartCode.objects.exists()


def test_nobody_signs_in_first_and_a_stopped_app_is_unknown(app, browser):
    assert Client().get(asked(app)).status_code == 302
    SmartApp.objects.update(is_active=False)
    assert browser.get(asked(app)).status_code == 400


def test_another_site_cannot_press_the_button(app, member):
    client = Client(enforce_csrf_checks=True)
    client.force_login(member.user)
    assert client.post(asked(app), {"answer": "allow"}).status_code == 403
    assert "frame-ancestors 'none'" in client.get(asked(app))["Content-Security-Policy"]


def test_the_configuration_opens_to_everybody(settings, db):
    told = Client().get("/fhir/R4/.well-known/smart-configuration").json()
    assert told["authorization_endpoint"] == f"{settings.BASE_URL}/oauth/authorize"
    assert told["code_challenge_methods_supported"] == ["S256"]


@pytest.mark.parametrize(
    "uri",
    ["http://app.example/", "https://app.example/#x", "https://*.example/", "javascript:x",
     "https://me@app.example/", "app://callback", ""],
)  # fmt: skip
def test_addresses_that_no_app_may_have(uri):
    admin = UserFactory(is_superuser=True, is_staff=True)
    with pytest.raises(DomainError, match="smart_app_invalid"):
        smart_app_create(actor=admin, name="App", redirect_uris=[uri])


def test_the_operator_registers_an_app(capsys):
    admin = UserFactory(is_superuser=True, is_staff=True)
    call_command("smart_app", operator=admin.email, name="A", redirect_uri=["http://localhost:9/"])
    assert SmartApp.objects.get(pk=capsys.readouterr().out.strip()).name == "A"
