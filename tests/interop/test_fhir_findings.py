"""AI results as FHIR observations."""

from dataclasses import replace
from datetime import timedelta

import pytest
from fhir.resources.R4B.observation import Observation as FhirObservation

from accounts.tenancy import clinic_scope
from diagnosis.interop.fhir_base import FhirContext
from diagnosis.interop.fhir_findings import (
    AnalysedImage,
    fhir_finding_observation,
    fhir_image_observation,
)
from diagnosis.services.study_results import study_refresh
from tests.factories import AnalysisFactory, FindingFactory
from tests.interop.fhir_rows import AT, BASE_URL, Rows, uid_identifier


def component(observation: FhirObservation, code: str):
    return next(part for part in observation.component if part.code.coding[0].code == code)


def test_two_findings_are_two_observations_with_their_own_uid():
    rows = Rows()

    first, second = (
        fhir_finding_observation(rows.context, rows.analysed, finding) for finding in rows.findings
    )

    for observation, finding in zip((first, second), rows.findings, strict=True):
        assert observation.id == str(finding.pk)
        assert observation.identifier[0].model_dump() == uid_identifier(finding.uid)
    assert first.identifier[0].value != second.identifier[0].value


@pytest.mark.django_db
def test_stored_findings_have_the_ids_of_the_studys_result():
    analysis = AnalysisFactory(succeeded=True)
    findings = [FindingFactory(analysis=analysis, probability=p) for p in (0.9, 0.8)]
    image, clinic = analysis.image, analysis.clinic
    with clinic_scope(clinic.pk):
        study = study_refresh(study_id=image.study_id)
    context = FhirContext(base_url=BASE_URL, clinic_id=clinic.pk)
    analysed = AnalysedImage(study=study, image=image, analysis=analysis)

    observations = [fhir_finding_observation(context, analysed, f) for f in findings]

    told = study.result["images"][0]["findings"]
    assert [observation.id for observation in observations] == [entry["id"] for entry in told]
    assert [float(o.valueQuantity.value) for o in observations] == [e["probability"] for e in told]


def test_a_finding_tells_probability_certainty_place_and_model():
    rows = Rows()

    observation = fhir_finding_observation(rows.context, rows.analysed, rows.findings[1])

    assert float(observation.valueQuantity.value) == 0.35
    assert [coding.code for coding in observation.interpretation[0].coding] == ["IND", "suspicion"]
    assert observation.bodySite.text == "Wrist, left"
    assert observation.device.reference == f"Device/{rows.model.pk}"
    assert observation.derivedFrom[0].reference == f"ImagingStudy/{rows.study.pk}"
    assert observation.subject.reference == f"Patient/{rows.patient.pk}"
    assert component(observation, "image").valueString == f"2.25.{rows.image.pk.int}"
    box = [
        float(component(observation, f"box-{side}").valueQuantity.value)
        for side in ("x", "y", "width", "height")
    ]
    assert box == [10.5, 20.0, 30.0, 40.0]


def test_every_observation_says_that_a_machine_made_it():
    rows = Rows()
    observations = [
        fhir_finding_observation(rows.context, rows.analysed, rows.findings[0]),
        fhir_image_observation(rows.context, rows.analysed, rows.findings),
    ]

    assert [o.meta.security[0].code for o in observations] == ["AIAST", "AIAST"]


def test_observations_are_preliminary_until_a_report_is_signed_on_them():
    rows = Rows()
    later = AT + timedelta(hours=1)

    before = fhir_finding_observation(rows.context, rows.analysed, rows.findings[0])
    after = fhir_finding_observation(
        rows.context, replace(rows.analysed, signed_at=later), rows.findings[0]
    )

    assert (before.status, before.meta.lastUpdated) == ("preliminary", AT)
    assert (after.status, after.meta.lastUpdated) == ("final", later)
    assert after.issued == AT


def test_an_image_speaks_through_its_findings():
    rows = Rows()

    observation = fhir_image_observation(rows.context, rows.analysed, rows.findings)

    assert observation.id == str(rows.analysis.pk)
    assert [member.reference for member in observation.hasMember] == [
        f"Observation/{finding.pk}" for finding in rows.findings
    ]
    assert FhirObservation.model_validate_json(observation.model_dump_json()) == observation


def test_no_fracture_seen_is_negative_and_keeps_its_probability():
    rows = Rows()
    rows.analysis.verdict, rows.analysis.probability = "negative", 0.0

    observation = fhir_image_observation(rows.context, rows.analysed, [])

    assert observation.interpretation[0].coding[0].code == "NEG"
    assert float(observation.valueQuantity.value) == 0.0
    assert observation.hasMember is None


def test_what_cannot_be_assessed_has_no_value_and_is_never_negative():
    rows = Rows()
    rows.analysis.verdict, rows.analysis.probability = "cannot_assess", None
    rows.analysis.reasons = ["too_dark", "no_model"]

    observation = fhir_image_observation(rows.context, rows.analysed, [])

    assert observation.valueQuantity is None
    assert observation.interpretation is None
    codes = [coding.code for coding in observation.dataAbsentReason.coding]
    assert codes == ["unknown", "too_dark", "no_model"]


def test_a_run_without_result_is_no_observation():
    rows = Rows()
    rows.analysis.verdict, rows.analysis.probability = "", None

    with pytest.raises(ValueError, match="without result"):
        fhir_image_observation(rows.context, rows.analysed, [])
    rows.analysis.finished_at = None
    with pytest.raises(ValueError, match="without result"):
        fhir_finding_observation(rows.context, rows.analysed, rows.findings[0])


def test_rows_of_another_clinic_or_run_are_refused():
    rows, other = Rows(), Rows()

    with pytest.raises(ValueError, match="another clinic"):
        fhir_finding_observation(rows.context, rows.analysed, other.findings[0])
    with pytest.raises(ValueError, match="another clinic"):
        fhir_image_observation(rows.context, other.analysed, [])
    other.findings[0].clinic_id = rows.clinic_id
    with pytest.raises(ValueError, match="do not belong together"):
        fhir_finding_observation(rows.context, rows.analysed, other.findings[0])
    with pytest.raises(ValueError, match="do not belong together"):
        fhir_image_observation(rows.context, rows.analysed, [other.findings[0]])


def test_an_observation_does_not_repeat_who_the_patient_is():
    rows = Rows()

    json = fhir_finding_observation(rows.context, rows.analysed, rows.findings[0]).model_dump_json()

    for secret in ("Example", "Ada", "MRN-7", "1980-05-01", "secret-key"):
        assert secret not in json
