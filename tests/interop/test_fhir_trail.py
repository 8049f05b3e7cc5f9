"""Models, signers and the trail as FHIR resources."""

from uuid import uuid4

import pytest
from fhir.resources.R4B.auditevent import AuditEvent as FhirAuditEvent
from fhir.resources.R4B.provenance import Provenance as FhirProvenance

from diagnosis.interop.fhir_trail import (
    fhir_analysis_provenance,
    fhir_audit_event,
    fhir_device,
    fhir_report_provenance,
)
from tests.interop.fhir_rows import AT, Rows


def test_a_model_tells_name_version_digest_and_thresholds():
    rows = Rows()

    device = fhir_device(rows.context, rows.model)

    assert device.id == str(rows.model.pk)
    assert device.deviceName[0].name == "fracture-detector"
    versions = {version.type.text: version.value for version in device.version}
    assert versions["software"] == "0.1.0"
    assert versions["weights-sha256"] == device.identifier[0].value == "ab" * 32
    values = {p.type.text: float(p.valueQuantity[0].value) for p in device.property}
    assert values == {"threshold-suspicion": 0.2, "threshold-definite": 0.7}
    assert device.status == "active"


def test_a_model_is_the_same_resource_for_every_clinic():
    rows, other = Rows(), Rows()

    assert fhir_device(rows.context, rows.model) == fhir_device(other.context, rows.model)
    rows.model.stage = "registered"
    assert fhir_device(rows.context, rows.model).status == "inactive"


def test_the_observations_of_an_image_come_from_the_model():
    rows = Rows()

    provenance = fhir_analysis_provenance(rows.context, rows.analysed, rows.findings)

    assert [target.reference for target in provenance.target] == [
        f"Observation/{key}" for key in (rows.analysis.pk, *(f.pk for f in rows.findings))
    ]
    assert provenance.agent[0].who.reference == f"Device/{rows.model.pk}"
    assert provenance.recorded == AT
    assert FhirProvenance.model_validate_json(provenance.model_dump_json()) == provenance


def test_a_signature_names_the_person_the_models_and_what_is_amended():
    rows = Rows()
    first = rows.signed(content_sha256="11" * 32)
    second = rows.signed(number=2, reason="Wrong side\x00")

    provenance = fhir_report_provenance(
        rows.context, second, rows.report, rows.study, models=[rows.model], previous=first
    )

    signer, model = provenance.agent
    assert signer.type.coding[0].code == "attester"
    assert signer.who.display == "Dr. Grace Reader"
    assert signer.who.identifier.value == str(second.signed_by_id)
    assert model.who.reference == f"Device/{rows.model.pk}"
    assert provenance.target[0].reference == f"DiagnosticReport/{rows.report.pk}"
    assert provenance.reason[0].text == "Wrong side"
    assert provenance.entity[1].role == "revision"
    assert provenance.entity[1].what.identifier.value == "11" * 32


def test_nobody_is_named_for_a_draft():
    rows = Rows()

    with pytest.raises(ValueError, match="nobody signed"):
        fhir_report_provenance(rows.context, rows.draft(), rows.report, rows.study)


@pytest.mark.parametrize(
    ("action", "outcome", "kind", "verb", "told"),
    [
        ("patient.create", "success", "110110", "C", "0"),
        ("study.open", "success", "110103", "R", "0"),
        ("auth.sign_in", "failed", "110114", "E", "8"),
        ("model.activate", "denied", "110100", "E", "4"),
    ],
)
def test_the_trail_speaks_the_words_of_dicom_and_fhir(action, outcome, kind, verb, told):
    rows = Rows()

    event = fhir_audit_event(rows.context, rows.event(action=action, outcome=outcome))

    assert (event.type.code, event.action, event.outcome) == (kind, verb, told)
    assert event.subtype[0].code == action
    assert event.recorded == AT
    assert FhirAuditEvent.model_validate_json(event.model_dump_json()) == event


def test_the_trail_holds_ids_only():
    rows = Rows()
    rows_event = rows.event()

    event = fhir_audit_event(rows.context, rows_event)

    assert event.entity[0].what.reference == f"Patient/{rows.patient.pk}"
    assert event.agent[0].who.identifier.value == str(rows_event.actor_id)
    assert event.agent[0].requestor is True
    json = event.model_dump_json()
    for secret in ("Example", "Ada", "MRN-7", "family_name", "note"):
        assert secret not in json


def test_events_of_nobody_and_of_things_that_are_not_served_are_told_too():
    rows = Rows()
    token = uuid4()

    event = fhir_audit_event(
        rows.context,
        rows.event(
            actor_id=None,
            token_id=token,
            action="token.revoke",
            target_type="accounts.apitoken",
            target_id=token,
            patient_id=None,
        ),
    )

    assert event.agent[0].who is None
    assert event.agent[0].requestor is False
    assert event.agent[0].altId == str(token)
    assert event.entity[0].what.reference is None
    assert event.entity[0].what.identifier.value == str(token)


def test_an_event_without_target_has_no_entity():
    rows = Rows()

    event = fhir_audit_event(
        rows.context, rows.event(action="auth.sign_out", target_id=None, patient_id=None)
    )

    assert event.entity is None


def test_rows_of_another_clinic_are_refused():
    rows, other = Rows(), Rows()

    with pytest.raises(ValueError, match="another clinic"):
        fhir_audit_event(rows.context, other.event())
    with pytest.raises(ValueError, match="another clinic"):
        fhir_audit_event(rows.context, rows.event(clinic_id=None))
    with pytest.raises(ValueError, match="another clinic"):
        fhir_analysis_provenance(rows.context, other.analysed, [])
    with pytest.raises(ValueError, match="another clinic"):
        fhir_report_provenance(
            rows.context, rows.signed(), rows.report, rows.study, previous=other.signed()
        )
