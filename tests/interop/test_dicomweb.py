"""DICOMweb as its clients meet it: dicomweb-client over a real socket, and hostile requests."""

import io
import json
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from accounts.models import ApiToken, AuditEvent, Role
from accounts.tenancy import clinic_scope
from diagnosis.interop.dicom_listing import study_dataset
from diagnosis.models import Study, StudyImage
from diagnosis.selectors.dicom_query import dicom_studies
from ml.data.synthetic import to_png
from tests.factories import (
    ApiTokenFactory,
    MembershipFactory,
    PatientFactory,
    StudyFactory,
    StudyImageFactory,
)
from tests.support.dicom_studies import dicom, pixels, study_with
from tests.support.orthanc import run

ROOT = "/api/dicomweb"


@pytest.fixture
def member(db):
    return MembershipFactory(roles=[Role.TECHNICIAN, Role.DOCTOR])


def client_of(member, scope=ApiToken.Scope.WRITE) -> Client:
    token = ApiTokenFactory(membership=member, scope=scope)
    return Client(headers={"Authorization": f"Bearer {token.secret}"})


@pytest.fixture
def web(member):
    return client_of(member)


def multipart(*files: bytes, part_type: str = "application/dicom") -> tuple[bytes, str]:
    head = f"--XX\r\nContent-Type: {part_type}\r\n\r\n".encode()
    body = b"".join(head + file + b"\r\n" for file in files) + b"--XX--\r\n"
    return body, 'multipart/related; type="application/dicom"; boundary=XX'


def stow(web, *files: bytes, path: str = "/studies", **options):
    body, content_type = multipart(*files, **options)
    return web.post(ROOT + path, body, content_type=content_type)


def get(web, path: str, accept: str = "*/*", **query):
    return web.get(ROOT + path, query, headers={"Accept": accept})


_application = get_wsgi_application()


def ours(environ, start_response):
    """Answer a request and leave no session of the database behind."""
    try:
        response = _application(environ, start_response)
        body = list(response)
        response.close()
        return body
    finally:
        connections.close_all()


class Quiet(WSGIRequestHandler):
    def log_message(self, *_args) -> None:
        """Say nothing."""


@pytest.fixture
def server(transactional_db):
    made = make_server("127.0.0.1", 0, ours, handler_class=Quiet)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}{ROOT}"
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.mark.django_db(transaction=True)
def test_dicomweb_client_stores_finds_and_retrieves(server):
    member = MembershipFactory(roles=[Role.TECHNICIAN])
    token = ApiTokenFactory(membership=member, scope=ApiToken.Scope.WRITE)
    client = DICOMwebClient(server, headers={"Authorization": f"Bearer {token.secret}"})
    sent = pydicom.dcmread(io.BytesIO(dicom(1, PatientID="P-7", PatientName="Doe^Jo")))

    client.store_instances([sent])

    [found] = client.search_for_studies(search_filters={"PatientName": "doe*"})
    study = found["0020000D"]["Value"][0]
    assert study == sent.StudyInstanceUID
    [series] = client.search_for_series(study)
    [instance] = client.search_for_instances(study, series["0020000E"]["Value"][0])
    uids = (study, series["0020000E"]["Value"][0], instance["00080018"]["Value"][0])
    back = client.retrieve_instance(*uids, media_types=(("application/dicom", "*"),))
    assert (back.pixel_array == sent.pixel_array).all()
    assert (back.PatientID, str(back.PatientName)) == ("P-7", "Doe^Jo")
    [metadata] = client.retrieve_study_metadata(study)
    assert metadata["00280010"]["Value"] == [sent.Rows]
    [frame] = client.retrieve_instance_frames(*uids, [1], media_types=("application/octet-stream",))
    assert frame == sent.PixelData
    assert client.retrieve_instance_rendered(*uids, media_types=("image/jpeg",))[:2] == b"\xff\xd8"
    [whole] = client.retrieve_study(study, media_types=(("application/dicom", "*"),))
    assert whole.SOPInstanceUID == sent.SOPInstanceUID
    member_study = Study
    with clinic_scope(member.clinic_id):
        assert member_study.objects.count() == 1


def test_an_image_that_came_as_png_is_an_instance_too(member, web, tmp_path):
    made = study_with(to_png(pixels(1)), member=member)
    uid = f"2.25.{made.study.pk.int}"
    [instance] = get(web, f"/studies/{uid}/instances").json()
    address = instance["00081190"]["Value"][0].partition(ROOT)[2]
    response = get(web, address, 'multipart/related; type="application/dicom"')
    file = b"".join(response.streaming_content).partition(b"\r\n\r\n")[2]
    file = file.rpartition(b"\r\n--")[0]
    path = tmp_path / "png.dcm"
    path.write_bytes(file)
    assert (pydicom.dcmread(path).pixel_array == pixels(1)).all()
    said = run("dciodvfy", "-new", str(path)).stderr
    assert [line for line in said.splitlines() if line.startswith("Error")] == [], said


def test_partial_success_says_what_was_stored_and_what_was_not(web):
    good, bad = dicom(1, PatientID="P-7"), dicom(2, PatientID="")

    assert stow(web, good).status_code == 200
    assert stow(web, good).status_code == 200  # again: it is there
    both = stow(web, good, bad)
    assert both.status_code == 202
    answer = both.json()
    assert len(answer["00081199"]["Value"]) == len(answer["00081198"]["Value"]) == 1
    assert answer["00081198"]["Value"][0]["00081197"]["Value"] == [0xA900]
    none = stow(web, bad, b"no dicom at all")
    assert none.status_code == 409
    assert len(none.json()["00081198"]["Value"]) == 2


def test_a_study_address_takes_only_its_own(web):
    uid = pydicom.dcmread(io.BytesIO(dicom(1))).StudyInstanceUID
    assert stow(web, dicom(2), path=f"/studies/{uid}").status_code == 409
    assert stow(web, dicom(1), path=f"/studies/{uid}").status_code == 200


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"x", "application/json", 415),
        (b"x", "multipart/related", 415),
        (b"x", "multipart/related; boundary=XX", 400),
        (b"--XX\r\nno header--XX--", "multipart/related; boundary=XX", 400),
        (b"--XX\r\n\r\n\r\n" * 300 + b"\r\n--XX--", "multipart/related; boundary=XX", 400),
        (multipart(b"{}", part_type="application/dicom+json")[0], multipart()[1], 415),
    ],
)
def test_what_is_no_stow_request_is_refused(web, body, content_type, status):
    response = web.post(f"{ROOT}/studies", body, content_type=content_type)
    assert response.status_code == status


def test_strangers_and_readers_store_nothing(member):
    reader = client_of(member, ApiToken.Scope.READ)
    assert stow(reader, dicom(1)).status_code == 403
    assert stow(Client(), dicom(1)).status_code == 401
    admin = MembershipFactory(clinic=member.clinic, roles=[Role.CLINIC_ADMIN])
    assert stow(client_of(admin), dicom(1)).status_code == 403
    with clinic_scope(member.clinic_id):
        assert StudyImage.objects.count() == 0


def test_another_clinics_study_is_404_everywhere(member, web):
    other = study_with(dicom(1))
    uid = str(pydicom.dcmread(io.BytesIO(dicom(1))).StudyInstanceUID)
    assert get(web, "/studies").json() == []
    assert get(web, f"/studies/{uid}/series").json() == []
    for rest in ("", "/metadata", "/thumbnail"):
        assert get(web, f"/studies/{uid}{rest}").status_code == 404
    assert get(web, f"/studies/{uid}/series/1/instances/2/frames/1").status_code == 404
    assert get(client_of(other.member), f"/studies/{uid}/metadata").status_code == 200


@pytest.mark.parametrize(
    "query",
    ["Unknown=1", "00FF00FF=1", "PatientName=a&PatientName=b", "limit=x", "limit=-1", "offset=1.5",
     "StudyDate=2026", "StudyDate=20261340", "StudyTime=99", "StudyDate=-", "SOPInstanceUID=1",
     "includefield=Nonsense", "PatientID=%00", "limit=9999999999999999999999"],
)  # fmt: skip
def test_a_question_that_is_not_understood_is_refused(web, query):
    assert web.get(f"{ROOT}/studies?{query}").status_code == 400


def test_limits_tags_and_fuzzy_matching(member, web):
    for number in range(3):
        study = StudyFactory(
            patient=PatientFactory(clinic=member.clinic, record_number=f"R{number}")
        )
        StudyImageFactory(study=study)
    everything = get(web, "/studies").json()
    assert [r["00100020"]["Value"][0] for r in everything] == ["R2", "R1", "R0"]
    assert get(web, "/studies", limit=1, offset=1).json() == everything[1:2]
    assert get(web, "/studies", limit=0).json() == []
    assert get(web, "/studies", **{"00100020": "R1"}).json() == everything[1:2]
    fuzzy = get(web, "/studies", fuzzymatching="true", PatientID="R1", includefield="all")
    assert fuzzy.json() == get(web, "/studies", includefield="all").json()[1:2]
    assert "Only literal matching" in fuzzy["Warning"]
    assert get(web, "/studies", accept="application/xml").status_code == 406


def test_media_types_that_cannot_be_given_are_406(member, web):
    made = study_with(dicom(1), member=member)
    uid = str(pydicom.dcmread(io.BytesIO(dicom(1))).StudyInstanceUID)
    [instance] = get(web, f"/studies/{uid}/instances").json()
    address = instance["00081190"]["Value"][0].partition(ROOT)[2]
    jpeg = (
        'multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.4.50'
    )
    assert get(web, f"{address}/frames/1", jpeg).status_code == 406
    assert get(web, address, "application/pdf").status_code == 406
    for number in ("2", "0", "x", "1,9", "-1"):
        assert get(web, f"{address}/frames/{number}").status_code == 404
    with clinic_scope(made.study.clinic_id):
        before = AuditEvent.objects.filter(action="image.open").count()
    get(web, f"{address}/frames/1")
    get(web, address)
    with clinic_scope(made.study.clinic_id):
        assert AuditEvent.objects.filter(action="image.open").count() == before + 2


@pytest.fixture(scope="module")
def archive(django_db_setup, django_db_blocker):
    """Studies that differ in every key, committed for all examples."""
    from tests.support.database import empty_all_tables

    with django_db_blocker.unblock():
        member = MembershipFactory(roles=[Role.TECHNICIAN])
        people = [("Doe", "Jo", "P-1", "1980-01-02", "female"), ("doe", "", "P-11", None, "male"),
                  ("Müller", "Änne", "p-1", "1990-12-31", "unknown"),
                  ("O'Neil (x.y)", "A*B", "P_1", "1980-01-02", "other")]  # fmt: skip
        for number, (family, given, record, birth, sex) in enumerate(people):
            patient = PatientFactory(
                clinic=member.clinic, family_name=family, given_name=given, record_number=record,
                birth_date=birth, sex=sex,
            )  # fmt: skip
            for which in range(2):
                study = StudyFactory(
                    patient=patient,
                    accession_number=f"A{number}{which}" if which else "",
                    study_instance_uid=f"1.2.{number}" if which else "",
                    study_date=f"2026-0{number + 1}-0{which + 1}" if number else None,
                    study_time=f"1{number}:00:0{which}" if number else None,
                )
                StudyImageFactory(study=study, modality=("DX", "CR", "", "CT")[number])
                if which:
                    StudyImageFactory(study=study, modality="DX")
    yield member
    with django_db_blocker.unblock():
        empty_all_tables()


def literal(value: str, found: str, *, ignore_case: bool = False) -> bool:
    """Match a wildcard by hand: the brute force that the SQL is compared with."""
    if ignore_case:
        value, found = value.lower(), found.lower()
    if not value:
        return not found
    if value[0] == "*":
        return any(literal(value[1:], found[at:]) for at in range(len(found) + 1))
    return bool(found) and value[0] in {"?", found[0]} and literal(value[1:], found[1:])


def between(value: str, found: str, width: int) -> bool:
    low, dash, high = value.partition("-")
    if not dash:
        return found[: len(low)] == low
    return (not low or found >= low.ljust(width, "0")) and (not high or found[: len(high)] <= high)


def expected(about: pydicom.Dataset, key: str, value: str) -> bool:
    if value in {"", "*"}:
        return True
    found = about.get(key)
    if key == "StudyInstanceUID":
        return str(found) in value.split(",")
    if key == "ModalitiesInStudy":
        there = [found] if isinstance(found, str) else list(found or [])
        return bool(set(there) & set(value.split(",")))
    text = str(found or "")
    if key == "PatientName":
        return literal(value.rstrip("^"), text.rstrip("^"), ignore_case=True)
    if key in {"StudyDate", "PatientBirthDate"}:
        return bool(text) and between(value, text, 8)
    if key == "StudyTime":
        return bool(text) and between(value, text, 6)
    return literal(value, text) if set(value) & set("*?") else value == text


TEXTS = st.sampled_from(
    ["Doe^Jo", "doe*", "D?e*", "*", "*^", "Doe", "DOE^", "müller^Änne", "m?ller*", "O'Neil (x.y)*",
     "*(x.y)*", "*.y)^A?B", "o.neil*", "P-1", "P?1", "p-1", "P-1*", "*1", "P-", "A11", "A?1", "",
     "\\", "[P]-1", "P-1|p-1", "^", "$", "A*", "%", "_"]
)  # fmt: skip
DATES = st.sampled_from(
    ["20260201", "20260101-20260301", "20260202-", "-20260201", "19800102", "19000101-19801231",
     "20260302-20260302", ""]
)  # fmt: skip
TIMES = st.sampled_from(["11", "1100", "110001", "11-12", "1100-110000", "-1130", "120001-", ""])
OTHER = {
    "PatientSex": st.sampled_from(["F", "M", "O", "X", ""]),
    "StudyInstanceUID": st.sampled_from(["1.2.1", "1.2.1,1.2.3", "1.2.9", ""]),
    "ModalitiesInStudy": st.sampled_from(["DX", "CR", "OT", "CT,OT", "MR", ""]),
}
KEYS = {
    "PatientName": TEXTS, "PatientID": TEXTS, "AccessionNumber": TEXTS, "StudyDate": DATES,
    "PatientBirthDate": DATES, "StudyTime": TIMES, **OTHER,
}  # fmt: skip


@pytest.mark.usefixtures("django_db_setup")
@examples(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_filter_finds_exactly_what_brute_force_finds(archive, django_db_blocker, data):
    chosen = data.draw(st.lists(st.sampled_from(sorted(KEYS)), min_size=1, max_size=3, unique=True))
    keys = {key: data.draw(KEYS[key]) for key in chosen}
    with django_db_blocker.unblock(), clinic_scope(archive.clinic_id):
        everything = dicom_studies(user=archive.user, keys={}, time_zone="UTC")
        assert len(everything) == 8
        found = {s.pk for s in dicom_studies(user=archive.user, keys=keys, time_zone="UTC")}
        wanted = {
            study.pk
            for study in everything
            if all(expected(study_dataset(study), key, value) for key, value in keys.items())
        }
    assert found == wanted, keys


@pytest.mark.usefixtures("django_db_setup")
@pytest.mark.parametrize("level", ["series", "instances"])
@pytest.mark.parametrize(
    ("key", "tag"),
    [("Modality", "00080060"), ("SeriesInstanceUID", "0020000E"), ("SeriesNumber", "00200011"),
     ("SOPInstanceUID", "00080018"), ("SOPClassUID", "00080016"), ("InstanceNumber", "00200013")],
)  # fmt: skip
def test_filters_of_series_and_instances_find_exactly_theirs(
    archive, django_db_blocker, level, key, tag
):
    if level == "series" and key in {"SOPInstanceUID", "SOPClassUID", "InstanceNumber"}:
        key, tag = "PatientID", "00100020"
    with django_db_blocker.unblock():
        web = client_of(archive)
        everything = get(web, f"/{level}", limit=1000).json()
        values = {json.dumps(row[tag]["Value"][0]) for row in everything}
        assert values
        for value in values:
            found = get(web, f"/{level}", limit=1000, **{key: json.loads(value)}).json()
            assert found == [row for row in everything if json.dumps(row[tag]["Value"][0]) == value]


def test_what_is_told_is_what_the_standard_says_what_was_matched_and_what_was_asked_for(
    web, member
):
    made = study_with(dicom(1, BodyPartExamined="WRIST"), member=member, body_part="wrist")
    uid = str(study_dataset_uid(made))
    description, region, name = "00081030", "00180015", "00100010"

    [plain] = get(web, "/studies", StudyInstanceUID=uid).json()
    [fuller] = get(web, "/studies", includefield="StudyDescription").json()
    [everything] = get(web, "/studies", includefield="all").json()
    assert description not in plain
    assert name in plain
    assert description in fuller
    assert description in everything
    path = f"/studies/{uid}/instances"
    [instance] = get(web, path).json()
    [with_region] = get(web, path, includefield=region).json()
    [of_all] = get(web, "/instances").json()
    assert region not in instance
    assert name not in instance
    assert with_region[region]["Value"] == ["WRIST"]
    assert name in of_all
    assert set(instance) < set(get(web, path, includefield="all").json()[0])


def study_dataset_uid(made) -> str:
    with clinic_scope(made.study.clinic_id):
        return Study.objects.get(pk=made.study.pk).study_instance_uid


ORIGIN = "https://viewer.example"


def test_pages_elsewhere_may_read_only_when_the_operator_names_them(web, member, settings):
    study_with(dicom(1), member=member)
    asked = {"Origin": ORIGIN, "Accept": "*/*"}
    assert "Access-Control-Allow-Origin" not in web.get(ROOT + "/studies", headers=asked).headers

    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    answer = web.get(ROOT + "/studies", headers=asked)
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Access-Control-Allow-Credentials" not in answer.headers
    preflight = Client().options(
        "/fhir/R4/Patient",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization",
        },
    )
    assert preflight.status_code == 200
    assert "authorization" in preflight.headers["Access-Control-Allow-Headers"]
    other = web.get(ROOT + "/studies", headers={"Origin": "https://evil.example", "Accept": "*/*"})
    assert "Access-Control-Allow-Origin" not in other.headers
    for page in ("/", "/api/v1/me/", "/accounts/login/"):
        assert "Access-Control-Allow-Origin" not in web.get(page, headers=asked).headers
