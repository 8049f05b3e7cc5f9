"""The database, the broker or the store is away: 503 and how long to wait, never 500, and back."""

import time
from pathlib import Path

import pytest
from django.db import close_old_connections, connections
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.tenancy import clinic_scope
from tests.diagnosis.web.test_pages import full_study
from tests.factories import ApiTokenFactory, MembershipFactory
from tests.support.fault_proxy import FaultProxy

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])
SOCKET = ".s.PGSQL.5432"
BACK_WITHIN_S = 30


@pytest.fixture
def member():
    return MembershipFactory(doctor=True)


@pytest.fixture
def proxy(tmp_path_factory, member):
    """Put a proxy between this process and PostgreSQL."""
    settings = connections["default"].settings_dict
    folder = Path(f"/tmp/fault-{tmp_path_factory.mktemp('p').name}-{member.pk.hex[:8]}")
    folder.mkdir(mode=0o700)
    straight = settings["HOST"]
    with FaultProxy(listen=folder / SOCKET, target=Path(straight) / SOCKET) as proxy:
        connections["default"].close()
        settings["HOST"] = str(folder)
        yield proxy
        proxy.heal()
        connections["default"].close()
        settings["HOST"] = straight
    (folder / SOCKET).unlink(missing_ok=True)
    folder.rmdir()


@pytest.fixture
def browser(member, proxy):
    client = Client(raise_request_exception=False)
    client.force_login(member.user)
    return client


@pytest.fixture
def program(member, proxy):
    token = ApiTokenFactory(membership=member)
    client = Client(
        raise_request_exception=False, headers={"Authorization": f"Token {token.secret}"}
    )
    client.token = token
    return client


def come_back(proxy):
    """The server is there again; each request outside of tests begins by dropping broken lines."""
    proxy.heal()
    close_old_connections()


def requests_of(browser, program, patient):
    """A page, a change by a page, the API, FHIR, and what nobody has to sign in for."""
    return [
        lambda: browser.get(reverse("diagnosis:worklist")),
        lambda: browser.post(reverse("diagnosis:patient-create"), {"record_number": "N-9"}),
        lambda: browser.get(reverse("account_login")),
        lambda: program.get("/api/v1/patients/"),
        lambda: program.post("/api/v1/patients/", {"record_number": "N-8"}, "application/json"),
        lambda: program.get(f"/fhir/R4/Patient/{patient.pk}"),
    ]


def test_without_a_database_every_door_says_when_to_come_back(member, proxy, browser, program):
    patient = full_study(member.clinic).study.patient
    doors = requests_of(browser, program, patient)
    assert max(door().status_code for door in doors) < 500
    proxy.cut()
    for door in doors:
        answer = door()
        assert (answer.status_code, answer["Retry-After"]) == (503, "10")
    assert Client().get("/healthz").status_code == 200
    began = time.monotonic()
    come_back(proxy)
    assert max(door().status_code for door in doors) < 500
    assert time.monotonic() - began < BACK_WITHIN_S


def test_a_connection_that_breaks_in_the_middle_takes_the_whole_change_back(
    member, proxy, browser, program
):
    def cut_at_the_patient(execute, sql, params, many, context):
        if 'INSERT INTO "diagnosis_patient"' in sql:
            result = execute(sql, params, many, context)
            proxy.cut()
            return result
        return execute(sql, params, many, context)

    body = {"record_number": "N-7", "family_name": "Example"}
    with connections["default"].execute_wrapper(cut_at_the_patient):
        answer = program.post("/api/v1/patients/", body, "application/json")
    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"
    come_back(proxy)
    with clinic_scope(member.clinic_id):
        assert not AuditEvent.objects.filter(action="patient.create").exists()
    assert program.post("/api/v1/patients/", body, "application/json").status_code == 201


def test_what_arrives_changed_is_an_outage_too(proxy, browser):
    proxy.corrupt()
    assert browser.get(reverse("diagnosis:worklist")).status_code == 503
    come_back(proxy)
    assert browser.get(reverse("diagnosis:worklist")).status_code == 200


def test_a_slow_database_is_no_outage(proxy, browser):
    proxy.slow(0.005)
    assert browser.get(reverse("diagnosis:worklist")).status_code == 200
