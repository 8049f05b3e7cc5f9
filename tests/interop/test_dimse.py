"""The listener as dcmtk's clients and hostile peers meet it."""

import io
import socket
import struct
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pydicom
import pytest
from pynetdicom import AE

from accounts.models import AuditEvent, Role
from accounts.tenancy import clinic_scope
from diagnosis.models import Analysis, Patient, Study, StudyImage
from diagnosis.storage import object_read
from ml.data.synthetic import to_dicom
from tests.factories import (
    ClinicFactory,
    DeviceFactory,
    MembershipFactory,
    OrderFactory,
    PatientFactory,
    StudyFactory,
)
from tests.support.dicom_studies import dicom, pixels
from tests.support.listener import Listener
from tests.support.orthanc import run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def listener(transactional_db):
    made = Listener().start()
    yield made
    made.stop()


@pytest.fixture
def device(transactional_db):
    member = MembershipFactory(roles=[Role.TECHNICIAN])
    return DeviceFactory(membership=member, ae_title="XRAY1")


def scu(tool: str, listener: Listener, *arguments: str, title: str = "XRAY1"):
    """Run one of dcmtk's clients; what it sends comes last, after the listener's address."""
    files = [a for a in arguments if a.endswith(".dcm")]
    options = [a for a in arguments if not a.endswith(".dcm")]
    where = ("127.0.0.1", str(listener.port))
    return run(tool, "-aet", title, "-aec", "FRACTURE_SITE", *options, *where, *files)


def images(clinic_id) -> list[StudyImage]:
    with clinic_scope(clinic_id):
        return list(StudyImage.objects.select_related("study__patient"))


def file(tmp_path, data: bytes, name: str = "image.dcm") -> str:
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)


def variants(tmp_path) -> dict[str, tuple[str, str]]:
    """Return the proposal and the file for each common compression, made by dcmtk and gdcm."""
    plain = file(tmp_path, dicom(1))
    made = {"uncompressed": ("-xe", plain)}
    for name, tool, option, proposal in (
        ("jpeg lossless", "dcmcjpeg", "+e1", "-xs"),
        ("jpeg baseline", "dcmcjpeg", "+eb", "-xy"),
        ("jpeg-ls", "dcmcjpls", "+el", "-xt"),
        ("rle", "dcmcrle", "+ru", "-xr"),
    ):
        source = file(tmp_path, dicom(len(made) + 10), f"plain {name}.dcm")
        target = str(tmp_path / f"{name}.dcm")
        arguments = (option, source, target) if tool != "dcmcrle" else (source, target)
        done = run(tool, *arguments)
        assert done.returncode == 0, done.stderr
        made[name] = (proposal, target)
    dataset = pydicom.dcmread(io.BytesIO(dicom(99)))
    dataset.compress(pydicom.uid.JPEG2000Lossless)
    dataset.save_as(tmp_path / "j2k.dcm")
    dataset = pydicom.dcmread(io.BytesIO(dicom(98)))
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.save_as(tmp_path / "deflated.dcm")
    made["deflated"] = ("-xd", str(tmp_path / "deflated.dcm"))
    made["jpeg 2000"] = ("-xv", str(tmp_path / "j2k.dcm"))
    return made


def test_echo_is_answered_to_devices_and_to_nobody_else(listener, device):
    assert scu("echoscu", listener).returncode == 0
    stranger = scu("echoscu", listener, title="STRANGER")
    assert stranger.returncode != 0
    assert "Calling AE Title Not Recognized" in stranger.stderr


def test_every_common_compression_is_stored_and_queued(listener, device, tmp_path):
    sent = variants(tmp_path)
    for name, (proposal, path) in sent.items():
        done = scu("storescu", listener, proposal, path)
        assert done.returncode == 0, (name, done.stderr)

    stored = images(device.clinic_id)
    assert len(stored) == len(sent) == 7
    with clinic_scope(device.clinic_id):
        assert Analysis.objects.count() == 7
        for image in stored:
            assert pydicom.dcmread(io.BytesIO(object_read(image.original_key))).PixelData
            assert image.sop_class_uid == "1.2.840.10008.5.1.4.1.1.1.1"


def test_the_first_image_makes_patient_and_study_and_the_next_ones_join_them(
    listener, device, tmp_path
):
    same = {
        "PatientID": "P-7", "PatientName": "Doe^Jo", "PatientBirthDate": "19800102",
        "StudyInstanceUID": "1.2.3.77", "AccessionNumber": "A-7", "StudyDate": "20260102",
        "StudyTime": "101500",
    }  # fmt: skip
    for number in range(3):
        path = file(tmp_path, dicom(number + 1, **same))
        assert scu("storescu", listener, path).returncode == 0

    [study_id] = {image.study_id for image in images(device.clinic_id)}
    with clinic_scope(device.clinic_id):
        study = Study.objects.select_related("patient").get(pk=study_id)
    assert (study.study_instance_uid, study.accession_number) == ("1.2.3.77", "A-7")
    assert str(study.study_date) == "2026-01-02"
    assert (study.patient.record_number, study.patient.family_name) == ("P-7", "Doe")


def test_an_image_joins_the_study_that_was_ordered(listener, device, tmp_path):
    patient = PatientFactory(clinic=device.clinic, record_number="P-7")
    ordered = StudyFactory(patient=patient, accession_number="A-9")
    path = file(tmp_path, dicom(1, PatientID="P-7", AccessionNumber="A-9"))

    assert scu("storescu", listener, path).returncode == 0

    assert [image.study_id for image in images(device.clinic_id)] == [ordered.pk]


def test_sending_again_is_success_and_stores_nothing_twice(listener, device, tmp_path):
    path = file(tmp_path, dicom(1))
    assert scu("storescu", listener, path).returncode == 0
    assert scu("storescu", listener, path).returncode == 0
    assert len(images(device.clinic_id)) == 1


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ({"PatientID": ""}, "DataSetDoesNotMatchSOPClass"),
        ({"PatientID": "P-7", "PatientBirthDate": "19700101"}, "DataSetDoesNotMatchSOPClass"),
        ({"PatientID": "OTHER", "AccessionNumber": "A-9"}, "DataSetDoesNotMatchSOPClass"),
        ({"Rows": 9}, "CannotUnderstand"),
    ],
)
def test_what_cannot_be_filed_is_refused_with_a_status(
    listener, device, tmp_path, attributes, status
):
    patient = PatientFactory(clinic=device.clinic, record_number="P-7", birth_date="1980-01-02")
    StudyFactory(patient=patient, accession_number="A-9")
    path = file(tmp_path, dicom(1, **attributes))

    done = scu("storescu", listener, "-v", path)

    assert status in done.stdout + done.stderr
    assert images(device.clinic_id) == []


def test_ct_is_stored_and_other_kinds_are_not_offered(listener, device, tmp_path):
    ct = pydicom.dcmread(io.BytesIO(to_dicom(pixels(5), modality="CT")))
    ct.SOPClassUID = ct.file_meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    ct.save_as(tmp_path / "ct.dcm")
    assert scu("storescu", listener, str(tmp_path / "ct.dcm")).returncode == 0
    assert [image.modality for image in images(device.clinic_id)] == ["CT"]

    ct.SOPClassUID = pydicom.uid.UltrasoundImageStorage
    ct.file_meta.MediaStorageSOPClassUID = ct.SOPClassUID
    ct.save_as(tmp_path / "us.dcm")
    assert scu("storescu", listener, str(tmp_path / "us.dcm")).returncode != 0


def test_a_device_writes_to_and_finds_in_its_own_clinic_only(listener, device, tmp_path):
    other = DeviceFactory(membership=MembershipFactory(roles=[Role.TECHNICIAN]), ae_title="XRAY2")
    path = file(tmp_path, dicom(1, PatientID="P-7"))
    assert scu("storescu", listener, path).returncode == 0
    assert scu("storescu", listener, path, title="XRAY2").returncode == 0

    assert len(images(device.clinic_id)) == len(images(other.clinic_id)) == 1
    found = scu("findscu", listener, "-S", "-k", "QueryRetrieveLevel=STUDY", "-k",
                "StudyInstanceUID", "-k", "PatientID=P-7", "-q", title="XRAY2")  # fmt: skip
    assert found.returncode == 0
    stranger = DeviceFactory(
        membership=MembershipFactory(roles=[Role.TECHNICIAN]), ae_title="XRAY3"
    )
    for level in ("STUDY", "SERIES", "IMAGE"):
        asked = (f"QueryRetrieveLevel={level}", "StudyInstanceUID=", "PatientID=P-7")
        assert len(finds(listener, *asked, title="XRAY2")) == 1
        assert finds(listener, *asked, title=stranger.ae_title) == []
    StudyFactory(patient=PatientFactory(clinic=device.clinic))  # on the worklist of its clinic only
    step = "ScheduledProcedureStepSequence.Modality="
    assert len(finds(listener, "PatientID=", step, level="-W")) == 1
    assert finds(listener, "PatientID=", step, level="-W", title=stranger.ae_title) == []
    ClinicFactory()  # nobody's


def finds(listener, *keys: str, title: str = "XRAY1", level: str = "-S") -> list[pydicom.Dataset]:
    entity = AE(ae_title=title)
    model = "1.2.840.10008.5.1.4.1.2.2.1" if level == "-S" else "1.2.840.10008.5.1.4.31"
    entity.add_requested_context(model)
    peer = entity.associate("127.0.0.1", listener.port, ae_title="FRACTURE_SITE")
    assert peer.is_established
    asked = pydicom.Dataset()
    for key in keys:
        name, _equals, value = key.partition("=")
        place = asked
        if "." in name:
            name = name.split(".")[1]
            if "ScheduledProcedureStepSequence" not in asked:
                asked.ScheduledProcedureStepSequence = [pydicom.Dataset()]
            place = asked.ScheduledProcedureStepSequence[0]
        setattr(place, name, value)
    answers = list(peer.send_c_find(asked, model))
    peer.release()
    assert answers[-1][0].Status == 0, answers[-1]
    return [dataset for _status, dataset in answers[:-1]]


def test_studies_series_and_instances_are_found(listener, device, tmp_path):
    for number, person in enumerate(("Doe^Jo", "Roe^Al")):
        attributes = {
            "PatientID": f"P-{number}",
            "PatientName": person,
            "StudyDate": f"2026010{number + 1}",
        }
        path = file(tmp_path, dicom(number + 1, **attributes))
        assert scu("storescu", listener, path).returncode == 0
    study = ("QueryRetrieveLevel=STUDY", "StudyInstanceUID=", "PatientID=", "ModalitiesInStudy=")

    assert len(finds(listener, *study)) == 2
    [doe] = finds(listener, *study, "PatientName=doe*")
    assert (doe.PatientID, doe.ModalitiesInStudy) == ("P-0", "DX")
    [roe] = finds(listener, *study, "StudyDate=20260102-")
    assert roe.PatientID == "P-1"
    [series] = finds(
        listener, "QueryRetrieveLevel=SERIES", f"StudyInstanceUID={doe.StudyInstanceUID}",
        "SeriesInstanceUID=", "Modality=DX", "NumberOfSeriesRelatedInstances=",
    )  # fmt: skip
    [image] = finds(
        listener, "QueryRetrieveLevel=IMAGE", f"StudyInstanceUID={doe.StudyInstanceUID}",
        f"SeriesInstanceUID={series.SeriesInstanceUID}", "SOPInstanceUID=",
    )  # fmt: skip
    assert image.SOPInstanceUID == pydicom.dcmread(io.BytesIO(dicom(1))).SOPInstanceUID
    with clinic_scope(device.clinic_id):
        assert AuditEvent.objects.filter(action="device.query").count() == 5
    text = scu("findscu", listener, "-v", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k",
               "PatientName=ROE*", "-k", "PatientID").stdout  # fmt: skip
    assert "Roe^Al" in text or text == ""


def test_the_worklist_shows_orders_until_there_is_an_image(listener, device, tmp_path):
    patient = PatientFactory(clinic=device.clinic, record_number="P-7", family_name="Doe")
    order = OrderFactory(study=StudyFactory(patient=patient, accession_number="A-9"),
                         procedure_text="Wrist left")  # fmt: skip
    asked = ("PatientName=", "PatientID=", "AccessionNumber=", "StudyInstanceUID=",
             "RequestedProcedureDescription=", "Step.Modality=DX",
             "Step.ScheduledProcedureStepStartDate=")  # fmt: skip

    [item] = finds(listener, *asked, level="-W")
    assert (item.PatientID, item.AccessionNumber) == ("P-7", "A-9")
    assert item.RequestedProcedureDescription == "Wrist left"
    assert item.ScheduledProcedureStepSequence[0].Modality == order.modality

    path = file(tmp_path, dicom(1, PatientID="P-7", StudyInstanceUID=str(item.StudyInstanceUID)))
    assert scu("storescu", listener, path).returncode == 0
    assert finds(listener, *asked, level="-W") == []
    assert [image.study_id for image in images(device.clinic_id)] == [order.study_id]


def test_four_associations_at_once_lose_and_double_nothing(listener, device, tmp_path):
    files = [file(tmp_path, dicom(n + 1, PatientID="P-7", StudyInstanceUID="1.2.3.4"), f"{n}.dcm")
             for n in range(12)]  # fmt: skip

    with ThreadPoolExecutor(4) as pool:
        done = list(
            pool.map(lambda part: run(
                "storescu", "-aet", "XRAY1", "-aec", "FRACTURE_SITE", "127.0.0.1",
                str(listener.port), *files[part::4],
            ), range(4))
        )  # fmt: skip

    assert [one.returncode for one in done] == [0] * 4
    assert len(images(device.clinic_id)) == 12
    with clinic_scope(device.clinic_id):
        assert (Patient.objects.count(), Study.objects.count()) == (1, 1)


def half_open(listener, sent: bytes = b"") -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", listener.port), timeout=5)
    peer.sendall(sent)
    return peer


def closed_within(peer: socket.socket, seconds: float) -> bool:
    peer.settimeout(seconds)
    try:
        while peer.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def test_peers_that_promise_gigabytes_or_talk_nonsense_are_hung_up_on(listener, device):
    before = listener.memory_bytes
    for sent in (
        b"\x01\x00" + struct.pack(">L", 2**32 - 1) + b"x" * 100,
        b"\x04\x00" + struct.pack(">L", 2**31) + b"x" * 100,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff" * 4096,
        b"\x01\x00" + struct.pack(">L", 100) + b"\x00" * 100,
    ):
        peer = half_open(listener, sent)
        assert closed_within(peer, 15), sent[:20]
        peer.close()
    assert listener.memory_bytes - before < 50 * 2**20
    assert scu("echoscu", listener).returncode == 0


def test_silent_connections_leave_room_for_others_and_are_ended(transactional_db, device):
    listener = Listener(DIMSE_MAX_CONNECTIONS="6", DIMSE_MAX_CONNECTIONS_PER_ADDRESS="4").start()
    try:
        peers = [half_open(listener) for _ in range(40)]
        time.sleep(0.5)
        refused = [peer for peer in peers if closed_within(peer, 0.05)]
        assert len(refused) >= 34
        for peer in peers:
            assert closed_within(peer, 15)
            peer.close()
        assert scu("echoscu", listener).returncode == 0
    finally:
        listener.stop()


def test_a_message_longer_than_an_image_may_be_is_cut_off(transactional_db, device, tmp_path):
    listener = Listener(INGEST_MAX_BYTES="1048576").start()
    try:
        big = file(tmp_path, dicom(1) + b"\0" * 4_000_000)
        dataset = pydicom.dcmread(io.BytesIO(dicom(1)))
        dataset.add_new(0x00091010, "OB", b"\0" * 4_000_000)
        dataset.save_as(big)
        done = scu("storescu", listener, big)
        assert done.returncode != 0
        assert images(device.clinic_id) == []
        assert scu("echoscu", listener).returncode == 0
    finally:
        listener.stop()


def test_a_device_that_was_switched_off_is_a_stranger(listener, device):
    with clinic_scope(device.clinic_id):
        type(device).objects.update(is_enabled=False)
    assert scu("echoscu", listener).returncode != 0


def test_with_tls_the_certificate_decides_and_a_title_is_no_key(transactional_db, tmp_path):
    import hashlib
    import ssl

    import trustme

    authority, stranger = trustme.CA(), trustme.CA()
    files = {}
    for name, ca in (("server", authority), ("a", authority), ("b", authority), ("x", stranger)):
        made = ca.issue_cert("localhost", common_name=name)
        made.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        made.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        der = ssl.PEM_cert_to_DER_cert((tmp_path / f"{name}.pem").read_text())
        files[name] = hashlib.sha256(der).hexdigest()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name in ("a", "b"):
        DeviceFactory(
            membership=MembershipFactory(roles=[Role.TECHNICIAN]),
            ae_title=f"X{name.upper()}", certificate_sha256=files[name], address=None,
        )  # fmt: skip
    listener = Listener(
        DIMSE_TLS_CERTIFICATE=str(tmp_path / "server.pem"),
        DIMSE_TLS_KEY=str(tmp_path / "server.key"),
        DIMSE_TLS_CLIENT_CA=str(tmp_path / "ca.pem"),
    ).start()

    def echo(name: str, title: str) -> int:
        keys = (str(tmp_path / f"{name}.key"), str(tmp_path / f"{name}.pem"))
        return run(
            "echoscu", "+tls", *keys, "+cf", str(tmp_path / "ca.pem"), "-aet", title,
            "-aec", "FRACTURE_SITE", "localhost", str(listener.port),
        ).returncode  # fmt: skip

    try:
        assert echo("a", "XA") == 0
        assert echo("b", "XB") == 0
        assert echo("a", "XB") != 0  # another device's title
        assert echo("x", "XA") != 0  # a certificate of nobody we trust
        assert scu("echoscu", listener, title="XA").returncode != 0  # no TLS at all
        stalled = half_open(listener)  # never begins its handshake
        assert echo("a", "XA") == 0
        stalled.close()
    finally:
        listener.stop()


def test_an_open_network_without_tls_is_refused(transactional_db):
    with pytest.raises(AssertionError, match="unencrypted"):
        Listener(DIMSE_HOST="192.0.2.1").start()


def test_it_stops_when_asked(transactional_db, device):
    listener = Listener().start()
    process = listener._process
    assert isinstance(process, subprocess.Popen)
    started = time.monotonic()
    process.terminate()
    assert process.wait(timeout=10) == 0
    assert time.monotonic() - started < 10
