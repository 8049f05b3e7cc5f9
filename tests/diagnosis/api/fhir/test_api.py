"""FHIR over HTTP: who sees what, what is found, and that it is told the way the standard says."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationoutcome import OperationOutcome

from accounts.models import ApiToken, AuditEvent, Role
from accounts.tenancy import clinic_scope
from diagnosis.api.fhir.resources import RESOURCES
from diagnosis.api.fhir.urls import urlpatterns
from diagnosis.models import Study
from tests.diagnosis.api.conftest import client_of, person, world_of
from tests.factories import (
    AnalysisFactory,
    FindingFactory,
    ModelVersionFactory,
    OrderFactory,
    PatientFactory,
    ReportVersionFactory,
    StudyFactory,
    StudyImageFactory,
)
from tests.interop.fhir_schema import violations

pytestmark = pytest.mark.django_db
FHIR = "/fhir/R4/"
ROUTES = [
    pytest.param(pattern, method, id=f"{method} {pattern.name}")
    for pattern in urlpatterns
    if pattern.name not in {"fhir-metadata", "unknown"}
    for method in pattern.callback.actions
]
OF_PATIENTS = [kind for kind, served in RESOURCES.items() if served.noun]


@pytest.fixture
def whole(world, everything):
    """Return the world with an order, a signed report with an amendment, and ids by type."""
    at = timezone.now()
    world.order = OrderFactory(study=world.study)
    world.signed = ReportVersionFactory(
        report=world.report, number=2, reason="Typing error", impression="No fracture seen.",
        status="signed", signed_by=everything.user, signed_at=at, signer_name="Dr. Example",
        content_sha256="ef" * 32, pdf_key="reports/x.pdf", pdf_sha256="ab" * 32,
        author=everything.user,
    )  # fmt: skip
    world.signed_at = at
    return world


def ids_of(rows):
    model = rows.analysis.model_version
    return {
        "Patient": rows.patient.pk,
        "ServiceRequest": rows.order.pk,
        "ImagingStudy": rows.study.pk,
        "Observation": rows.finding.pk,
        "DiagnosticReport": rows.report.pk,
        "Device": model.pk,
        "DocumentReference": model.pk,
        "Provenance": rows.analysis.pk,
        "Binary": rows.signed.pk,
    }


def address(pattern, pk):
    return FHIR + str(pattern.pattern).replace("<str:pk>", str(pk))


def send(client, pattern, method, pk):
    url = address(pattern, pk)
    if method == "get":
        return client.get(url)
    if "_search" in url:
        return client.post(url, "", content_type="application/x-www-form-urlencoded")
    return getattr(client, method)(url, {"resourceType": "ServiceRequest"}, format="json")


def found(client, query) -> Bundle:
    response = client.get(FHIR + query)
    assert response.status_code == 200, response.content
    assert violations(response.content) == []
    return Bundle.model_validate_json(response.content)


def keys(bundle, mode="match"):
    return [entry.resource.id for entry in bundle.entry or [] if entry.search.mode == mode]


def outcome(response) -> tuple[int, str]:
    assert violations(response.content) == []
    told = OperationOutcome.model_validate_json(response.content)
    assert response["Content-Type"].startswith("application/fhir+json")
    return response.status_code, told.issue[0].details.coding[0].code


def test_every_route_is_made_from_the_table():
    assert {pattern.values[0].name for pattern in ROUTES} == {
        f"{kind}-{what}" for kind in RESOURCES for what in ("search", "search-by-post", "read")
    } | {"Binary-read", "ImagingStudy-viewer"}


@pytest.mark.parametrize(("pattern", "method"), ROUTES)
def test_nobody_gets_401_with_the_scheme(pattern, method, nobody, db):
    response = send(nobody, pattern, method, uuid4())
    assert outcome(response) == (401, "not_authenticated")
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("pattern", "method"), ROUTES)
def test_a_foreign_clinics_resource_is_404_like_one_that_nobody_has(
    pattern, method, whole, stranger
):  # fmt: skip
    kind = pattern.name.split("-")[0]
    if kind in RESOURCES and RESOURCES[kind].noun == "":
        return  # models belong to no clinic
    known = {**ids_of(whole), "AuditEvent": 1}
    response = send(stranger.client, pattern, method, known[kind])
    if "<str:pk>" in str(pattern.pattern):
        assert outcome(response) == (404, "not_found")
        missing = send(stranger.client, pattern, method, uuid4())
        assert json.loads(missing.content) == json.loads(response.content)
    elif method == "get" or "_search" in str(pattern.pattern):
        text = response.content.decode()
        assert response.status_code == 200
        assert not [key for key in map(str, known.values()) if f'"{key}"' in text]


@pytest.mark.parametrize("kind", [kind for kind in RESOURCES if kind != "AuditEvent"])
def test_each_type_is_read_and_searched_by_a_token_that_only_reads(kind, whole, doctor):
    client = client_of(doctor.membership, ApiToken.Scope.READ)
    pk = str(ids_of(whole)[kind])
    response = client.get(f"{FHIR}{kind}/{pk}")
    assert response.status_code == 200, response.content
    body = response.json()
    assert (body["resourceType"], body["id"]) == (kind, pk)
    assert violations(response.content) == []
    assert response["ETag"].startswith('W/"')
    assert pk in keys(found(client, kind))
    assert keys(found(client, f"{kind}?_id={pk}")) == [pk]
    assert keys(found(client, f"{kind}?_id={uuid4()}")) == []


def test_bearer_and_token_are_the_same_scheme(doctor, world):
    secret = doctor.client._credentials["HTTP_AUTHORIZATION"].split()[1]
    client = type(doctor.client)()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    assert keys(found(client, "Patient")) == [str(world.patient.pk)]
    client.credentials(HTTP_AUTHORIZATION="Bearer fs_wrong")
    assert outcome(client.get(FHIR + "Patient")) == (401, "invalid_token")


def test_the_trail_is_for_administrators(admin, doctor, world):
    doctor.client.get(f"{FHIR}Patient/{world.patient.pk}")
    assert outcome(doctor.client.get(FHIR + "AuditEvent")) == (403, "permission_denied")
    events = found(admin.client, f"AuditEvent?patient=Patient/{world.patient.pk}")
    told = [entry.resource for entry in events.entry]
    assert "patient.open" in {event.subtype[0].code for event in told}
    [same] = found(admin.client, f"AuditEvent?_id={told[0].id}").entry
    assert same.resource.id == told[0].id
    assert admin.client.get(f"{FHIR}AuditEvent/{told[0].id}").status_code == 200


@pytest.mark.parametrize("kind", OF_PATIENTS)
def test_one_request_is_one_audit_event(kind, whole, everything, in_clinic):
    if kind == "AuditEvent":
        return
    noun = RESOURCES[kind].noun
    for path, action in (
        (f"{kind}/{ids_of(whole)[kind]}", f"{noun}.open"),
        (kind, f"{noun}.list"),
        (f"{kind}?_include={kind}:patient" if kind == "Observation" else kind, f"{noun}.list"),
    ):
        with in_clinic():
            before = AuditEvent.objects.count()
        assert everything.client.get(FHIR + path).status_code == 200
        with in_clinic():
            assert AuditEvent.objects.count() == before + 1
            event = AuditEvent.objects.latest("id")
        assert (event.action, event.patient_id) == (action, whole.patient.pk)


def test_a_new_result_of_an_image_replaces_the_one_that_nobody_signed(world, doctor):
    newer = AnalysisFactory(image=world.image, succeeded=True)
    assert keys(found(doctor.client, "Observation")) == [str(newer.pk)]


def test_what_was_signed_stays_final_beside_a_newer_result(whole, doctor):
    before = found(doctor.client, "Observation?status=final")
    assert set(keys(before)) == {str(whole.analysis.pk), str(whole.finding.pk)}
    newer = AnalysisFactory(image=whole.image, succeeded=True)
    final = found(doctor.client, "Observation?status=final")
    assert set(keys(final)) == {str(whole.analysis.pk), str(whole.finding.pk)}
    assert keys(found(doctor.client, "Observation?status=preliminary")) == [str(newer.pk)]
    report = doctor.client.get(f"{FHIR}DiagnosticReport/{whole.report.pk}").json()
    assert {each["reference"] for each in report["result"]} == {
        f"Observation/{whole.analysis.pk}", f"Observation/{whole.finding.pk}",
    }  # fmt: skip
    assert report["status"] == "amended"
    assert report["presentedForm"][0]["url"].endswith(f"/fhir/R4/Binary/{whole.signed.pk}")
    assert report["meta"]["tag"][0]["code"] == "ai-assisted"


def test_a_machines_observations_say_so(whole, doctor):
    for entry in found(doctor.client, "Observation").entry:
        assert entry.resource.meta.security[0].code == "AIAST"


SEARCHES = [
    ("Patient?identifier={number}", 1), ("Patient?identifier={system}|{number}", 1),
    ("Patient?identifier=http://other|{number}", 0), ("Patient?identifier=nobody", 0),
    ("Patient?family=EXAMP", 1), ("Patient?family:exact=exampl", 0), ("Patient?name=ad", 1),
    ("Patient?name:contains=xampl", 1), ("Patient?given=Ada,Bob", 1), ("Patient?given=Bob", 0),
    ("Patient?birthdate=1980-05-01", 1), ("Patient?birthdate=1980", 1),
    ("Patient?birthdate=ge1980-05-02", 0), ("Patient?birthdate=lt1981", 1),
    ("Patient?birthdate=sa1979", 1), ("Patient?birthdate=eb1980-05", 0),
    ("Patient?birthdate=ne1980", 0), ("Patient?birthdate:missing=true", 0),
    ("Patient?gender=unknown", 1), ("Patient?gender:not=unknown", 0), ("Patient?active=true", 1),
    ("Patient?_lastUpdated=gt2020", 1), ("Patient?_lastUpdated=lt2020", 0),
    ("Patient?_lastUpdated=ap{today}", 1), ("Patient?_lastUpdated=le{future}", 1),
    ("ServiceRequest?patient={patient}", 1), ("ServiceRequest?patient=Patient/{patient}", 1),
    ("ServiceRequest?subject:Patient={patient}", 1), ("ServiceRequest?status=active", 1),
    ("ServiceRequest?status=revoked,completed", 0), ("ServiceRequest?identifier={placer}", 1),
    ("ServiceRequest?patient.identifier={number}", 1), ("ServiceRequest?authored=ge2020", 1),
    ("ImagingStudy?patient={patient}&status=available", 1), ("ImagingStudy?status=registered", 0),
    ("ImagingStudy?patient.identifier={number}", 1), ("ImagingStudy?started=gt2020", 1),
    ("ImagingStudy?basedon=ServiceRequest/{order}", 1), ("ImagingStudy?patient=nobody", 0),
    ("ImagingStudy?identifier=urn:dicom:uid|urn:oid:2.25.{uid}", 1),
    ("ImagingStudy?patient={base}/fhir/R4/Patient/{patient}", 1),
    ("Observation?patient={patient}", 2), ("Observation?code=fracture", 1),
    ("Observation?code=fracture-in-image", 1), ("Observation?derived-from={study}", 2),
    ("Observation?date=gt2020&status=final", 2), ("Observation?date=gt2020&date=lt2021", 0),
    ("Observation?device=Device/{model}", 2), ("Observation?identifier=2.25.{finding_uid}", 1),
    ("DiagnosticReport?status=amended", 1), ("DiagnosticReport?status=final", 0),
    ("DiagnosticReport?issued=gt2020", 1), ("DiagnosticReport?subject=Patient/{patient}", 1),
    ("DiagnosticReport?identifier={digest}", 1),
    ("Device?status=active", 0), ("Device?identifier={weights}", 1),
    ("DocumentReference?related=Device/{model}", 1),
    ("Provenance?target=Observation/{finding}", 1), ("Provenance?patient={patient}", 2),
    ("Provenance?target=DiagnosticReport/{report}", 1), ("Provenance?recorded=gt2020", 2),
]  # fmt: skip


@pytest.mark.parametrize(("query", "count"), SEARCHES, ids=[query for query, _ in SEARCHES])
def test_searches(query, count, whole, doctor, settings):
    with clinic_scope(whole.clinic.pk):
        whole.patient.birth_date = "1980-05-01"
        whole.patient.save()
        whole.finding.refresh_from_db()
    now = timezone.now()
    filled = query.format(
        number=whole.patient.record_number,
        system=f"{settings.BASE_URL}/clinics/{whole.clinic.pk}/record-number",
        patient=whole.patient.pk, study=whole.study.pk, order=whole.order.pk,
        placer=whole.order.placer_number, report=whole.report.pk, finding=whole.finding.pk,
        model=whole.analysis.model_version.pk, weights=whole.analysis.model_version.sha256,
        uid=whole.study.pk.int, finding_uid=whole.finding.uid.int, digest="ef" * 32,
        today=now.date(), future=(now + timedelta(days=2)).date(), base=settings.BASE_URL,
    )  # fmt: skip
    bundle = found(doctor.client, filled)
    assert bundle.total == len(keys(bundle)) == count


@pytest.mark.parametrize(
    "query",
    [
        "Patient?nothing=1", "Patient?birthdate=yesterday", "Patient?birthdate=2026-13",
        "Patient?birthdate=1980-05-01T10:00", "Patient?gender=robot", "Patient?name:below=x",
        "Patient?_count=many", "Patient?_include=Patient:friends", "Patient?_page=forged",
        "Patient?_summary=text", "Patient?_lastUpdated=9999-12-31T23:59:59+99:00",
        "Observation?patient=Device/1", "Patient?_sort=name", "Patient?_has:x=1",
        "Patient?identifier:above=x", "Patient?family=" + ",".join("a" * 1 for _ in range(101)),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_an_error_and_never_ignored(query, doctor, world):
    assert outcome(doctor.client.get(FHIR + query)) == (400, "search_invalid")


def test_pages_lead_through_all_rows_once_and_hide_what_was_asked(clinic, doctor):
    made = {str(PatientFactory(clinic=clinic).pk) for _ in range(7)}
    url, seen = FHIR + "Patient?_count=3&family=Example", []
    for _page in range(5):
        bundle = found(doctor.client, url.partition(FHIR)[2])
        assert bundle.total == 7
        seen += keys(bundle)
        links = {link.relation: link.url for link in bundle.link}
        if "next" not in links:
            break
        assert "Example" not in links["next"]
        url = links["next"]
        PatientFactory(clinic=clinic, family_name="Other")  # pages stay where they are
    assert len(seen) == 7
    assert set(seen) == made


def test_two_kinds_of_rows_come_in_one_order(clinic, doctor):
    study = StudyFactory(patient__clinic=clinic)
    for number in range(4):
        image = StudyImageFactory(study=study, position=number)
        FindingFactory(analysis=AnalysisFactory(image=image, succeeded=True))
    first = found(doctor.client, "Observation?_count=5")
    url = next(link.url for link in first.link if link.relation == "next")
    second = Bundle.model_validate_json(
        doctor.client.get("/fhir" + url.partition("/fhir")[2]).content
    )
    assert first.total == 8
    assert len(set(keys(first) + keys(second))) == 8


def test_a_page_of_one_clinic_shows_nothing_to_another(clinic, doctor, stranger):
    for _ in range(3):
        PatientFactory(clinic=clinic)
    first = found(doctor.client, "Patient?_count=1")
    url = next(link.url for link in first.link if link.relation == "next")
    assert found(stranger.client, url.partition(FHIR)[2]).total == 0


def test_searching_by_post_keeps_names_out_of_addresses(doctor, world):
    response = doctor.client.post(
        FHIR + "Patient/_search",
        f"identifier={world.patient.record_number}",
        content_type="application/x-www-form-urlencoded",
    )
    bundle = Bundle.model_validate_json(response.content)
    assert keys(bundle) == [str(world.patient.pk)]
    assert world.patient.record_number not in str([link.url for link in bundle.link])


def test_counting_only(doctor, world):
    for query in ("Patient?_summary=count", "Patient?_count=0"):
        bundle = found(doctor.client, query)
        assert (bundle.total, bundle.entry) == (1, None)


def test_includes_bring_what_is_referred_to(whole, doctor):
    bundle = found(
        doctor.client,
        "ImagingStudy?_include=ImagingStudy:patient&_include=ImagingStudy:basedon",
    )
    assert set(keys(bundle, "include")) == {str(whole.patient.pk), str(whole.order.pk)}
    bundle = found(doctor.client, "DiagnosticReport?_include=DiagnosticReport:result")
    assert set(keys(bundle, "include")) == {str(whole.analysis.pk), str(whole.finding.pk)}
    bundle = found(doctor.client, "Observation?_include=Observation:device&code=fracture")
    assert keys(bundle, "include") == [str(whole.analysis.model_version.pk)]


@pytest.mark.parametrize("kind", [k for k in RESOURCES if k not in {"Device", "DocumentReference"}])
def test_the_number_of_queries_does_not_depend_on_the_rows(
    kind, whole, everything, django_assert_max_num_queries, in_clinic
):  # fmt: skip
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert everything.client.get(FHIR + kind).status_code == 200
        return len(queries)

    cost()
    before = cost()
    for _ in range(3):
        more = world_of(whole.clinic, everything.user)
        OrderFactory(study=more.study)
        ReportVersionFactory(
            report=more.report, number=2, reason="x", status="signed", signed_by=everything.user,
            signed_at=timezone.now(), content_sha256="cd" * 32, pdf_key="k", pdf_sha256="ab" * 32,
            author=everything.user,
        )  # fmt: skip
    assert cost() == before


def test_conditional_reads(doctor, world):
    url = f"{FHIR}Patient/{world.patient.pk}"
    first = doctor.client.get(url)
    for header in (
        {"HTTP_IF_NONE_MATCH": first["ETag"]},
        {"HTTP_IF_MODIFIED_SINCE": first["Last-Modified"]},
    ):
        again = doctor.client.get(url, **header)
        assert (again.status_code, again.content) == (304, b"")
    with clinic_scope(world.clinic.pk):
        world.patient.family_name = "Changed"
        world.patient.save()
    changed = doctor.client.get(url, HTTP_IF_NONE_MATCH=first["ETag"])
    assert changed.status_code == 200
    assert changed["ETag"] != first["ETag"]


def test_formats(doctor, world):
    get = doctor.client.get
    for accept in ("application/fhir+json", "application/json", "*/*", "text/html, */*;q=0.1"):
        assert get(FHIR + "Patient", HTTP_ACCEPT=accept).status_code == 200
    assert get(FHIR + "Patient?_format=json").status_code == 200
    for response in (
        get(FHIR + "Patient", HTTP_ACCEPT="application/fhir+xml"),
        get(FHIR + "Patient?_format=xml"),
    ):
        assert outcome(response) == (406, "format_not_supported")


def test_capabilities_open_to_everybody_and_name_every_route(nobody, db):
    for url in (FHIR + "metadata", "/fhir/metadata"):
        response = nobody.get(url)
        assert violations(response.content) == []
        statement = CapabilityStatement.model_validate_json(response.content)
        served = {each.type: each for each in statement.rest[0].resource}
        assert set(served) == {*RESOURCES, "Binary"}  # the signed PDF has a route of its own
        assert {each.code for each in served["ServiceRequest"].interaction} == {
            "read", "search-type", "create", "update",
        }  # fmt: skip


@pytest.mark.parametrize("path", ["Nothing", "Patient/x/y", "Patient/%00", "patient"])
def test_unknown_addresses_are_outcomes_too(path, doctor):
    assert outcome(doctor.client.get(FHIR + path)) == (404, "not_found")


def test_what_is_not_offered_is_said_so(doctor, world):
    response = doctor.client.delete(f"{FHIR}Patient/{world.patient.pk}")
    assert outcome(response)[0] == 405


def order_of(world, **values):
    return {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "identifier": [
            {
                "type": {"coding": [{"code": "PLAC"}]},
                "system": "https://ris.example/orders",
                "value": "P-7",
            }
        ],
        "subject": {"reference": f"Patient/{world.patient.pk}"},
        "code": {"text": "Wrist left, two views"},
        "priority": "stat",
        "reasonCode": [{"text": "Fall"}],
    } | values


def test_orders_are_placed_once_changed_and_cancelled(doctor, world):
    post = doctor.client.post
    first = post(FHIR + "ServiceRequest", order_of(world))
    assert first.status_code == 201, first.content
    body = json.loads(first.content)
    url = FHIR + "ServiceRequest/" + body["id"]
    assert first["Location"].endswith(url)
    again = post(FHIR + "ServiceRequest", order_of(world))
    assert (again.status_code, json.loads(again.content)["id"]) == (200, body["id"])
    with clinic_scope(world.clinic.pk):
        study = Study.objects.get(orders=body["id"])
    assert (study.body_part, study.side, study.priority) == ("wrist", "left", 0)

    etag = doctor.client.get(url)["ETag"]
    changed = order_of(world, reasonCode=[{"text": "Fall again"}])
    done = doctor.client.put(url, changed, HTTP_IF_MATCH=etag)
    assert done.status_code == 200, done.content
    late = doctor.client.put(url, changed, HTTP_IF_MATCH=etag)
    assert outcome(late) == (412, "changed_meanwhile")
    revoked = doctor.client.put(url, order_of(world, status="revoked"))
    assert json.loads(revoked.content)["status"] == "revoked"
    assert outcome(doctor.client.put(url, changed)) == (409, "order_cancelled")


def test_an_order_may_name_the_patient_by_record_number(doctor, world, settings):
    system = f"{settings.BASE_URL}/clinics/{world.clinic.pk}/record-number"
    subject = {"identifier": {"system": system, "value": world.patient.record_number}}
    response = doctor.client.post(FHIR + "ServiceRequest", order_of(world, subject=subject))
    assert response.status_code == 201, response.content


def test_bad_orders_are_refused(doctor, admin, stranger, world):
    other = PatientFactory(clinic=world.clinic)
    foreign = PatientFactory()
    post = doctor.client.post
    doctor.client.post(FHIR + "ServiceRequest", order_of(world))

    def for_patient(subject):
        return order_of(world, subject=subject)

    elsewhere = {"identifier": {"system": "https://x.example", "value": "1"}}

    cases = [
        (for_patient({"reference": f"Patient/{other.pk}"}), 409, "order_of_other_patient"),
        (for_patient({"reference": f"Patient/{foreign.pk}"}), 422, "patient_unknown"),
        (for_patient({"identifier": {"value": "none"}}), 422, "patient_unknown"),
        (for_patient(elsewhere), 422, "patient_other_authority"),
        (order_of(world, identifier=[]), 422, "order_number_missing"),
        (order_of(world, status="draft"), 422, "resource_invalid"),
        (order_of(world, intent=7), 422, "resource_invalid"),
        (order_of(world, priority="whenever", secret="Canary"), 422, "resource_invalid"),
        ({"resourceType": "Patient"}, 422, "resource_invalid"),
        ([], 422, "resource_invalid"),
    ]  # fmt: skip
    for body, status, code in cases:
        response = post(FHIR + "ServiceRequest", body)
        assert outcome(response) == (status, code)
        assert b"Canary" not in response.content
    assert outcome(admin.client.post(FHIR + "ServiceRequest", order_of(world)))[0] == 403
    reader = client_of(doctor.membership, ApiToken.Scope.READ)
    assert outcome(reader.post(FHIR + "ServiceRequest", order_of(world)))[0] == 403
    clerk = person(world.clinic, Role.TECHNICIAN)
    assert clerk.client.post(FHIR + "ServiceRequest", order_of(world)).status_code == 200


def test_models_are_the_same_for_all_clinics_and_hold_their_card(stranger, db):
    model = ModelVersionFactory(manifest={"metrics": {"auc": 0.9}})
    card = stranger.client.get(f"{FHIR}DocumentReference/{model.pk}").json()
    assert card["content"][0]["attachment"]["contentType"] == "application/json"
