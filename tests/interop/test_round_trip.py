"""From the X-ray machine to the archive: storescu, the shipped model, a signature, Orthanc."""

import pydicom
import pytest
from django.core.management import call_command

from accounts.models import Role
from accounts.tenancy import clinic_scope
from diagnosis import tasks
from diagnosis.models import Analysis, Content, Study
from diagnosis.services.reports import report_create, report_draft_update, report_sign
from tests.factories import DestinationFactory, DeviceFactory, MembershipFactory
from tests.interop.test_dicom_out import GSPS, PDF, SC, SR, by_class, datasets, states
from tests.support.dicom_studies import dicom
from tests.support.listener import Listener
from tests.support.orthanc import run

pytestmark = pytest.mark.django_db(transaction=True)
ALL_BUT_IMAGES = [Content.SR, Content.PRESENTATION, Content.CAPTURE, Content.PDF]


@pytest.mark.parametrize("kind", ["dicom_cstore", "dicom_stow"])
def test_an_image_of_a_machine_comes_back_to_the_archive_as_signed_objects(orthanc, tmp_path, kind):
    call_command("model_sync", verbosity=0)
    doctor = MembershipFactory(roles=[Role.DOCTOR])
    DeviceFactory(
        membership=MembershipFactory(clinic=doctor.clinic, roles=[Role.TECHNICIAN]),
        ae_title="XRAY1",
    )
    address = (
        {"port": orthanc.dicom_port}
        if kind == "dicom_cstore"
        else {"host": "", "port": None, "url": orthanc.dicomweb}
    )
    DestinationFactory(clinic=doctor.clinic, kind=kind, contents=ALL_BUT_IMAGES, **address)
    path = tmp_path / "image.dcm"
    path.write_bytes(dicom(3, PatientID="P-7", PatientName="Doe^Jo"))
    listener = Listener().start()
    try:
        sent = run("storescu", "-aet", "XRAY1", "-aec", "FRACTURE_SITE", "127.0.0.1",
                   str(listener.port), str(path))  # fmt: skip
    finally:
        listener.stop()
    assert sent.returncode == 0, sent.stderr

    assert tasks.run_next_analysis() == 1
    with clinic_scope(doctor.clinic_id):
        assert Analysis.objects.get().status == "succeeded"
        study = Study.objects.get()
        report = report_create(actor=doctor.user, study=study)
        report_draft_update(
            actor=doctor.user, report=report, revision=1, impression="No fracture seen."
        )
        report_sign(actor=doctor.user, report=report)
    assert tasks.run_next_delivery() == 1

    assert states(doctor.clinic_id) == [("succeeded", "")]
    found = by_class(datasets(orthanc))
    assert {uid: len(each) for uid, each in found.items()} == {SR: 1, GSPS: 1, SC: 1, PDF: 1}
    original = pydicom.dcmread(path)
    for each in found.values():
        assert each[0].StudyInstanceUID == original.StudyInstanceUID
        assert str(each[0].PatientName) == "Doe^Jo"
    evidence = found[SR][0].CurrentRequestedProcedureEvidenceSequence[0]
    referred = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert referred.ReferencedSOPInstanceUID == original.SOPInstanceUID
    assert found[SR][0].VerificationFlag == "VERIFIED"
