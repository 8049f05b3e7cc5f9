"""The life of an app's token: renewed, narrowed, stolen, ended, looked at."""

from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from accounts.models import ApiToken, AuditEvent, Role
from accounts.services.smart import smart_app_stop
from accounts.tenancy import clinic_scope
from tests.factories import MembershipFactory, PatientFactory
from tests.support.smart import (
    Key,
    allowed,
    exchanged,
    operator,
    posted,
    proof,
    reader,
    registered,
    renewed,
)

pytestmark = pytest.mark.django_db
OFFLINE = "user/Patient.rs user/ImagingStudy.rs offline_access"
PATIENTS = "/fhir/R4/Patient"


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


@pytest.fixture
def told(app, browser):
    """Return what the app was told when it exchanged its code."""
    answer = exchanged(app, allowed(browser, app, scope=OFFLINE))
    assert answer.status_code == 200, answer.content
    return answer.json()


def opens(secret) -> bool:
    status = reader(secret).get(PATIENTS).status_code
    assert status in {200, 401}
    return status == 200


def refused(answer, error="invalid_grant"):
    assert answer.json()["error"] == error, answer.content
    assert answer.status_code in {400, 401}
    assert "access_token" not in answer.json()


def test_renewing_replaces_both_secrets_under_one_row(app, told, member):
    again = renewed(app, told["refresh_token"])
    assert again.status_code == 200, again.content
    fresh = again.json()
    assert fresh["refresh_token"] != told["refresh_token"]
    assert fresh["scope"] == OFFLINE
    assert opens(fresh["access_token"])
    assert not opens(told["access_token"])
    token = ApiToken.objects.get()
    assert timedelta(days=89) < token.renewable_until - timezone.now() < timedelta(days=91)
    with clinic_scope(member.clinic_id):
        events = AuditEvent.objects.filter(target_id=token.pk).order_by("id")
        assert list(events.values_list("action", flat=True)) == ["token.create", "token.renew"]


def test_a_refresh_secret_opens_nothing_by_itself(told):
    assert not opens(told["refresh_token"])


def test_a_second_use_of_a_refresh_secret_ends_all(app, told, member):
    fresh = renewed(app, told["refresh_token"]).json()
    refused(renewed(app, told["refresh_token"]))
    assert not opens(fresh["access_token"])
    refused(renewed(app, fresh["refresh_token"]))
    with clinic_scope(member.clinic_id):
        event = AuditEvent.objects.get(action="token.reuse")
    assert event.outcome == "denied"


def test_a_second_use_of_the_code_ends_renewed_tokens_too(app, browser):
    code = allowed(browser, app, scope=OFFLINE)
    fresh = renewed(app, exchanged(app, code).json()["refresh_token"]).json()
    refused(exchanged(app, code))
    assert not opens(fresh["access_token"])
    refused(renewed(app, fresh["refresh_token"]))


def test_a_renewed_token_may_have_less_and_never_more(app, told):
    for more in ("user/*.rs", "user/Observation.rs", "system/Patient.rs", "patient/Patient.rs",
                 OFFLINE + " user/Observation.r", "launch/patient"):  # fmt: skip
        refused(renewed(app, told["refresh_token"], scope=more), "invalid_scope")
    less = renewed(app, told["refresh_token"], scope="user/Patient.r").json()
    client = reader(less["access_token"])
    assert client.get(PATIENTS).status_code == 403
    assert client.get("/fhir/R4/ImagingStudy").status_code == 403
    # What the member allowed is what the next renewal may have again.
    assert renewed(app, less["refresh_token"]).json()["scope"] == OFFLINE


def test_another_app_cannot_renew(app, told):
    other = registered()
    refused(renewed(other, told["refresh_token"]))
    assert opens(told["access_token"])
    assert renewed(app, told["refresh_token"]).status_code == 200


def test_who_did_not_ask_gets_no_refresh_secret(app, browser):
    assert "refresh_token" not in exchanged(app, allowed(browser, app)).json()


def test_a_member_who_leaves_takes_the_renewal_along(app, told, member):
    member.is_active = False
    member.save()
    assert not opens(told["access_token"])
    refused(renewed(app, told["refresh_token"]))


def test_a_person_who_is_deactivated_takes_the_renewal_along(app, told, member):
    member.user.is_active = False
    member.user.save()
    refused(renewed(app, told["refresh_token"]))


def test_after_ninety_days_the_member_is_asked_again(app, told):
    with time_machine.travel(timezone.now() + timedelta(days=91), tick=False):
        assert not opens(told["access_token"])
        refused(renewed(app, told["refresh_token"]))


def test_online_access_ends_with_signing_out(app, browser, settings):
    told = exchanged(app, allowed(browser, app, scope="user/Patient.rs online_access")).json()
    fresh = renewed(app, told["refresh_token"]).json()
    ends = ApiToken.objects.get().renewable_until - timezone.now()
    assert ends <= timedelta(seconds=settings.SESSION_ABSOLUTE_SECONDS)
    browser.post("/accounts/logout/")
    assert not opens(fresh["access_token"])
    refused(renewed(app, fresh["refresh_token"]))


def test_offline_access_outlives_signing_out(app, browser, told):
    browser.post("/accounts/logout/")
    assert opens(told["access_token"])


def test_a_stopped_app_reads_no_more(app, told):
    smart_app_stop(actor=operator(), app=app)
    assert not opens(told["access_token"])
    refused(renewed(app, told["refresh_token"]), "invalid_client")


def test_the_member_ends_it_where_all_tokens_are(app, browser, told):
    page = browser.get("/tokens/").content.decode()
    assert "Viewer" in page
    token = ApiToken.objects.get()
    browser.post(f"/tokens/{token.pk}/revoke/")
    assert not opens(told["access_token"])
    refused(renewed(app, told["refresh_token"]))


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_an_app_ends_its_own_token(app, told, which):
    answer = posted("/oauth/revoke", token=told[which], client_id=str(app.pk))
    assert (answer.status_code, answer.content) == (200, b"")
    assert not opens(told["access_token"])
    refused(renewed(app, told["refresh_token"]))


def test_an_app_ends_nobody_elses_token(app, told):
    other = registered()
    for body in (
        {"token": told["access_token"], "client_id": str(other.pk)},
        {"token": "guess", "client_id": str(app.pk)},
    ):
        assert posted("/oauth/revoke", **body).status_code == 200
    refused(posted("/oauth/revoke", token=told["access_token"]), "invalid_client")
    assert opens(told["access_token"])


def test_programs_with_keys_look_at_their_own_tokens(browser, told, member):
    key = Key()
    app, patient = registered(jwks=key.jwks), PatientFactory(clinic=member.clinic)
    code = allowed(browser, app, scope="patient/*.rs offline_access", patient=patient)
    mine = exchanged(app, code, **proof(key.statement(app))).json()

    def looked(secret):
        answer = posted("/oauth/introspect", token=secret, **proof(key.statement(app)))
        assert answer.status_code == 200, answer.content
        return answer.json()

    claims = looked(mine["access_token"])
    assert claims["active"] is True
    assert claims["scope"] == "patient/*.rs offline_access"
    assert (claims["client_id"], claims["patient"]) == (str(app.pk), str(patient.pk))
    assert looked(mine["refresh_token"])["active"] is True
    assert looked(told["access_token"]) == {"active": False}
    assert looked("guess") == {"active": False}
    renewed(app, mine["refresh_token"], **proof(key.statement(app)))
    assert looked(mine["access_token"]) == {"active": False}
    assert looked(mine["refresh_token"]) == {"active": False}


def test_nobody_looks_at_tokens_without_a_proof(app, told):
    answer = posted("/oauth/introspect", token=told["access_token"], client_id=str(app.pk))
    refused(answer, "invalid_client")
    assert Client().get("/oauth/introspect").status_code == 405


def test_an_app_with_keys_is_nobody_without_them(browser):
    key = Key()
    app = registered(jwks=key.jwks)
    code = allowed(browser, app, scope=OFFLINE)
    refused(exchanged(app, code), "invalid_client")
    refused(exchanged(app, code, **proof(Key().statement(app))), "invalid_client")
    told = exchanged(app, code, **proof(key.statement(app))).json()
    refused(renewed(app, told["refresh_token"]), "invalid_client")
    assert opens(told["access_token"])


def test_secrets_in_an_address_are_refused(app, told):
    path = f"/oauth/revoke?token={told['access_token']}&client_id={app.pk}"
    assert Client().post(path).status_code == 400
    assert opens(told["access_token"])
