"""Backend services: who proves what, with which key, once, for how long, in which clinic."""

import base64
import hashlib
import hmac
import json
import time
from datetime import timedelta

import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import ApiToken, AuditEvent, Role
from accounts.services.smart import smart_app_keys, smart_app_stop, smart_service_create
from accounts.smart_models import SmartApp, SmartStatement
from accounts.tenancy import clinic_scope
from fracture_site.common.errors import DomainError
from tests.factories import MembershipFactory, PatientFactory
from tests.support.smart import Key, allowed, operator, posted, proof, reader

pytestmark = pytest.mark.django_db
KEY = Key()


@pytest.fixture
def member():
    return MembershipFactory(roles=[Role.DOCTOR])


@pytest.fixture
def service(member):
    return smart_service_create(
        actor=operator(), name="EMR", jwks=KEY.jwks, membership=member,
        scopes=["system/Patient.rs", "system/ImagingStudy.rs"],
    )  # fmt: skip


def asked(statement, scope="system/Patient.rs", **changes):
    body = {"grant_type": "client_credentials", "scope": scope, **proof(statement)} | changes
    return posted("/oauth/token", **body)


def refused(answer, error="invalid_client"):
    assert answer.json()["error"] == error, answer.content
    assert answer.status_code in {400, 401}
    assert not ApiToken.objects.exists()


def test_a_service_reads_its_clinic_for_five_minutes(service, member):
    patient, foreign = PatientFactory(clinic=member.clinic), PatientFactory()
    answer = asked(KEY.statement(service))
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert (told["token_type"], told["expires_in"]) == ("Bearer", 300)
    assert told["scope"] == "system/Patient.rs"
    assert "refresh_token" not in told
    client = reader(told["access_token"])
    found = client.get("/fhir/R4/Patient").json()
    assert [entry["resource"]["id"] for entry in found["entry"]] == [str(patient.pk)]
    assert client.get(f"/fhir/R4/Patient/{foreign.pk}").status_code == 404
    assert client.get("/fhir/R4/ImagingStudy").status_code == 403
    assert client.get("/api/v1/patients/").status_code == 401
    with clinic_scope(member.clinic_id):
        assert AuditEvent.objects.filter(action="patient.list").exists()
    with time_machine.travel(timezone.now() + timedelta(seconds=301), tick=False):
        assert client.get("/fhir/R4/Patient").status_code == 401


def test_rsa_serves_as_well(member):
    key = Key(kind="RSA")
    app = smart_service_create(
        actor=operator(), name="EMR", jwks=key.jwks, membership=member, scopes=["system/*.rs"]
    )
    assert asked(key.statement(app)).status_code == 200


def test_a_statement_counts_once(service):
    statement = KEY.statement(service)
    assert asked(statement).status_code == 200
    ApiToken.objects.all().delete()
    refused(asked(statement))
    # The same number in another statement is the same number.
    again = KEY.statement(service, jti="n-1"), KEY.statement(service, jti="n-1", nbf=1)
    assert [asked(each).status_code for each in again] == [200, 401]
    assert not SmartStatement.objects.filter(jti_hash="n-1").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": int(time.time()) - 60},
        {"exp": int(time.time()) + 3600},
        {"exp": None},
        {"exp": "soon"},
        {"exp": [1]},
        {"exp": float("inf")},
        {"nbf": int(time.time()) + 600},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 501},
        {"aud": None},
        {"aud": "https://elsewhere.example/oauth/token"},
        {"aud": "http://testserver/fhir/R4"},
        {"aud": ["https://elsewhere.example/oauth/token"]},
        {"iss": "https://elsewhere.example"},
        {"sub": None},
        {"sub": "0d2f6c52-7b1f-4f6e-8f0a-64c1f7f2a811"},
    ],
    ids=lambda changes: next(iter(f"{k}={str(v)[:20]}" for k, v in changes.items())),
)
def test_statements_that_say_the_wrong_thing(service, changes):
    refused(asked(KEY.statement(service, **changes)))
    assert not SmartStatement.objects.exists()


def encoded(value) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def forged(service, algorithm: str, secret: bytes | None = None) -> str:
    claims = jwt.decode(KEY.statement(service), options={"verify_signature": False})
    body = f"{encoded({'alg': algorithm, 'typ': 'JWT', 'kid': 'k1'})}.{encoded(claims)}"
    signature = b"" if secret is None else hmac.new(secret, body.encode(), hashlib.sha256).digest()
    return f"{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def test_no_algorithm_and_no_shared_secret_is_taken(service):
    pem = KEY.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    refused(asked(forged(service, "none")))
    refused(asked(forged(service, "None")))
    refused(asked(forged(service, "HS256", pem)))
    refused(asked(forged(service, "HS256", json.dumps(KEY.public).encode())))
    refused(asked(forged(service, "HS384", b"")))


def test_a_statement_names_a_registered_key_and_brings_none_along(service):
    thief = Key("k1")
    refused(asked(thief.statement(service)))
    refused(asked(thief.statement(service, header={"jwk": thief.public})))
    refused(asked(thief.statement(service, header={"jku": "https://evil.example/jwks.json"})))
    refused(asked(KEY.statement(service, header={"kid": "other"})))
    rsa_key = Key("k1", kind="RSA")
    refused(asked(rsa_key.statement(service)))


@pytest.mark.parametrize("statement", ["", "x", "a.b.c", "." * 9000, "e30.e30.", "Ww.Ww.Ww"])
def test_rubbish_is_refused(service, statement):
    refused(asked(statement))


def test_deep_rubbish_is_refused(service):
    deep = base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=")
    refused(asked(f"{deep}.{deep}.x"))


def test_the_kind_of_proof_is_named(service):
    refused(asked(KEY.statement(service), client_assertion_type="made-up"))
    refused(posted("/oauth/token", grant_type="client_credentials", client_id=str(service.pk),
                   client_secret="x", scope="system/*.rs"))  # fmt: skip


def test_one_service_cannot_speak_for_another(service, member):
    other = smart_service_create(
        actor=operator(), name="Other", jwks=Key().jwks, membership=member, scopes=["system/*.rs"]
    )
    refused(asked(KEY.statement(other)))
    refused(asked(KEY.statement(service), client_id=str(other.pk)))


@pytest.mark.parametrize(
    "scope",
    ["system/*.rs", "system/Observation.r", "user/Patient.rs", "patient/Patient.rs",
     "system/Patient.rs offline_access", "system/Patient.cruds", ""],
)  # fmt: skip
def test_a_service_gets_what_it_was_registered_for(service, scope):
    refused(asked(KEY.statement(service), scope=scope), "invalid_scope")


def test_a_part_of_it_is_given(service):
    assert asked(KEY.statement(service), scope="system/Patient.r").json()["scope"] == (
        "system/Patient.r"
    )


def test_it_ends_with_the_member_whose_rights_it_has(service, member):
    token = asked(KEY.statement(service)).json()["access_token"]
    member.is_active = False
    member.save()
    assert reader(token).get("/fhir/R4/Patient").status_code == 401
    ApiToken.objects.all().delete()
    refused(asked(KEY.statement(service)), "unauthorized_client")


def test_roles_count_for_services_too(service, member):
    """A doctor's service cannot read the audit trail, whatever it was registered for."""
    SmartApp.objects.update(system_scopes="system/*.rs")
    token = asked(KEY.statement(service), scope="system/*.rs").json()["access_token"]
    assert reader(token).get("/fhir/R4/AuditEvent").status_code == 403


def test_a_stopped_service_and_a_replaced_key_end_at_once(service):
    token = asked(KEY.statement(service)).json()["access_token"]
    fresh = Key("k2")
    smart_app_keys(actor=operator(), app=service, jwks=fresh.jwks)
    assert asked(KEY.statement(service)).status_code == 401
    assert asked(fresh.statement(service)).status_code == 200
    smart_app_stop(actor=operator(), app=service)
    assert reader(token).get("/fhir/R4/Patient").status_code == 401
    assert asked(fresh.statement(service)).status_code == 401


def test_services_are_no_apps_of_people(service, client, member):
    client.force_login(member.user)
    from tests.support.smart import asked as address

    assert client.get(address(service)).status_code == 400
    for grant in ("authorization_code", "refresh_token"):
        body = {"grant_type": grant, "code": "x", "refresh_token": "x", "redirect_uri": "x"}
        refused(posted("/oauth/token", **body, **proof(KEY.statement(service))),
                "unauthorized_client")  # fmt: skip


def test_apps_of_people_are_no_services(client, member):
    from tests.support.smart import registered

    app = registered(jwks=KEY.jwks)
    refused(asked(KEY.statement(app)), "unauthorized_client")
    client.force_login(member.user)
    assert allowed(client, app)


def weak() -> dict:
    numbers = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()  # noqa: S505
    algorithm = jwt.algorithms.get_default_algorithms()["RS384"]
    return json.loads(algorithm.to_jwk(numbers)) | {"kid": "k"}


@pytest.mark.parametrize(
    "jwks",
    [
        {},
        {"keys": []},
        {"keys": "x"},
        {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "k"}]},
        {"keys": [{**KEY.public, "d": "secret"}]},
        {"keys": [{**KEY.public, "kid": ""}]},
        {"keys": [{**KEY.public, "crv": "P-256"}]},
        {"keys": [{**KEY.public, "alg": "HS256"}]},
        {"keys": [{**KEY.public, "use": "enc"}]},
        {"keys": [{**KEY.public, "x": "!"}]},
        {"keys": [KEY.public, KEY.public]},
        {"keys": [weak()]},
    ],
)
def test_keys_that_nobody_may_register(member, jwks):
    with pytest.raises(DomainError, match="smart_keys_invalid"):
        smart_service_create(
            actor=operator(), name="EMR", jwks=jwks, membership=member, scopes=["system/*.rs"]
        )
    assert not SmartApp.objects.exists()


def test_the_operator_registers_stops_and_gives_new_keys(member, tmp_path, capsys):
    keys, admin = tmp_path / "jwks.json", operator()
    keys.write_text(json.dumps(KEY.jwks))
    call_command(
        "smart_app", operator=admin.email, name="EMR", jwks=keys, clinic=member.clinic.name,
        member=member.user.email, scope=["system/Patient.rs"],
    )  # fmt: skip
    app = SmartApp.objects.get(pk=capsys.readouterr().out.strip())
    assert asked(KEY.statement(app)).status_code == 200
    fresh = Key("k2")
    keys.write_text(json.dumps(fresh.jwks))
    call_command("smart_app", operator=admin.email, new_keys=str(app.pk), jwks=keys)
    assert asked(fresh.statement(app)).status_code == 200
    call_command("smart_app", operator=admin.email, stop=str(app.pk))
    assert asked(fresh.statement(app)).status_code == 401
    with clinic_scope(member.clinic_id):
        actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"smart_app.create", "smart_app.keys", "smart_app.stop"} <= actions
    with pytest.raises(CommandError, match="smart_scopes_invalid"):
        call_command(
            "smart_app", operator=admin.email, name="EMR", jwks=keys, clinic=member.clinic.name,
            member=member.user.email, scope=["user/*.rs"],
        )  # fmt: skip
