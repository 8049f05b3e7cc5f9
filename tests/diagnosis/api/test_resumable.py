"""Files in parts over HTTP (tus): resumed, repeated, foreign, too long, too late."""

import base64
import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.models import ApiToken, Role
from diagnosis.models import ResumableUpload, StudyImage
from diagnosis.services.resumable import uploads_expire
from diagnosis.storage import object_list
from ml.data.synthetic import synthetic_radiograph, to_png
from tests.diagnosis.api.conftest import API, client_of, person
from tests.factories import MembershipFactory, StudyFactory
from tests.support.film_scene import CORNERS, jpeg, photographed

pytestmark = pytest.mark.django_db


@pytest.fixture
def study(world):
    return StudyFactory(patient=world.patient)


@pytest.fixture
def file() -> bytes:
    return to_png(synthetic_radiograph(1, region="leg", size=(160, 128)).pixels)


def begin(client, study, length, **headers):
    return client.post(
        f"{API}studies/{study.pk}/uploads/", HTTP_UPLOAD_LENGTH=str(length), **headers
    )


def part(client, address, offset, data, **headers):
    headers = {"content_type": "application/offset+octet-stream", **headers}
    return client.patch(address, data, HTTP_UPLOAD_OFFSET=str(offset), **headers)


def parts_stored() -> int:
    return len(list(object_list("parts")))


def test_a_file_in_parts_becomes_one_image_whatever_is_repeated(
    technician, study, file, in_clinic, django_capture_on_commit_callbacks
):
    client, before, half = technician.client, parts_stored(), len(file) // 2
    begun = begin(client, study, len(file))
    address = begun.headers["Location"]
    assert (begun.status_code, begun.headers["Upload-Offset"]) == (201, "0")
    assert begun.headers["Tus-Resumable"] == "1.0.0"

    assert part(client, address, 0, file[:half]).headers["Upload-Offset"] == str(half)
    lost = part(client, address, 0, file[:half])  # its answer never came: sent again
    assert (lost.status_code, lost.json()["code"]) == (409, "offset_differs")
    asked = client.head(address)
    assert (asked.headers["Upload-Offset"], asked.headers["Upload-Length"]) == (
        str(half),
        str(len(file)),
    )
    assert asked.headers["Cache-Control"] == "no-store"
    early = client.post(f"{address}image/")
    assert (early.status_code, early.json()["code"]) == (409, "upload_incomplete")
    assert part(client, address, half, file[half:]).status_code == 204

    with django_capture_on_commit_callbacks(execute=True):
        made = client.post(f"{address}image/")
    again = client.post(f"{address}image/")
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json()["id"] == again.json()["id"]
    with in_clinic():
        assert StudyImage.objects.filter(study=study).count() == 1
    assert parts_stored() == before

    # The whole file once more, as if the client had forgotten that it was sent.
    other = begin(client, study, len(file)).headers["Location"]
    part(client, other, 0, file)
    assert client.post(f"{other}image/").json()["id"] == made.json()["id"]


def test_a_film_in_parts_is_straightened_as_in_the_plain_upload(technician, study):
    photo = jpeg(photographed())
    corners = base64.b64encode(json.dumps(CORNERS).encode()).decode()
    kind = base64.b64encode(b"film_photo").decode()
    told = f"capture {kind},corners {corners},filename {base64.b64encode(b'Doe').decode()}"
    address = begin(technician.client, study, len(photo), HTTP_UPLOAD_METADATA=told).headers[
        "Location"
    ]
    part(technician.client, address, 0, photo)
    made = technician.client.post(f"{address}image/").json()

    assert (made["capture"], made["warnings"]) == ("film_photo", ["photo_of_film"])


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"HTTP_UPLOAD_LENGTH": "-1"}, 400, "invalid"),
        ({"HTTP_UPLOAD_LENGTH": "0"}, 422, "empty_file"),
        ({"HTTP_UPLOAD_LENGTH": str(2**40)}, 413, "too_large"),
        ({"HTTP_UPLOAD_LENGTH": "9", "HTTP_UPLOAD_METADATA": "capture §"}, 400, "invalid"),
        ({"HTTP_UPLOAD_LENGTH": "9", "HTTP_UPLOAD_METADATA": "capture eA=="}, 422,
         "capture_unknown"),
        ({"HTTP_UPLOAD_LENGTH": "9", "HTTP_TUS_RESUMABLE": "0.2.2"}, 412, "tus_version"),
    ],
)  # fmt: skip
def test_what_cannot_be_begun_is_refused(technician, study, headers, status, code):
    answer = technician.client.post(f"{API}studies/{study.pk}/uploads/", **headers)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_parts_that_do_not_fit_are_refused_and_change_nothing(technician, study):
    client = technician.client
    address = begin(client, study, 4).headers["Location"]

    assert part(client, address, 0, b"12345").json()["code"] == "too_many_bytes"
    assert part(client, address, "x", b"1").json()["code"] == "invalid"
    assert part(client, address, 0, b"1", content_type="text/plain").status_code == 415
    big = client.generic(
        "PATCH", address, b"0" * (7 * 2**20), content_type="application/offset+octet-stream",
        HTTP_UPLOAD_OFFSET="0",
    )  # fmt: skip
    assert big.status_code == 413
    assert client.get(address).json()["offset"] == 0
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404


def test_only_the_person_who_began_an_upload_sees_and_continues_it(
    clinic, technician, study, in_clinic
):
    address = begin(technician.client, study, 4).headers["Location"]
    part(technician.client, address, 0, b"12")
    other = person(clinic, Role.TECHNICIAN, Role.DOCTOR).client

    for answer in (
        other.head(address),
        part(other, address, 2, b"34"),
        other.post(f"{address}image/"),
        other.delete(address),
    ):
        assert answer.status_code == 404
    with in_clinic():
        upload = ResumableUpload.objects.get(owner=technician.user)
    assert (upload.received, upload.image) == (2, None)

    second = client_of(technician.membership, ApiToken.Scope.WRITE)  # the same person's other token
    assert part(second, address, 2, b"34").headers["Upload-Offset"] == "4"


def test_no_field_of_an_upload_is_the_callers_to_set(
    clinic, world, technician, study, file, in_clinic
):
    planted = {
        "id": str(uuid4()), "owner": str(person(clinic, Role.TECHNICIAN).user.pk),
        "study": str(world.study.pk), "image": str(world.image.pk), "length": "1",
        "received": str(len(file)), "part_keys": "parts/planted", "expires_at": "2099-01-01T00:00Z",
    }  # fmt: skip
    told = ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in planted.items())
    client = technician.client
    begun = client.post(
        f"{API}studies/{study.pk}/uploads/?owner={planted['owner']}", planted, format="json",
        HTTP_UPLOAD_LENGTH=str(len(file)), HTTP_UPLOAD_METADATA=told,
    )  # fmt: skip
    address = begun.headers["Location"]
    part(client, address, 0, file, HTTP_UPLOAD_METADATA=told)
    with in_clinic():
        upload = ResumableUpload.objects.get(pk=begun.json()["id"])
    assert (upload.owner_id, upload.study_id, upload.image_id) == (
        technician.user.pk,
        study.pk,
        None,
    )
    assert (upload.length, upload.received, len(upload.part_keys)) == (len(file), len(file), 1)
    assert upload.part_keys != [planted["part_keys"]]
    assert upload.expires_at < timezone.now() + timedelta(days=2)

    made = client.post(f"{address}image/", planted | {"capture": "film_photo"}, format="json")

    assert made.status_code == 201
    with in_clinic():
        image = StudyImage.objects.get(pk=made.json()["id"])
    assert (image.study_id, image.capture) == (study.pk, "")
    assert str(image.pk) not in (planted["id"], planted["image"])


def test_a_role_that_may_not_upload_and_an_upload_that_is_over(world, technician, study, in_clinic):
    administrator = MembershipFactory(
        roles=[Role.CLINIC_ADMIN], clinic=technician.membership.clinic
    )
    denied = begin(client_of(administrator, ApiToken.Scope.WRITE), study, 4)
    assert denied.status_code == 403

    address = begin(technician.client, study, 4).headers["Location"]
    part(technician.client, address, 0, b"12")
    with in_clinic():
        ResumableUpload.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert technician.client.head(address).status_code == 404
    assert uploads_expire() == 2  # the world has one, too
    with in_clinic():
        assert not ResumableUpload.objects.exists()
