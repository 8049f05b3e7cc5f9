"""Measurements, notes and key images: per reader, never lost between two windows."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.urls import reverse
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from accounts.models import AuditEvent
from accounts.tenancy import clinic_scope
from diagnosis.models import Annotation, StudyKeyImage
from diagnosis.selectors.annotations import key_images_for
from diagnosis.services.annotations import annotation_save
from diagnosis.services.orphans import orphans_find
from diagnosis.storage import object_read
from fracture_site.common.errors import PreconditionError
from tests.factories import ClinicFactory, MembershipFactory, StudyImageFactory

pytestmark = pytest.mark.django_db
POINTS = [[0, 0], [5, 5]]
LENGTH = {"kind": "length", "frame": 0, "points": [[10, 20], [110, 20.5]], "revision": 0}


@pytest.fixture
def doctor(client):
    member = MembershipFactory(doctor=True)
    client.force_login(member.user)
    return member


@pytest.fixture
def image(doctor):
    return StudyImageFactory(study__patient__clinic=doctor.clinic)


def put(client, image, body, pk=None):
    url = reverse("diagnosis:image-annotation", args=[image.pk, pk or uuid4()])
    raw = body if isinstance(body, str) else json.dumps(body)
    return client.put(url, raw, content_type="application/json")


def listed(client, image):
    answer = client.get(reverse("diagnosis:study-annotations", args=[image.study_id]))
    assert answer.status_code == 200
    return answer.json()


def png(size=(40, 30), **options):
    out = io.BytesIO()
    Image.new("RGB", size, (9, 120, 200)).save(out, "PNG", **options)
    return out.getvalue()


def keep(client, image, data, caption=""):
    body = {"file": SimpleUploadedFile("x.png", data), "caption": caption}
    return client.post(reverse("diagnosis:image-key-images", args=[image.pk]), body)


def test_a_measurement_is_kept_changed_and_removed(client, image):
    pk = uuid4()
    assert put(client, image, LENGTH, pk).json()["revision"] == 1
    moved = {**LENGTH, "points": [[10, 20], [210, 20.456]], "revision": 1}
    assert put(client, image, moved, pk).json()["revision"] == 2

    (kept,) = listed(client, image)["annotations"]
    assert (kept["id"], kept["kind"]) == (str(pk), "length")
    assert kept["points"] == [[10, 20], [210, 20.46]]
    url = reverse("diagnosis:image-annotation", args=[image.pk, pk])
    assert client.delete(url + "?revision=1").status_code == 412
    assert client.delete(url + "?revision=2").status_code == 204
    assert listed(client, image)["annotations"] == []
    with clinic_scope(image.clinic_id):
        events = AuditEvent.objects.filter(target_id=pk).order_by("at")
        actions = [event.action for event in events]
    assert actions == ["annotation.create", "annotation.change", "annotation.delete"]


def test_a_repeated_request_has_no_second_effect_and_a_stale_one_is_told(client, image):
    pk = uuid4()
    for _again in range(2):
        assert put(client, image, LENGTH, pk).json()["revision"] == 1
    stale = {**LENGTH, "points": [[1, 1], [2, 2]]}
    answer = put(client, image, stale, pk)
    assert answer.status_code == 412
    assert (answer.json()["code"], answer.json()["revision"]) == ("annotation_changed", 1)
    assert put(client, image, {**LENGTH, "revision": 7}).status_code == 412  # deleted elsewhere


def test_everybody_sees_their_own_marks_only(client, image, doctor):
    pk = uuid4()
    put(client, image, LENGTH, pk)
    colleague = MembershipFactory(doctor=True, clinic=doctor.clinic)
    client.force_login(colleague.user)
    assert listed(client, image)["annotations"] == []
    url = reverse("diagnosis:image-annotation", args=[image.pk, pk])
    assert client.delete(url + "?revision=1").status_code == 404
    assert put(client, image, {**LENGTH, "revision": 1}, pk).json()["code"] == "annotation_taken"


def test_a_stranger_finds_nothing_and_an_administrator_draws_nothing(client, image, doctor):
    kept = keep(client, image, png()).json()
    client.force_login(MembershipFactory(clinic_admin=True, clinic=doctor.clinic).user)
    assert put(client, image, LENGTH).status_code == 403
    assert keep(client, image, png()).status_code == 403
    client.force_login(MembershipFactory(doctor=True, clinic=ClinicFactory()).user)
    assert put(client, image, LENGTH).status_code == 404
    assert keep(client, image, png()).status_code == 404
    assert client.get(kept["url"]).status_code == 404
    assert client.delete(kept["url"]).status_code == 404
    url = reverse("diagnosis:study-annotations", args=[image.study_id])
    assert client.get(url).status_code == 404


@pytest.mark.parametrize(
    "bad",
    [
        "not json",
        "[]",
        "[" * 100_000,
        {**LENGTH, "kind": "heart"},
        {**LENGTH, "frame": 1},
        {**LENGTH, "points": [[1, 2]]},
        {**LENGTH, "points": [[1, 2], [3, "4"]]},
        {**LENGTH, "points": [[1, 2], [3, True]]},
        {**LENGTH, "points": [[1, 2], [3, 1e9]]},
        '{"kind": "length", "frame": 0, "revision": 0, "points": [[1, 2], [3, NaN]]}',
        {**LENGTH, "kind": "text", "points": [[1, 2]], "text": " \n "},
        {**LENGTH, "kind": "text", "points": [[1, 2]], "text": "x" * 501},
        {**LENGTH, "kind": "calibration"},
        {**LENGTH, "kind": "calibration", "millimetres": 0.2},
        {**LENGTH, "kind": "calibration", "millimetres": "Infinity"},
    ],
)
def test_what_cannot_be_a_mark_is_refused_with_a_code(client, image, bad):
    answer = put(client, image, bad)
    assert answer.status_code == 422
    assert answer.json()["code"] == "annotation_invalid"
    assert listed(client, image)["annotations"] == []


def test_a_new_calibration_replaces_the_former_one(client, image):
    for millimetres in (25, 30.5):
        body = {**LENGTH, "kind": "calibration", "millimetres": millimetres}
        assert put(client, image, body).status_code == 200
    (kept,) = listed(client, image)["annotations"]
    assert (kept["kind"], kept["millimetres"]) == ("calibration", 30.5)


@pytest.mark.django_db(transaction=True)
def test_of_two_windows_that_save_at_once_one_is_told(doctor, image):
    pk = uuid4()

    def save(x):
        try:
            with clinic_scope(doctor.clinic_id):
                annotation_save(
                    actor=doctor.user, image=image, pk=pk, revision=1, kind="length",
                    points=[[0, 0], [x, x]],
                )  # fmt: skip
        except PreconditionError as error:
            return error.code
        finally:
            connection.close()
        return "saved"

    with clinic_scope(doctor.clinic_id):
        annotation_save(
            actor=doctor.user, image=image, pk=pk, revision=0, kind="length", points=POINTS
        )
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(save, (10, 20, 30, 40)))
    assert sorted(answers) == ["annotation_changed"] * 3 + ["saved"]
    with clinic_scope(doctor.clinic_id):
        assert Annotation.objects.get(pk=pk).revision == 2


def test_a_key_image_is_written_anew_kept_and_served(client, image, doctor):
    info = PngInfo()
    info.add_text("Comment", "Somebody's name")
    answer = keep(client, image, png(pnginfo=info) + b"appended", caption="  Distal   radius ")
    assert answer.status_code == 201
    assert answer.json()["caption"] == "Distal radius"
    served = b"".join(client.get(answer.json()["url"]).streaming_content)
    assert Image.open(io.BytesIO(served)).getpixel((3, 3)) == (9, 120, 200)
    assert b"Somebody" not in served
    assert b"appended" not in served
    with clinic_scope(doctor.clinic_id):
        (kept,) = key_images_for(user=doctor.user, study=image.study)
    assert (kept.width, kept.height) == (40, 30)
    assert object_read(kept.object_key) == served


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n broken", b"GIF89a" * 9])
def test_what_is_no_picture_is_not_kept(client, image, data):
    assert keep(client, image, data).status_code in {400, 422}
    assert listed(client, image)["key_images"] == []


def test_a_picture_of_endless_size_is_refused_before_it_is_decoded(client, image):
    answer = keep(client, image, png((9000, 1)))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_removed_key_image_leaves_no_row_and_its_bytes_are_collected(client, image, doctor):
    kept = keep(client, image, png()).json()
    with clinic_scope(doctor.clinic_id):
        key = StudyKeyImage.objects.get().object_key
    assert key not in orphans_find(settled_after=-timedelta(days=1))
    assert client.delete(kept["url"]).status_code == 204
    assert listed(client, image)["key_images"] == []
    assert key in orphans_find(settled_after=-timedelta(days=1))
