"""Whatever stands in the rows, what is told is FHIR R4."""

import json
import os
from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diagnosis.interop.fhir import (
    ServedResource,
    fhir_capability_statement,
    fhir_search_bundle,
)
from diagnosis.interop.fhir_documents import fhir_model_card
from diagnosis.interop.fhir_findings import fhir_finding_observation, fhir_image_observation
from diagnosis.interop.fhir_imaging import fhir_imaging_study, fhir_patient
from diagnosis.interop.fhir_orders import (
    fhir_service_request,
    identifier_system_of,
    source_of,
)
from diagnosis.interop.fhir_reports import ReportPdf, fhir_diagnostic_report
from diagnosis.interop.fhir_trail import (
    fhir_analysis_provenance,
    fhir_audit_event,
    fhir_device,
    fhir_report_provenance,
)
from diagnosis.models import Order, Study
from fracture_site.common.answers import operation_outcome
from tests.interop.fhir_rows import AT, BASE_URL, Rows
from tests.interop.fhir_schema import violations

TEXT = st.text(max_size=80)
NAME = st.text(min_size=1, max_size=40).filter(lambda text: any(c.isalnum() for c in text))
TIME = st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
SOURCES = ["hl7:RIS|HOSPITAL", "https://ris.example/orders", "hl7:Ä b|"]
VERDICT = st.sampled_from(["definite", "suspicion", "negative", "cannot_assess"])


@st.composite
def rows(draw) -> tuple[Rows, Order]:
    """Return rows with any text, sides, times and numbers in them."""
    made = Rows()
    patient, study, image, analysis = made.patient, made.study, made.image, made.analysis
    patient.family_name, patient.given_name = draw(NAME), draw(TEXT)
    patient.record_number = draw(NAME)
    patient.birth_date = draw(st.none() | st.dates(date(1900, 1, 1), date(2026, 1, 1)))
    patient.sex = draw(st.sampled_from(["female", "male", "other", "unknown"]))
    study.clinical_question, study.accession_number = draw(TEXT), draw(TEXT)
    study.body_part = draw(st.sampled_from(["", *Study.BodyPart.values]))
    study.side = draw(st.sampled_from(["", *Study.Side.values]))
    study.study_instance_uid = draw(st.sampled_from(["", "1.2.840.1", "01.2", "x"]))
    study.priority = draw(st.sampled_from([0, 1, 2]))
    study.status = draw(st.sampled_from(Study.Status.values))
    study.updated_at = draw(TIME)
    image.modality = draw(st.sampled_from(["", "DX", "CR", "X Y", "XRAY"]))
    image.laterality = draw(st.sampled_from(["", "L", "R", "B", "U"]))
    image.view_position = draw(TEXT)
    verdict = draw(VERDICT)
    assessed = verdict != "cannot_assess"
    analysis.verdict, analysis.finished_at = verdict, draw(TIME)
    analysis.probability = draw(st.floats(0, 1)) if assessed else None
    analysis.reasons = draw(st.lists(st.sampled_from(["not_a_limb", "too_dark"]), max_size=2))
    for finding in made.findings:
        finding.x, finding.y = draw(st.floats(0, 4000)), draw(st.floats(0, 4000))
        finding.width, finding.height = draw(st.floats(0.1, 4000)), draw(st.floats(1e-7, 4000))
        finding.probability = draw(st.floats(0, 1))
    made.model.name, made.model.version = draw(NAME), draw(NAME)
    figures = st.floats(allow_nan=False, allow_infinity=False)
    made.model.card = draw(TEXT)
    made.model.manifest = {"metrics": draw(st.dictionaries(TEXT, figures, max_size=3))}
    order = Order(
        clinic_id=made.clinic_id,
        study=study,
        source=draw(st.sampled_from(SOURCES)),
        placer_number=draw(NAME),
        status=draw(st.sampled_from(["active", "cancelled"])),
        procedure_code=draw(TEXT),
        procedure_system=draw(st.sampled_from(["", "LOCAL", "http://loinc.org", "urn:a b"]) | TEXT),
        procedure_text=draw(TEXT),
        requester_name=draw(TEXT),
        scheduled_at=draw(st.none() | TIME),
        told_at=draw(TIME),
        updated_at=draw(TIME),
    )
    return made, order


def everything(made: Rows, order: Order, text: str):
    context, study = made.context, made.study
    version = made.signed(impression=text, recommendation=text, number=2, reason=text or "x")
    return [
        fhir_patient(context, made.patient),
        fhir_service_request(context, order, study),
        fhir_imaging_study(context, study, [made.image], based_on=[order.pk]),
        fhir_image_observation(context, made.analysed, made.findings),
        *(fhir_finding_observation(context, made.analysed, each) for each in made.findings),
        fhir_diagnostic_report(context, made.draft(impression=text), made.report, study),
        fhir_diagnostic_report(
            context, version, made.report, study,
            observations=[made.analysis.pk], pdf=ReportPdf(f"{BASE_URL}/x.pdf"),
        ),
        fhir_device(context, made.model),
        fhir_model_card(context, made.model),
        fhir_analysis_provenance(context, made.analysed, made.findings),
        fhir_report_provenance(context, version, made.report, study, models=[made.model]),
        fhir_audit_event(context, made.event()),
    ]  # fmt: skip


# 40 examples are 520 resources; FHIR_EXAMPLES=500 takes minutes.
@pytest.mark.timeout(1800)
@settings(
    max_examples=int(os.environ.get("FHIR_EXAMPLES", "40")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(rows(), TEXT)
def test_any_rows_are_told_as_r4(made_and_order, text):
    made, order = made_and_order
    for resource in everything(made, order, text):
        assert violations(resource.model_dump_json()) == []


def test_a_bundle_is_r4():
    made = Rows()
    patient = fhir_patient(made.context, made.patient)
    bundle = fhir_search_bundle(
        made.context, [patient], total=1, at=AT, links={"self": BASE_URL}, included=[]
    )
    assert violations(bundle.model_dump_json()) == []


def test_the_schema_finds_what_is_wrong():
    made = Rows()
    patient = json.loads(fhir_patient(made.context, made.patient).model_dump_json())
    for change in ({"birthDate": "yesterday"}, {"gender": 1}, {"pets": []}, {"name": {}}):
        assert violations(json.dumps(patient | change)) != []


def test_capabilities_and_errors_are_r4():
    statement = fhir_capability_statement(
        base_url=BASE_URL,
        software_version="1",
        at=AT,
        resources=[
            ServedResource(
                "Patient",
                {"name": "string", "x.y": "token"},
                documentation={"name": "words"},
                interactions=("read", "create"),
                includes=["Patient:link"],
            )
        ],
    )
    assert violations(statement.model_dump_json()) == []
    assert violations(json.dumps(operation_outcome("invalid", "code", "Text"))) == []


@pytest.mark.parametrize("source", SOURCES)
def test_an_orders_namespace_is_a_uri_and_leads_back(source):
    system = identifier_system_of(source)
    assert system.startswith(("https:", "urn:"))
    assert "|" not in system
    assert source_of(system) == source
