"""What is given away names nobody, and stays one person's."""

import io
import zipfile

import pydicom
import pytest

from accounts.models import AuditEvent, Role
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis.models import Study
from diagnosis.services.exports import study_export_deidentified
from fracture_site.common.errors import ConflictError
from ml.data.synthetic import to_png
from tests.factories import MembershipFactory, StudyFactory
from tests.support.dicom_studies import pixels, study_with
from tests.support.hostile_files import identified
from tests.support.orthanc import run

pytestmark = pytest.mark.django_db
CANARY = "CANARYNAME"


def exported(made) -> dict[str, bytes]:
    with clinic_scope(made.study.clinic_id):
        study = Study.objects.select_related("patient", "clinic").get(pk=made.study.pk)
        content = study_export_deidentified(actor=made.member.user, study=study)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def made():
    return study_with(identified(pixels(1), CANARY), to_png(pixels(2)))


def test_nothing_of_the_person_is_left(made):
    files = exported(made)
    originals = [pydicom.dcmread(io.BytesIO(identified(pixels(1), CANARY)))]
    assert sorted(files) == ["READ-ME.txt", "image-001.dcm", "image-002.dcm"]
    everything = b"".join(files.values())
    for secret in (CANARY, made.patient.family_name, made.patient.record_number):
        assert secret.encode() not in everything
    for original in originals:
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            assert str(original[keyword].value).encode() not in everything
    for image in made.images:
        assert str(image.pk.int).encode() not in everything
        assert str(made.study.pk.int).encode() not in everything


def test_it_says_how_it_was_made_and_what_was_not_cleaned(made, tmp_path):
    files = exported(made)
    for name in ("image-001.dcm", "image-002.dcm"):
        dataset = pydicom.dcmread(io.BytesIO(files[name]))
        assert dataset.PatientIdentityRemoved == "YES"
        codes = {item.CodeValue for item in dataset.DeidentificationMethodCodeSequence}
        assert codes == {"113100", "113103", "113107"}
        assert dataset.LongitudinalTemporalInformationModified == "MODIFIED"
        path = tmp_path / name
        path.write_bytes(files[name])
        assert run("dcmdump", str(path)).returncode == 0
    assert b"may have text in the picture" in files["READ-ME.txt"]
    dataset = pydicom.dcmread(io.BytesIO(files["image-002.dcm"]))
    assert (dataset.pixel_array == pixels(2)).all()


def test_a_persons_exports_stay_together_and_clinics_apart(made):
    first, again = exported(made), exported(made)
    one, two = (pydicom.dcmread(io.BytesIO(f["image-001.dcm"])) for f in (first, again))
    assert (one.PatientID, one.StudyInstanceUID) == (two.PatientID, two.StudyInstanceUID)
    assert one.PatientID.startswith("ANON-")
    with clinic_scope(made.study.clinic_id):
        registered = Study.objects.get(pk=made.study.pk).created_at
    assert one.StudyDate < registered.strftime("%Y%m%d")
    elsewhere = study_with(identified(pixels(1), CANARY))
    other = pydicom.dcmread(io.BytesIO(exported(elsewhere)["image-001.dcm"]))
    assert other.PatientID != one.PatientID


def test_it_is_audited_and_not_for_technicians(made):
    exported(made)
    technician = MembershipFactory(clinic=made.study.clinic, roles=[Role.TECHNICIAN])
    empty = StudyFactory(patient=made.patient)
    with clinic_scope(made.study.clinic_id):
        assert AuditEvent.objects.filter(action="study.export_deidentified").count() == 1
        with pytest.raises(ActionDeniedError):
            study_export_deidentified(actor=technician.user, study=made.study)
        with pytest.raises(ConflictError, match="study_empty"):
            study_export_deidentified(actor=made.member.user, study=empty)
