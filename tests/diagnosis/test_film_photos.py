"""Photographs of films on their way in: straightened, kept together, marked, or refused."""

import hashlib
import io
import json

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from accounts.tenancy import clinic_scope
from diagnosis import tasks
from diagnosis.ingest.results import FilmTask
from diagnosis.models import Analysis, Study, StudyImage
from diagnosis.services.model_stages import shipped_sync
from diagnosis.services.report_documents import photo_note
from diagnosis.services.report_texts import report_prefill
from diagnosis.services.uploads import image_upload
from diagnosis.storage import object_read
from tests.factories import MembershipFactory, PatientFactory, StudyFactory
from tests.ml.pictures import real_radiographs
from tests.support.film_scene import CORNERS, jpeg, photographed

pytestmark = pytest.mark.django_db


@pytest.fixture
def member():
    return MembershipFactory(doctor=True)


@pytest.fixture
def study(member) -> Study:
    return StudyFactory(patient=PatientFactory(clinic=member.clinic))


def send(client, study, photo: bytes, **fields):
    file = SimpleUploadedFile("film.jpg", photo, content_type="image/jpeg")
    return client.post(f"/studies/{study.pk}/upload/", {"file": file, **fields})


def test_the_photo_stays_the_original_and_the_straight_film_is_served(client, member, study):
    client.force_login(member.user)
    photo = jpeg(photographed())
    fields = {"capture": "film_photo", "corners": json.dumps(CORNERS)}
    answer = send(client, study, photo, **fields)
    assert (answer.status_code, answer.json()["outcome"]) == (201, "accepted"), answer.content
    assert "lower trust" in answer.json()["message"]

    with clinic_scope(member.clinic_id):
        image = StudyImage.objects.get()
    assert object_read(image.original_key) == photo
    assert image.sha256 == hashlib.sha256(photo).hexdigest()
    assert (image.capture, image.warnings) == ("film_photo", ["photo_of_film"])
    assert np.allclose(image.capture_details["corners"], CORNERS)
    assert image.capture_details["corners_by"] == "person"
    film = np.asarray(Image.open(io.BytesIO(object_read(image.served_key))))
    assert film.shape == (image.height, image.width)
    assert abs(image.height / image.width - (0.83 * 960) / (0.41 * 1280)) < 0.02
    rim = [film[2], film[-3], film[:, 2], film[:, -3]]
    assert all(np.median(side) < 60 for side in rim)  # nothing of the light box is left
    page = client.get(f"/images/{image.pk}/photo/")
    assert Image.open(io.BytesIO(page.getvalue())).size == (1280, 960)

    again = send(client, study, photo, **fields)
    assert again.json()["outcome"] == "existing"
    other = MembershipFactory(doctor=True)
    client.force_login(other.user)
    assert client.get(f"/images/{image.pk}/photo/").status_code == 404
    assert client.get(f"/studies/{study.pk}/film/").status_code == 404


def test_without_corners_the_film_is_looked_for(member, study):
    with clinic_scope(member.clinic_id):
        outcome = image_upload(
            actor=member.user, study=study, data=jpeg(photographed()), film=FilmTask()
        )
    details = outcome.image.capture_details
    assert details["corners_by"] == "proposal"
    assert np.abs((np.array(details["corners"]) - CORNERS) * (1280, 960)).max() < 4


@pytest.mark.parametrize(
    ("photo", "fields", "code"),
    [
        (lambda: jpeg(photographed(blur=7)), {}, "photo_blurred"),
        (lambda: jpeg(photographed() // 10), {}, "photo_too_dark"),
        (lambda: jpeg(np.full((700, 900), 200, np.uint8)), {"corners": ""}, "film_not_found"),
        (lambda: jpeg(photographed()), {"corners": "[[0,0],[1,1]]"}, "corners_invalid"),
        (lambda: jpeg(photographed()), {"capture": "drawing"}, "capture_unknown"),
        (lambda: b"II*\x00" + bytes(200), {}, "damaged"),
    ],
)
def test_a_photo_that_cannot_be_used_is_refused_with_its_reason(
    client, member, study, photo, fields, code
):
    client.force_login(member.user)
    wanted = {"capture": "film_photo", "corners": json.dumps(CORNERS), **fields}
    answer = send(client, study, photo(), **wanted)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert len(answer.json()["message"]) > 20
    with clinic_scope(member.clinic_id):
        assert not StudyImage.objects.exists()


def test_corners_are_proposed_for_a_small_copy_and_nothing_is_kept(client, member, study):
    client.force_login(member.user)
    small = SimpleUploadedFile("copy.jpg", jpeg(photographed(size=(640, 480))))
    answer = client.post(f"/studies/{study.pk}/film/corners/", {"file": small})

    assert answer.status_code == 200
    assert np.abs(np.array(answer.json()["corners"]) - CORNERS).max() < 0.01
    assert answer.json()["problems"] == []
    with clinic_scope(member.clinic_id):
        assert not StudyImage.objects.exists()
    client.force_login(MembershipFactory(doctor=True).user)
    assert client.post(f"/studies/{study.pk}/film/corners/").status_code == 404


def test_a_film_is_judged_as_a_photo_and_every_result_says_so(client, member, study):
    shipped_sync()
    radiographs = real_radiographs(1)
    film = np.asarray(Image.open(radiographs[0]).convert("L")) if radiographs else None
    with clinic_scope(member.clinic_id):
        image = image_upload(
            actor=member.user,
            study=study,
            data=jpeg(photographed(film)),
            film=FilmTask(corners=tuple(CORNERS)),
        ).image
    assert tasks.run_next_analysis() == 1
    with clinic_scope(member.clinic_id):
        run = Analysis.objects.get(image=image)
        study.refresh_from_db()
        assert run.status == "succeeded"
        assert "photo_of_film" in run.warnings  # part of the run's own record
        assert "photo_of_film" in study.result["images"][0]["warnings"]
        assert "photo of a film" in photo_note(study.result)
        texts = report_prefill(study, found=[], image_ids=[str(image.pk)], earlier=None)
        assert "photographed from a film" in texts["technique"]
    client.force_login(member.user)
    page = client.get(f"/studies/{study.pk}/").content.decode()
    assert "straightened from a photograph of a film" in page
    told = client.get(f"/api/v1/images/{image.pk}/").json()
    assert (told["capture"], told["warnings"]) == ("film_photo", ["photo_of_film"])
    photo = client.get(told["links"]["photo"])
    assert b"".join(photo.streaming_content)[:2] == b"\xff\xd8"  # a JPEG; read to its end: closed
