"""What other systems read of a result whose model was recalled afterwards."""

import pytest
from django.utils import timezone

from accounts.models import Role
from accounts.tenancy import clinic_scope
from diagnosis.models import Content, ModelVersion, Study
from diagnosis.services.dicom_results import objects_build, study_result_read
from tests.factories import MembershipFactory
from tests.support.dicom_studies import dicom, sign, study_with

pytestmark = pytest.mark.django_db


@pytest.fixture
def made():
    return study_with(dicom(1), member=MembershipFactory(roles=[Role.TECHNICIAN, Role.DOCTOR]))


def recall() -> None:
    ModelVersion.objects.update(stage="registered", recalled_at=timezone.now())


def objects(made) -> dict:
    with clinic_scope(made.study.clinic_id):
        study = Study.objects.select_related("patient", "clinic").get(pk=made.study.pk)
        found = study_result_read(study=study, version=None)
        return dict(objects_build(found, [Content.SR, Content.PRESENTATION]))


def texts(dataset) -> str:
    return " ".join(str(element.value) for element in dataset.iterall() if element.VR in {
        "LO", "ST", "UT", "SH", "CS",
    })  # fmt: skip


def test_dicom_objects_made_after_the_recall_say_so_and_are_other_objects(made):
    before = objects(made)
    recall()
    after = objects(made)

    assert "recalled" not in texts(before[Content.SR]).lower()
    assert after[Content.SR].SeriesDescription == "AI findings (model recalled)"
    assert "recalled" in texts(after[Content.SR]).split()  # the algorithm's parameter
    assert "RECALLED" in texts(after[Content.PRESENTATION])
    for kind in before:
        assert before[kind].SOPInstanceUID != after[kind].SOPInstanceUID


def test_fhir_marks_observations_and_the_report_and_their_time_moves(made, client):
    sign(made)
    client.force_login(made.member.user)

    def read(kind: str) -> list[dict]:
        return [entry["resource"] for entry in client.get(f"/fhir/R4/{kind}").json()["entry"]]

    def tags(resource: dict) -> set[str]:
        return {tag["code"] for tag in resource["meta"].get("tag", [])}

    before = {kind: read(kind) for kind in ("Observation", "DiagnosticReport")}
    recall()
    after = {kind: read(kind) for kind in before}

    for kind, resources in after.items():
        assert all("model-recalled" in tags(each) for each in resources), kind
        assert not any("model-recalled" in tags(each) for each in before[kind]), kind
    assert all("recalled" in each["note"][0]["text"] for each in after["Observation"])
    old = {each["id"]: each["meta"]["lastUpdated"] for each in before["Observation"]}
    assert all(each["meta"]["lastUpdated"] > old[each["id"]] for each in after["Observation"])
