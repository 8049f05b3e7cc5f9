"""CT and MR slices are stored and shown, and told of as not judged, everywhere."""

import io

import pydicom
import pytest
from django.urls import reverse

from accounts.models import Role
from accounts.tenancy import clinic_scope
from diagnosis import tasks
from diagnosis.models import Content, Study, StudyImage
from diagnosis.services.analysis_runs import analysis_claim_next
from diagnosis.services.dicom_results import objects_build, study_result_read
from diagnosis.services.receiving import image_receive
from ml.data.synthetic import to_dicom
from tests.factories import MembershipFactory, ModelVersionFactory
from tests.support.dicom_studies import pixels
from tests.support.orthanc import run

pytestmark = pytest.mark.django_db
CLASSES = {"CT": pydicom.uid.CTImageStorage, "MR": pydicom.uid.MRImageStorage}
UNDETERMINED, ABSENT = "121059", "121054"  # PS3.16: presence undetermined, absent


def slice_of(modality: str) -> bytes:
    attributes = {"SOPClassUID": CLASSES[modality], "PixelSpacing": [0.7, 0.7]}
    return to_dicom(pixels(7), modality=modality, attributes=attributes)


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_no_model_for_the_modality_is_an_honest_answer_everywhere(modality, client, tmp_path):
    member = MembershipFactory(roles=[Role.TECHNICIAN, Role.DOCTOR])
    ModelVersionFactory(stage="active")
    image_receive(actor=member.user, clinic_id=member.clinic_id, data=slice_of(modality))

    claim = analysis_claim_next()
    assert tasks.run_analysis(claim)

    with clinic_scope(member.clinic_id):
        study = Study.objects.select_related("patient", "clinic").get()
        image = StudyImage.objects.get()
    assert (image.modality, study.status, study.verdict) == (modality, "ready", "cannot_assess")
    assert study.probability is None

    client.force_login(member.user)
    page = client.get(reverse("diagnosis:study-detail", args=[study.pk])).content.decode()
    assert "No model for this modality" in page
    assert f"/images/{image.pk}/rendition/" in page
    shown = client.get(reverse("diagnosis:image-rendition", args=[image.pk]))
    assert b"".join(shown.streaming_content).startswith(b"\xff\xd8")

    told = client.get(f"/api/v1/studies/{study.pk}/").json()["result"]
    assert (told["verdict"], told["probability"]) == ("cannot_assess", None)
    assert told["images"][0]["reasons"] == ["no_model_for_modality"]

    bundle = client.get("/fhir/R4/Observation").json()
    [observation] = [entry["resource"] for entry in bundle["entry"]]
    assert "valueQuantity" not in observation
    assert "interpretation" not in observation
    codes = [each["code"] for each in observation["dataAbsentReason"]["coding"]]
    assert "no_model_for_modality" in codes

    with clinic_scope(member.clinic_id):
        found = study_result_read(study=study, version=None)
        [(_content, report)] = objects_build(found, [Content.SR])
    values = {str(item.value) for item in report.iterall() if item.keyword == "CodeValue"}
    assert UNDETERMINED in values
    assert ABSENT not in values
    report.save_as(tmp_path / "sr.dcm", enforce_file_format=True)
    assert run("dsrdump", str(tmp_path / "sr.dcm")).returncode == 0
    assert pydicom.dcmread(io.BytesIO(slice_of(modality))).Modality == modality
