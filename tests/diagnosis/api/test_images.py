"""Images over HTTP: upload with the real ingest, their bytes, moving."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import AuditEvent
from diagnosis.models import Analysis, StudyImage
from ml.data.synthetic import synthetic_radiograph, to_dicom, to_png
from tests.diagnosis.api.conftest import API, JPEG, SERVED
from tests.factories import StudyFactory

pytestmark = pytest.mark.django_db


def radiograph(seed=1):
    return synthetic_radiograph(seed, region="leg", size=(160, 128)).pixels


def upload(client, study, data, **headers):
    file = SimpleUploadedFile("Jane Doe 1980.png", data, content_type="text/html")
    address = f"{API}studies/{study.pk}/images/"
    return client.post(address, {"file": file}, format="multipart", **headers)


def test_upload_stores_the_image_and_queues_its_analysis(technician, world, in_clinic):
    study = StudyFactory(patient=world.patient)
    response = upload(technician.client, study, to_png(radiograph()))
    assert response.status_code == 201, response.content
    image = response.json()
    assert (image["study"], image["width"], image["height"]) == (str(study.pk), 160, 128)
    assert (image["analysis"]["status"], image["result"]) == ("queued", None)
    assert image["links"]["heatmap"] is None
    assert technician.client.get(response.headers["Location"]).json() == image
    detail = technician.client.get(f"{API}studies/{study.pk}/").json()
    assert (detail["status"], [row["id"] for row in detail["images"]]) == ("queued", [image["id"]])
    assert "Jane" not in response.content.decode()
    with in_clinic():
        assert Analysis.objects.filter(image=image["id"]).count() == 1


def test_same_bytes_in_the_same_study_are_the_same_image(technician, world):
    study = StudyFactory(patient=world.patient)
    first = upload(technician.client, study, to_png(radiograph()))
    again = upload(technician.client, study, to_png(radiograph()))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]


def test_same_bytes_in_another_study_are_a_conflict_that_names_it(technician, world):
    study, other = StudyFactory(patient=world.patient), StudyFactory(patient=world.patient)
    first = upload(technician.client, study, to_png(radiograph())).json()
    again = upload(technician.client, other, to_png(radiograph()))
    assert again.status_code == 409
    assert again.json()["code"] == "image_in_other_study"
    assert (again.json()["image"], again.json()["study"]) == (first["id"], str(study.pk))


def test_another_clinic_is_not_told_about_the_same_bytes(technician, stranger, world):
    upload(technician.client, world.study, to_png(radiograph()))
    theirs = StudyFactory(
        clinic=stranger.membership.clinic, patient__clinic=stranger.membership.clinic
    )
    assert upload(stranger.client, theirs, to_png(radiograph())).status_code == 201


@pytest.mark.parametrize(
    "data", [b"", b"no image", b"%PDF-1.7\n", b"<svg></svg>", to_png(radiograph())[:200]]
)
def test_refused_file_has_a_code_and_a_sentence_and_leaves_nothing(
    technician, world, in_clinic, data
):
    study = StudyFactory(patient=world.patient)
    response = upload(technician.client, study, data)
    assert response.status_code == 422
    body = response.json()
    assert body["code"].islower()
    assert body["detail"].endswith(".")
    with in_clinic():
        assert not StudyImage.objects.filter(study=study).exists()


def test_upload_without_a_file_names_the_field(technician, world):
    address = f"{API}studies/{world.study.pk}/images/"
    for data in ({}, {"file": "text"}, {"other": "x"}):
        response = technician.client.post(address, data, format="multipart")
        assert (response.status_code, list(response.json()["fields"])) == (400, ["file"])


def test_upload_in_another_form_is_415(technician, world):
    address = f"{API}studies/{world.study.pk}/images/"
    response = technician.client.post(address, {"file": "x"}, format="json")
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


def test_file_over_the_limit_is_413_and_is_not_read(technician, world, settings):
    settings.INGEST_MAX_BYTES = 1000
    response = upload(technician.client, world.study, to_png(radiograph()))
    assert (response.status_code, response.json()["code"]) == (413, "too_large")
    declared = technician.client.generic(
        "POST",
        f"{API}studies/{world.study.pk}/images/",
        b"",
        content_type="multipart/form-data; boundary=x",
        CONTENT_LENGTH=str(10**12),
    )
    assert (declared.status_code, declared.json()["code"]) == (413, "too_large")


def test_dicom_is_taken_and_named_by_its_content(technician, world):
    response = upload(technician.client, world.study, to_dicom(radiograph(2)))
    assert response.status_code == 201, response.content
    assert response.json()["format"] == "dicom"


@pytest.mark.parametrize(
    ("part", "content_type", "content"),
    [
        ("file", "image/png", SERVED),
        ("rendition", "image/jpeg", JPEG),
        ("rendition/?frame=1", "image/jpeg", JPEG),
        ("thumbnail", "image/jpeg", JPEG),
        ("heatmap", "image/png", b"heatmap"),
    ],
)
def test_bytes_are_served_privately_and_audited(
    doctor, world, in_clinic, part, content_type, content
):
    path = part if "?" in part else f"{part}/"
    response = doctor.client.get(f"{API}images/{world.image.pk}/{path}", HTTP_ACCEPT="image/*")
    assert response.status_code == 200
    assert response.received == content
    assert response.headers["Content-Type"] == content_type
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in response.headers["Content-Security-Policy"]
    assert response.headers["Cache-Control"].startswith("private")
    with in_clinic():
        event = AuditEvent.objects.get(action="image.open", target_id=world.image.pk)
    assert (event.actor_id, event.patient_id) == (doctor.user.pk, world.patient.pk)
    assert event.details["what"] == part.split("/")[0]


@pytest.mark.parametrize(
    ("frame", "status", "code"),
    [
        ("2", 404, "frame_out_of_range"),
        ("-1", 400, "invalid"),
        ("x", 400, "invalid"),
        ("9" * 5000, 400, "invalid"),
    ],
)
def test_frame_that_does_not_exist(doctor, world, frame, status, code):
    response = doctor.client.get(f"{API}images/{world.image.pk}/rendition/", {"frame": frame})
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_no_heatmap_before_a_run_has_finished(doctor, world, in_clinic):
    with in_clinic():
        Analysis.objects.filter(pk=world.analysis.pk).update(heatmap_key="")
    response = doctor.client.get(f"{API}images/{world.image.pk}/heatmap/")
    assert (response.status_code, response.json()["code"]) == (404, "heatmap_missing")


def test_missing_object_is_503_and_not_a_crash(doctor, world, in_clinic):
    with in_clinic():
        StudyImage.objects.filter(pk=world.image.pk).update(thumbnail_key="thumbnails/gone.jpg")
    response = doctor.client.get(f"{API}images/{world.image.pk}/thumbnail/")
    assert (response.status_code, response.json()["code"]) == (503, "storage")


def test_image_moves_to_the_study_it_belongs_to(technician, world, in_clinic):
    with in_clinic():
        world.version.delete()
        world.report.delete()
    other = StudyFactory(patient=world.patient)
    address = f"{API}images/{world.image.pk}/move/"
    moved = technician.client.post(address, {"study": str(other.pk)})
    assert (moved.status_code, moved.json()["study"]) == (200, str(other.pk))
    assert technician.client.get(f"{API}studies/{world.study.pk}/").json()["status"] == "empty"
    assert technician.client.get(f"{API}studies/{other.pk}/").json()["verdict"] == "definite"
