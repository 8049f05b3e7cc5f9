"""An app of one patient over HTTP: what it is told, and all the ways around that."""

import hashlib
import re
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from accounts.models import ApiToken, AuditEvent
from accounts.tenancy import clinic_scope
from diagnosis.api.fhir.resources import RESOURCES
from diagnosis.storage import object_put
from tests.diagnosis.api.conftest import Client as Window
from tests.diagnosis.api.conftest import world_of
from tests.factories import OrderFactory, ReportVersionFactory
from tests.interop.fhir_schema import violations
from tests.support.smart import allowed, asked, exchanged, reader, registered

pytestmark = pytest.mark.django_db
FHIR = "/fhir/R4/"
PDF = b"%PDF-1.7 signed"
ALL = "launch/patient patient/*.rs"


def signed(rows, by):
    """Give the world's report a signed version with a stored PDF."""
    rows.order = OrderFactory(study=rows.study)
    rows.signed = ReportVersionFactory(
        report=rows.report, number=2, impression="No fracture seen.", status="signed",
        reason="Typing error", signed_by=by, signed_at=timezone.now(), signer_name="Dr. Example",
        content_sha256=hashlib.sha256(str(uuid4()).encode()).hexdigest(), author=by,
        pdf_key=object_put(data=PDF, kind="reports", content_type="application/pdf"),
        pdf_sha256=hashlib.sha256(PDF).hexdigest(),
    )  # fmt: skip
    return rows


@pytest.fixture
def browser(everything):
    client = Client()
    client.force_login(everything.user)
    return client


@pytest.fixture
def app(db):
    return registered()


@pytest.fixture
def own(clinic, everything):
    return signed(world_of(clinic, everything.user), everything.user)


@pytest.fixture
def other(clinic, everything):
    """Return another patient of the same clinic, with one of everything."""
    return signed(world_of(clinic, everything.user), everything.user)


@pytest.fixture
def launched(app, browser, own):
    """Return a client of the app that was launched for the own patient."""

    def launch(scope=ALL):
        code = allowed(browser, app, scope=scope, patient=own.patient)
        told = exchanged(app, code).json()
        assert told["patient"] == str(own.patient.pk)
        return reader(told["access_token"])

    return launch


def ids_of(rows):
    return {
        "Patient": rows.patient.pk,
        "ServiceRequest": rows.order.pk,
        "ImagingStudy": rows.study.pk,
        "Observation": rows.finding.pk,
        "DiagnosticReport": rows.report.pk,
        "Device": rows.analysis.model_version_id,
        "DocumentReference": rows.analysis.model_version_id,
        "Provenance": rows.signed.pk,
    }


def found(client, query):
    response = client.get(FHIR + query)
    assert response.status_code == 200, response.content
    assert violations(response.content) == []
    return response.json()


def entries(bundle, mode="match"):
    return {
        entry["resource"]["id"]
        for entry in bundle.get("entry", [])
        if entry["search"]["mode"] == mode
    }


def test_the_member_chooses_the_patient(app, browser, own, other, everything):
    page = browser.get(asked(app, scope=ALL)).content.decode()
    assert own.patient.record_number in page
    assert "Of one patient" in page
    searched = browser.post(
        asked(app, scope=ALL), {"answer": "search", "q": other.patient.family_name}
    )
    assert own.patient.record_number not in searched.content.decode()
    missing = browser.post(asked(app, scope=ALL), {"answer": "allow"})
    assert missing.status_code == 422
    assert b"Choose a patient first" in missing.content
    for wrong in (uuid4(), "x", ""):
        answer = browser.post(asked(app, scope=ALL), {"answer": "allow", "patient": wrong})
        assert answer.status_code == 422
    code = allowed(browser, app, scope=ALL, patient=own.patient)
    told = exchanged(app, code).json()
    assert (told["patient"], told["need_patient_banner"]) == (str(own.patient.pk), True)
    with clinic_scope(everything.membership.clinic_id):
        event = AuditEvent.objects.get(action="smart_app.allow")
    assert event.patient_id == own.patient.pk


def test_a_foreign_clinics_patient_cannot_be_chosen(app, browser, own, stranger):
    foreign = world_of(stranger.membership.clinic, stranger.user)
    answer = {"answer": "allow", "patient": str(foreign.patient.pk)}
    assert browser.post(asked(app, scope=ALL), answer).status_code == 422


@pytest.mark.parametrize("kind", [kind for kind in RESOURCES if kind != "AuditEvent"])
def test_another_patient_does_not_exist(kind, launched, own, other):
    client, mine, theirs = launched(), str(ids_of(own)[kind]), str(ids_of(other)[kind])
    assert mine != theirs
    assert client.get(f"{FHIR}{kind}/{mine}").status_code == 200
    missing = client.get(f"{FHIR}{kind}/{uuid4()}")
    foreign = client.get(f"{FHIR}{kind}/{theirs}")
    assert (foreign.status_code, foreign.content) == (404, missing.content)
    everything = found(client, kind)
    assert mine in entries(everything)
    assert theirs not in entries(everything)
    assert everything["total"] == len(entries(everything))
    assert found(client, f"{kind}?_id={theirs}")["total"] == 0
    assert found(client, f"{kind}?_id={theirs}&_summary=count")["total"] == 0
    if "patient" in RESOURCES[kind].search:
        assert found(client, f"{kind}?patient={other.patient.pk}")["total"] == 0
        both = found(client, f"{kind}?patient={other.patient.pk},{own.patient.pk}")
        assert theirs not in entries(both)
        assert found(client, f"{kind}?patient:Patient={other.patient.pk}")["total"] == 0


def test_the_trail_of_another_patient_is_not_told(launched, own, other, browser):
    client = launched()
    reader_of_all = Client()
    reader_of_all.force_login(ApiToken.objects.latest("created_at").membership.user)
    for rows in (own, other):
        assert reader_of_all.get(f"{FHIR}Patient/{rows.patient.pk}").status_code == 200
    text = client.get(f"{FHIR}AuditEvent").content.decode()
    assert str(own.patient.pk) in text
    assert str(other.patient.pk) not in text


def test_includes_and_chains_are_narrowed_too(launched, own, other):
    client = launched()
    for query in (
        "Observation?_include=Observation:patient&_include=Observation:device",
        "DiagnosticReport?_include=DiagnosticReport:imaging-study",
        "ImagingStudy?_include=ImagingStudy:basedon",
        f"Observation?derived-from={other.study.pk}",
        f"ImagingStudy?basedon={other.order.pk}",
        f"Provenance?target=DiagnosticReport/{other.report.pk}",
        f"DocumentReference?related={other.analysis.model_version_id}",
        f"Patient?identifier={other.patient.record_number}",
        f"Observation?patient.identifier={other.patient.record_number}",
        f"Patient?_id:not={own.patient.pk}",
    ):
        text = client.get(FHIR + query).content.decode()
        for pk in (*map(str, ids_of(other).values()), other.patient.record_number):
            assert f'"{pk}"' not in text, query
            assert f'/{pk}"' not in text, query
    with_patient = found(client, "ImagingStudy?_include=ImagingStudy:patient")
    assert entries(with_patient, "include") == {str(own.patient.pk)}


def test_an_include_needs_its_own_scope(launched):
    client = launched("patient/ImagingStudy.rs")
    assert client.get(f"{FHIR}ImagingStudy").status_code == 200
    for query in (
        "ImagingStudy?_include=ImagingStudy:patient",
        "ImagingStudy?patient.identifier=MRN-1",
        "Patient",
        "Observation",
        "AuditEvent",
    ):
        refused = client.get(FHIR + query)
        assert refused.status_code == 403, query
        assert refused.json()["issue"][0]["details"]["coding"][0]["code"] == "scope"


def test_reading_and_searching_are_two_things(launched, own):
    client = launched("patient/Patient.r")
    assert client.get(f"{FHIR}Patient/{own.patient.pk}").status_code == 200
    assert client.get(f"{FHIR}Patient").status_code == 403
    client = launched("patient/Patient.s")
    assert client.get(f"{FHIR}Patient/{own.patient.pk}").status_code == 403
    form = "application/x-www-form-urlencoded"
    assert client.post(f"{FHIR}Patient/_search", "", content_type=form).json()["total"] == 1


def test_a_page_of_somebody_elses_search_is_narrowed(launched, own, other, everything):
    """The address of a page is sealed, and not a right."""
    first = everything.client.get(f"{FHIR}Patient?_count=1").json()
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    page = urlsplit(following)
    client = launched()
    told = client.get(f"{page.path}?{page.query}").json()
    assert entries(told) <= {str(own.patient.pk)}
    assert told["total"] == 1


def test_a_launch_without_patient_scopes_gives_context_and_no_wall(app, browser, own, other):
    code = allowed(browser, app, scope="launch/patient user/Patient.rs", patient=own.patient)
    told = exchanged(app, code).json()
    assert told["patient"] == str(own.patient.pk)
    assert found(reader(told["access_token"]), "Patient")["total"] == 2


def test_orders_are_not_placed_by_an_app(launched, own):
    body = {"resourceType": "ServiceRequest", "status": "active", "intent": "order"}
    for method, path in (("post", "ServiceRequest"), ("put", f"ServiceRequest/{own.order.pk}")):
        send = getattr(launched(), method)
        assert send(FHIR + path, body, content_type="application/json").status_code == 403


def test_the_signed_pdf_comes_with_the_same_token(launched, own, other, doctor, world):
    client = launched("patient/DiagnosticReport.rs")
    report = client.get(f"{FHIR}DiagnosticReport/{own.report.pk}").json()
    address = urlsplit(report["presentedForm"][0]["url"]).path
    pdf = client.get(address)
    assert (pdf.content, pdf["Content-Type"]) == (PDF, "application/pdf")
    assert pdf["X-Security-Context"].endswith(f"DiagnosticReport/{own.report.pk}")
    told = client.get(address, headers={"accept": "application/fhir+json"})
    assert violations(told.content) == []
    assert told.json()["securityContext"]["reference"] == f"DiagnosticReport/{own.report.pk}"
    for pk in (other.signed.pk, own.version.pk, uuid4(), "x"):  # another's, a draft, nothing
        assert client.get(f"{FHIR}Binary/{pk}").status_code == 404
    assert launched("patient/Patient.rs").get(address).status_code == 403
    assert doctor.client.get(address).content == PDF


def linked(client, rows):
    response = client.get(f"{FHIR}ImagingStudy/{rows.study.pk}/$viewer")
    assert response.status_code == 200, response.content
    assert violations(response.content) == []
    assert response["Cache-Control"] == "no-store"
    told = {each["name"]: each for each in response.json()["parameter"]}
    return urlsplit(told["url"]["valueUrl"]).path


def test_a_link_opens_the_study_for_reading_once(launched, own, other):
    client = launched()
    link = linked(client, own)
    assert str(own.study.pk) not in link
    window = Window()
    page = window.get(link, follow=True)
    assert page.status_code == 200
    text = page.content.decode()
    assert own.patient.record_number in text
    assert 'method="post"' not in text  # nothing to change
    assert "data-diagnostic" not in text
    for address in set(re.findall(rf'"(/launch/study/{own.study.pk}/[^"?]*)', text)):
        assert window.get(address).status_code == 200, address
    assert window.get(f"/launch/study/{own.study.pk}/report/").content == PDF
    # The link itself, in another window, and other studies by this window.
    assert Client().get(link, follow=True).status_code == 404
    assert window.get(f"/launch/study/{other.study.pk}/").status_code == 404
    foreign = f"/launch/study/{own.study.pk}/images/{other.image.pk}/rendition/"
    assert window.get(foreign).status_code == 404
    assert window.get(f"/studies/{own.study.pk}/").status_code == 302  # no session of the member
    assert Client().get(f"/launch/study/{own.study.pk}/").status_code == 404


def test_a_link_is_old_after_a_minute(launched, own):
    link = linked(launched(), own)
    with time_machine.travel(timezone.now() + timedelta(seconds=70), tick=False):
        assert Client().get(link, follow=True).status_code == 404


@pytest.mark.parametrize("secret", ["x", "gAAAAABk", "%00", "a" * 300])
def test_made_up_links_open_nothing(secret, db):
    assert Client().get(f"/launch/{secret}/").status_code == 404


def test_what_was_opened_ends_with_the_token(launched, own):
    link, window = linked(launched(), own), Window()
    window.get(link)
    page = f"/launch/study/{own.study.pk}/"
    assert window.get(page).status_code == 200
    ApiToken.objects.update(revoked_at=timezone.now())
    assert window.get(page).status_code == 404
    assert window.get(f"{page}images/{own.image.pk}/rendition/").status_code == 404


def test_a_link_shows_no_more_than_the_token_reads(launched, own):
    window = Window()
    text = window.get(
        linked(launched("patient/ImagingStudy.rs"), own), follow=True
    ).content.decode()
    assert own.patient.record_number not in text
    assert str(own.finding.pk) not in text
    assert "What the AI says" not in text
    page = f"/launch/study/{own.study.pk}/"
    assert window.get(f"{page}report/").status_code == 404
    assert window.get(f"{page}images/{own.image.pk}/heatmap/").status_code == 404


def test_links_are_for_apps_and_their_patient(launched, other, own, doctor):
    assert launched().get(f"{FHIR}ImagingStudy/{other.study.pk}/$viewer").status_code == 404
    assert doctor.client.get(f"{FHIR}ImagingStudy/{own.study.pk}/$viewer").status_code == 403
    client = launched("patient/Observation.rs")
    assert client.get(f"{FHIR}ImagingStudy/{own.study.pk}/$viewer").status_code == 403


def test_the_statements_name_what_there_is(client, db):
    told = client.get(f"{FHIR}metadata").json()
    assert violations(client.get(f"{FHIR}metadata").content) == []
    kinds = {each["type"]: each for each in told["rest"][0]["resource"]}
    assert kinds["ImagingStudy"]["operation"][0]["name"] == "viewer"
    assert [each["code"] for each in kinds["Binary"]["interaction"]] == ["read"]
    configuration = client.get(f"{FHIR}.well-known/smart-configuration").json()
    for name in ("authorization_endpoint", "token_endpoint", "introspection_endpoint",
                 "revocation_endpoint", "management_endpoint"):  # fmt: skip
        path = urlsplit(configuration[name]).path
        assert Client().get(path).status_code in {302, 405}, name
    assert {f"patient/{kind}.rs" for kind in RESOURCES} <= set(configuration["scopes_supported"])
