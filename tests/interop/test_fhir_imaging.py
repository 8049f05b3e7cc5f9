"""Patients and studies as FHIR resources."""

from datetime import datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from fhir.resources.R4B.imagingstudy import ImagingStudy as FhirImagingStudy
from fhir.resources.R4B.patient import Patient as FhirPatient
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnosis.interop.fhir_base import FhirContext, decimal, instant
from diagnosis.interop.fhir_imaging import fhir_imaging_study, fhir_patient
from tests.interop.fhir_rows import AT, BASE_URL, Rows, uid_identifier


def test_a_patient_survives_the_way_through_json():
    rows = Rows()
    patient = fhir_patient(rows.context, rows.patient)

    again = FhirPatient.model_validate_json(patient.model_dump_json())

    assert again == patient
    assert again.id == str(rows.patient.pk)
    assert again.identifier[0].value == "MRN-7"
    assert again.identifier[0].system == f"{BASE_URL}/clinics/{rows.clinic_id}/record-number"
    assert (again.name[0].family, again.name[0].given) == ("Example", ["Ada"])
    assert again.birthDate.isoformat() == "1980-05-01"
    assert again.active is True


def test_an_unknown_birth_date_is_left_out_and_not_invented():
    rows = Rows()
    rows.patient.birth_date = None
    rows.patient.given_name = ""

    json = fhir_patient(rows.context, rows.patient).model_dump_json()

    assert "birthDate" not in json
    assert "given" not in json
    assert "null" not in json


def test_a_merged_patient_names_the_record_that_replaces_it():
    rows = Rows()
    rows.patient.merged_into_id = uuid4()

    patient = fhir_patient(rows.context, rows.patient)

    assert patient.active is False
    assert patient.link[0].type == "replaced-by"
    assert patient.link[0].other.reference == f"Patient/{rows.patient.merged_into_id}"


@settings(deadline=None)  # other work on the machine must not fail it
@given(text=st.text(max_size=60))
def test_no_text_of_a_person_can_break_a_resource(text):
    rows = Rows()
    rows.patient.family_name = rows.patient.record_number = text
    rows.study.clinical_question = rows.study.accession_number = text
    rows.image.view_position = rows.image.modality = rows.image.sop_instance_uid = text
    rows.image.laterality = text[:1]

    patient = fhir_patient(rows.context, rows.patient)
    study = fhir_imaging_study(rows.context, rows.study, [rows.image])

    assert FhirPatient.model_validate_json(patient.model_dump_json()) == patient
    assert FhirImagingStudy.model_validate_json(study.model_dump_json()) == study


def test_markup_stays_text_and_control_characters_go():
    rows = Rows()
    rows.patient.family_name = "<script>alert(1)</script>\x00\x1b\ufffe\u00a0O'Neil\n^|~"

    patient = fhir_patient(rows.context, rows.patient)

    assert patient.name[0].family == "<script>alert(1)</script> O'Neil ^|~"
    assert patient.text is None


def test_images_keep_their_dicom_identity():
    rows = Rows()
    rows.study.study_instance_uid = "1.2.826.1"
    images = [
        rows.another_image(
            series_instance_uid="1.2.826.2", sop_instance_uid=f"1.2.826.3.{n}", modality="DX"
        )
        for n in (1, 2)
    ]
    images.append(
        rows.another_image(
            series_instance_uid="1.2.826.9", sop_instance_uid="1.2.826.3.3", modality="CR"
        )
    )

    study = fhir_imaging_study(rows.context, rows.study, images)

    assert study.identifier[0].value == "urn:oid:1.2.826.1"
    assert [series.uid for series in study.series] == ["1.2.826.2", "1.2.826.9"]
    assert [i.uid for i in study.series[0].instance] == ["1.2.826.3.1", "1.2.826.3.2"]
    assert (study.numberOfSeries, study.numberOfInstances) == (2, 3)
    assert [modality.code for modality in study.modality] == ["DX", "CR"]
    assert study.status == "available"


def test_images_without_dicom_identity_get_one_that_never_changes():
    rows = Rows()

    study = fhir_imaging_study(rows.context, rows.study, [rows.image])

    assert study.identifier[0].model_dump() == uid_identifier(rows.study.pk)
    assert study.series[0].instance[0].uid == f"2.25.{rows.image.pk.int}"
    assert study == fhir_imaging_study(rows.context, rows.study, [rows.image])
    assert len(study.series[0].uid) <= 64


def test_the_registration_is_not_passed_off_as_the_time_of_the_images():
    rows = Rows()
    rows.study.created_at = AT

    assert fhir_imaging_study(rows.context, rows.study, [rows.image]).started is None
    known = fhir_imaging_study(rows.context, rows.study, [rows.image], started=AT)
    assert known.started == AT


def test_a_study_without_images_is_registered_only():
    rows = Rows()

    study = fhir_imaging_study(rows.context, rows.study, [])

    assert study.status == "registered"
    assert study.series is None
    assert (study.numberOfSeries, study.numberOfInstances) == (0, 0)


@pytest.mark.parametrize(
    ("laterality", "ordered", "said"),
    [("L", "right", "Left"), ("", "right", "Right"), ("B", "left", "Right and left")],
)
def test_the_image_knows_its_side_better_than_the_order(laterality, ordered, said):
    rows = Rows()
    rows.study.side, rows.image.laterality = ordered, laterality

    study = fhir_imaging_study(rows.context, rows.study, [rows.image])

    assert study.series[0].laterality.display == said


def test_an_order_for_both_sides_does_not_tell_the_side_of_an_image():
    rows = Rows()
    rows.study.side = "both"

    study = fhir_imaging_study(rows.context, rows.study, [rows.image])

    assert study.series[0].laterality is None


def test_snomed_codes_can_be_left_out():
    rows = Rows()
    context = FhirContext(base_url=BASE_URL, clinic_id=rows.clinic_id, snomed=False)

    json = fhir_imaging_study(context, rows.study, [rows.image]).model_dump_json()

    assert "snomed" not in json
    assert '"display":"Left"' in json


def test_where_the_bytes_lie_is_not_told():
    rows = Rows()

    json = fhir_imaging_study(rows.context, rows.study, [rows.image]).model_dump_json()

    assert "secret-key" not in json
    assert rows.patient.family_name not in json


def test_rows_of_another_clinic_are_refused():
    rows, other = Rows(), Rows()

    with pytest.raises(ValueError, match="another clinic"):
        fhir_patient(rows.context, other.patient)
    with pytest.raises(ValueError, match="another clinic"):
        fhir_imaging_study(rows.context, other.study, [])
    with pytest.raises(ValueError, match="another clinic"):
        fhir_imaging_study(rows.context, rows.study, [rows.image, other.image])


def test_an_image_of_another_study_is_refused():
    rows = Rows()
    rows.image.study_id = uuid4()

    with pytest.raises(ValueError, match="do not belong together"):
        fhir_imaging_study(rows.context, rows.study, [rows.image])


def test_times_need_a_zone_and_are_told_in_utc():
    assert instant(datetime.fromisoformat("2026-03-01T00:30:00+02:00")) == "2026-02-28T22:30:00Z"
    with pytest.raises(ValueError, match="without a zone"):
        instant(datetime.fromisoformat("2026-03-01T00:30:00"))


def test_numbers_keep_their_digits_and_must_be_finite():
    assert str(decimal(0.1)) == "0.1"
    assert decimal(1e-7) == Decimal("1E-7")
    with pytest.raises(ValueError, match="not a number"):
        decimal(float("nan"))
