"""Signed reports and preliminary results reach a real archive, by C-STORE and by STOW-RS."""

import io
from uuid import UUID

import pydicom
import pytest

from accounts.tenancy import clinic_scope
from diagnosis import tasks
from diagnosis.models import Content, Delivery, Event, Finding, FindingReview, Study
from diagnosis.services.analysis_runs import _note
from diagnosis.services.destinations import destination_test
from diagnosis.services.dicom_results import objects_build, study_result_read
from diagnosis.services.reports import report_amend, report_sign
from diagnosis.storage import object_read
from ml.data.synthetic import to_png
from tests.factories import DestinationFactory, MembershipFactory
from tests.support.dicom_studies import dicom, pixels, sign, study_with
from tests.support.orthanc import run

pytestmark = pytest.mark.django_db
EVERYTHING = list(Content.values)
SR, GSPS = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.11.1"
SC, PDF = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.104.1"


def destination(orthanc, clinic, kind: str, **values):
    address = (
        {"host": "127.0.0.1", "port": orthanc.dicom_port}
        if kind == "dicom_cstore"
        else {"host": "", "port": None, "url": orthanc.dicomweb}
    )
    return DestinationFactory(
        clinic=clinic, kind=kind, **{"contents": EVERYTHING, **address, **values}
    )


def datasets(orthanc) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(io.BytesIO(file)) for file in orthanc.files()]


def by_class(found: list[pydicom.Dataset]) -> dict[str, list[pydicom.Dataset]]:
    classes: dict[str, list[pydicom.Dataset]] = {}
    for dataset in found:
        classes.setdefault(str(dataset.SOPClassUID), []).append(dataset)
    return classes


def states(clinic_id) -> list[tuple[str, str]]:
    with clinic_scope(clinic_id):
        return list(Delivery.objects.order_by("number").values_list("status", "error_code"))


def tracking_uids(dataset: pydicom.Dataset) -> set[str]:
    return {
        str(element.value)
        for element in dataset.iterall()
        if element.keyword == "TrackingUID"
        or (element.keyword == "UID" and element.tag == 0x0040A124)
    }


@pytest.fixture
def made():
    return study_with(dicom(1, StudyDate="20260103", StudyTime="101112"), to_png(pixels(2)))


@pytest.mark.parametrize("kind", ["dicom_cstore", "dicom_stow"])
def test_a_signed_report_arrives_with_all_its_objects_and_the_same_finding_in_each(
    orthanc, made, kind
):
    destination(orthanc, made.study.clinic, kind)
    version = sign(made, add=True)

    assert tasks.run_next_delivery() == 1

    assert states(made.study.clinic_id) == [("succeeded", "")]
    found = by_class(datasets(orthanc))
    # Two presentation states, two captures with boxes and the PNG's own instance.
    assert {uid: len(all_) for uid, all_ in found.items()} == {SR: 1, GSPS: 2, SC: 3, PDF: 1}
    report = found[SR][0]
    assert (report.VerificationFlag, report.CompletionFlag) == ("VERIFIED", "COMPLETE")
    with clinic_scope(made.study.clinic_id):
        uids = {f"2.25.{uid.int}" for uid in Finding.objects.values_list("uid", flat=True)}
        added = FindingReview.objects.get(decision="added")
        uids.add(f"2.25.{added.uid.int}")
        pdf = object_read(version.pdf_key)
    assert uids <= tracking_uids(report)
    assert uids == set().union(*(tracking_uids(state) for state in found[GSPS]))
    assert found[PDF][0].EncapsulatedDocument[: len(pdf)] == pdf
    studies = {str(dataset.StudyInstanceUID) for each in found.values() for dataset in each}
    original = pydicom.dcmread(io.BytesIO(dicom(1)))
    assert studies == {str(original.StudyInstanceUID)}
    assert {str(d.StudyDate) for each in found.values() for d in each} == {"20260103"}
    assert {str(d.PatientID) for each in found.values() for d in each} == {
        made.patient.record_number
    }


def test_the_archive_finds_the_image_that_the_results_refer_to(orthanc):
    made = study_with(to_png(pixels(2)))
    destination(orthanc, made.study.clinic, "dicom_cstore")
    sign(made)

    tasks.run_next_delivery()

    found = datasets(orthanc)
    image = next(d for d in found if d.SOPInstanceUID == f"2.25.{made.images[0].pk.int}")
    report = next(d for d in found if d.SOPClassUID == SR)
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.SeriesInstanceUID == image.SeriesInstanceUID
    assert evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert (image.pixel_array == pixels(2)).all()


def test_what_nobody_has_agreed_with_is_not_in_the_signed_report(orthanc, made):
    destination(orthanc, made.study.clinic, "dicom_cstore", contents=[Content.SR])
    sign(made, accept=False)

    tasks.run_next_delivery()

    [report] = datasets(orthanc)
    with clinic_scope(made.study.clinic_id):
        uids = {f"2.25.{uid.int}" for uid in Finding.objects.values_list("uid", flat=True)}
    assert not uids & tracking_uids(report)


def test_a_preliminary_result_is_unverified_and_the_signed_one_replaces_it(orthanc, made):
    destination(
        orthanc, made.study.clinic, "dicom_cstore",
        contents=[Content.SR], events=[Event.RESULT_READY, Event.REPORT_SIGNED],
    )  # fmt: skip
    with clinic_scope(made.study.clinic_id):
        _note(made.images[0].analyses.get().pk)
    tasks.run_next_delivery()
    [preliminary] = datasets(orthanc)

    sign(made)
    tasks.run_next_delivery()

    assert preliminary.VerificationFlag == "UNVERIFIED"
    final = next(d for d in datasets(orthanc) if d.VerificationFlag == "VERIFIED")
    predecessor = final.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    replaced = predecessor.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert replaced == preliminary.SOPInstanceUID


def test_an_amendment_names_the_report_it_replaces(orthanc, made):
    destination(orthanc, made.study.clinic, "dicom_stow", contents=[Content.SR, Content.PDF])
    version = sign(made)
    with clinic_scope(made.study.clinic_id):
        report_amend(actor=made.member.user, report=version.report, reason="Side was wrong")
        report_sign(actor=made.member.user, report=version.report)

    assert tasks.run_next_delivery() == 2

    first, second = sorted(by_class(datasets(orthanc))[SR], key=lambda d: d.ContentTime)
    newer = second if "PredecessorDocumentsSequence" in second else first
    older = first if newer is second else second
    predecessor = newer.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert predecessor.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == older.SOPInstanceUID
    assert len(by_class(datasets(orthanc))[PDF]) == 2


def test_every_object_is_valid_and_readable_by_dcmtk_and_dicom3tools(orthanc, made, tmp_path):
    destination(orthanc, made.study.clinic, "dicom_cstore")
    sign(made, add=True)
    tasks.run_next_delivery()

    for number, file in enumerate(orthanc.files()):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(file)
        sop_class = str(pydicom.dcmread(path).SOPClassUID)
        said = run("dciodvfy", "-new", str(path)).stderr
        assert [line for line in said.splitlines() if line.startswith("Error")] == [], said
        if sop_class == SR:
            assert "Fracture of bone" in run("dsrdump", str(path)).stdout
        if sop_class == GSPS:
            assert run("dcmpschk", str(path)).returncode == 0
        if sop_class == PDF:
            out = tmp_path / "report.pdf"
            assert run("dcm2pdf", str(path), str(out)).returncode == 0
            assert out.read_bytes().startswith(b"%PDF-")


def test_a_delivery_that_is_repeated_leaves_one_copy(orthanc, made):
    destination(orthanc, made.study.clinic, "dicom_cstore")
    sign(made)
    tasks.run_next_delivery()
    first = {d.SOPInstanceUID for d in datasets(orthanc)}
    with clinic_scope(made.study.clinic_id):  # the courier died before it could note the end
        Delivery.objects.update(status="queued", finished_at=None, token=None, attempts=0)

    tasks.run_next_delivery()

    assert {d.SOPInstanceUID for d in datasets(orthanc)} == first


def test_the_original_is_never_touched(orthanc, made):
    destination(orthanc, made.study.clinic, "dicom_cstore")
    sign(made)
    tasks.run_next_delivery()

    with clinic_scope(made.study.clinic_id):
        image = made.images[0]
        assert object_read(image.original_key) == dicom(1, StudyDate="20260103", StudyTime="101112")


@pytest.mark.parametrize(
    ("kind", "values", "code"),
    [
        ("dicom_cstore", {}, ""),
        ("dicom_stow", {}, ""),
        ("dicom_cstore", {"port": 1}, "peer_unreachable"),
        ("dicom_stow", {"url": "http://127.0.0.1:1/dicom-web"}, "peer_unreachable"),
        ("dicom_cstore", {"host": "10.9.9.9"}, "address_not_allowed"),
        ("dicom_stow", {"url": "http://169.254.169.254/latest"}, "address_not_allowed"),
    ],
)
def test_the_connection_is_tested(orthanc, kind, values, code):
    admin = MembershipFactory(clinic_admin=True)
    made = destination(orthanc, admin.clinic, kind, **values)
    with clinic_scope(admin.clinic_id):
        assert destination_test(actor=admin.user, destination=made) == code


@pytest.mark.django_db(transaction=True)
def test_an_archive_that_was_away_gets_everything_once_and_in_order(orthanc):
    member = MembershipFactory(roles=["technician", "doctor"])
    destination(orthanc, member.clinic, "dicom_cstore", contents=[Content.SR])
    orthanc.stop()
    try:
        versions = []
        for number in range(25):
            made = study_with(to_png(pixels(100 + number, (120, 100))), member=member)
            version = sign(made, accept=False)
            versions.append(version.pk)
            with clinic_scope(member.clinic_id):
                report_amend(actor=member.user, report=version.report, reason="Typing error")
                versions.append(report_sign(actor=member.user, report=version.report).pk)
        for _ in range(3):
            tasks.run_next_delivery()
    finally:
        orthanc.start()
    with clinic_scope(member.clinic_id):
        assert Delivery.objects.filter(status="queued").count() == 50
        assert Delivery.objects.exclude(error_code="").exists()
        Delivery.objects.update(due_at="2020-01-01T00:00Z")  # as if the pause were over

    while tasks.run_next_delivery():
        pass

    assert states(member.clinic_id) == [("succeeded", "")] * 50
    reports = datasets(orthanc)
    assert len(reports) == len({r.SOPInstanceUID for r in reports}) == 50
    with clinic_scope(member.clinic_id):
        for study_id in set(Delivery.objects.values_list("study_id", flat=True)):
            first, second = Delivery.objects.filter(study=study_id).order_by("number")
            assert first.finished_at < second.finished_at
    replaced = [r for r in reports if "PredecessorDocumentsSequence" in r]
    assert len(replaced) == 25
    assert {UUID(d) for d in subjects(member.clinic_id)} == set(versions)


def subjects(clinic_id) -> list[str]:
    with clinic_scope(clinic_id):
        return list(Delivery.objects.values_list("subject", flat=True))


def test_images_of_several_dicom_studies_are_named_as_the_archive_has_them(client):
    made = study_with(dicom(1), dicom(2))  # two studies of the archive in one of ours
    own, other = (str(pydicom.dcmread(io.BytesIO(dicom(n))).StudyInstanceUID) for n in (1, 2))

    with clinic_scope(made.study.clinic_id):
        study = Study.objects.select_related("patient", "clinic").get(pk=made.study.pk)
        found = study_result_read(study=study, version=None)
        objects = list(objects_build(found, [Content.SR, Content.PRESENTATION]))

    report = next(dataset for kind, dataset in objects if kind == Content.SR)
    assert report.StudyInstanceUID == own
    named = {
        str(item.StudyInstanceUID): str(
            item.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        )
        for keyword in (
            "CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence",
        )
        for item in report.get(keyword) or ()
    }  # fmt: skip
    assert set(named) == {own, other}
    assert named[other] == made.images[1].sop_instance_uid
    states = [dataset for kind, dataset in objects if kind == Content.PRESENTATION]
    assert [str(state.StudyInstanceUID) for state in states] == [own, other]
    client.force_login(made.member.user)
    page = client.get(f"/studies/{study.pk}/").content.decode()
    assert "Images of several DICOM studies are filed here" in page
