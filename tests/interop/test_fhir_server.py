"""Search bundles, capabilities, and what all resources have in common."""

import pytest
from fhir.resources.R4B.bundle import Bundle as FhirBundle
from fhir.resources.R4B.patient import Patient as FhirPatient

from diagnosis.interop.fhir import (
    ServedResource,
    fhir_capability_statement,
    fhir_search_bundle,
)
from diagnosis.interop.fhir_findings import fhir_finding_observation, fhir_image_observation
from diagnosis.interop.fhir_imaging import fhir_imaging_study, fhir_patient
from diagnosis.interop.fhir_reports import fhir_diagnostic_report
from diagnosis.interop.fhir_trail import (
    fhir_analysis_provenance,
    fhir_audit_event,
    fhir_device,
    fhir_report_provenance,
)
from tests.interop.fhir_rows import AT, BASE_URL, Rows

SELF = f"{BASE_URL}/fhir/R4/Patient?family=Example"


def everything(rows: Rows):
    version = rows.signed()
    return [
        fhir_patient(rows.context, rows.patient),
        fhir_imaging_study(rows.context, rows.study, [rows.image]),
        fhir_image_observation(rows.context, rows.analysed, rows.findings),
        *(fhir_finding_observation(rows.context, rows.analysed, f) for f in rows.findings),
        fhir_diagnostic_report(rows.context, version, rows.report, rows.study),
        fhir_device(rows.context, rows.model),
        fhir_analysis_provenance(rows.context, rows.analysed, rows.findings),
        fhir_report_provenance(rows.context, version, rows.report, rows.study),
        fhir_audit_event(rows.context, rows.event()),
    ]


def test_a_page_of_a_search_survives_the_way_through_json():
    rows = Rows()
    resources = everything(rows)

    bundle = fhir_search_bundle(
        rows.context,
        resources[:1],
        total=21,
        at=AT,
        links={"self": SELF, "next": SELF + "&page=2"},
        included=resources[1:],
    )

    again = FhirBundle.model_validate_json(bundle.model_dump_json())
    assert (again.type, again.total, again.timestamp) == ("searchset", 21, AT)
    assert [entry.search.mode for entry in again.entry] == ["match"] + ["include"] * 9
    assert again.entry[0].resource == resources[0]
    assert again.entry[0].fullUrl == f"{BASE_URL}/fhir/R4/Patient/{rows.patient.pk}"
    assert {link.relation: link.url for link in again.link}["next"].endswith("page=2")


def test_a_search_that_finds_nothing_says_so():
    bundle = fhir_search_bundle(Rows().context, [], total=0, at=AT, links={"self": SELF})

    assert bundle.total == 0
    assert bundle.entry is None


def test_a_total_that_nobody_counted_is_left_out():
    bundle = fhir_search_bundle(Rows().context, [], total=None, at=AT, links={"self": SELF})

    assert "total" not in bundle.model_dump_json()


def test_a_resource_without_id_cannot_be_listed():
    with pytest.raises(ValueError, match="without id"):
        fhir_search_bundle(Rows().context, [FhirPatient()], total=1, at=AT, links={"self": SELF})


def test_no_resource_holds_an_id_of_another_clinic():
    rows, other = Rows(), Rows()

    told = "".join(resource.model_dump_json() for resource in everything(rows))

    assert str(rows.clinic_id) in told
    for row in (other.patient, other.study, other.image, other.analysis, *other.findings):
        assert str(row.pk) not in told
    assert str(other.clinic_id) not in told


def test_the_same_number_in_two_clinics_has_two_namespaces():
    one, two = (fhir_patient(rows.context, rows.patient) for rows in (Rows(), Rows()))

    assert one.identifier[0].value == two.identifier[0].value
    assert one.identifier[0].system != two.identifier[0].system


def test_the_capabilities_name_what_is_served():
    statement = fhir_capability_statement(
        base_url=BASE_URL + "/",
        software_version="0.5.0",
        at=AT,
        resources=[
            ServedResource("Patient", {"identifier": "token", "birthdate": "date"}),
            ServedResource("AuditEvent", {}),
        ],
    )

    assert statement.fhirVersion == "4.0.1"
    assert statement.implementation.url == f"{BASE_URL}/fhir/R4"
    patient, audit = statement.rest[0].resource
    assert [(p.name, p.type) for p in patient.searchParam] == [
        ("birthdate", "date"),
        ("identifier", "token"),
    ]
    assert audit.searchParam is None
    assert {interaction.code for interaction in patient.interaction} == {"read", "search-type"}
