import hashlib

import pytest
from django.conf import settings
from django.db import connection
from django.http import Http404
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEvent
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis.models import Analysis, StudyImage
from diagnosis.services import uploads
from diagnosis.services.patients import patient_merge
from diagnosis.services.uploads import image_upload
from diagnosis.storage import StorageError, object_read
from fracture_site.common.errors import (
    ConflictError,
    RefusedInputError,
    TooLargeError,
    UnavailableError,
)
from ml.data.synthetic import synthetic_radiograph, to_dicom, to_png
from tests.factories import (
    MembershipFactory,
    PatientFactory,
    ReportFactory,
    ReportVersionFactory,
    StudyFactory,
)

pytestmark = pytest.mark.django_db


def pixels(seed=1):
    return synthetic_radiograph(seed, region="leg", size=(160, 128)).pixels


def png(seed=1):
    return to_png(pixels(seed))


@pytest.fixture(autouse=True)
def media(tmp_path, settings):
    options = {"location": str(tmp_path)}
    backend = "fracture_site.common.storage.PrivateFileStorage"
    settings.STORAGES = settings.STORAGES | {"clinical": {"BACKEND": backend, "OPTIONS": options}}
    return tmp_path


def stored(media):
    return sorted(path.relative_to(media).parts[0] for path in media.rglob("*") if path.is_file())


@pytest.fixture
def member():
    member = MembershipFactory(technician=True)
    with clinic_scope(member.clinic_id):
        yield member


@pytest.fixture
def study(member):
    return StudyFactory(patient=PatientFactory(clinic=member.clinic), priority=1)


def upload(member, study, data):
    return image_upload(actor=member.user, study=study, data=data)


def test_an_upload_keeps_the_original_and_serves_a_copy(member, study):
    data = png()
    outcome = upload(member, study, data)
    image = StudyImage.objects.get()
    assert outcome.created
    assert outcome.image == image
    assert object_read(image.original_key) == data
    assert image.sha256 == hashlib.sha256(data).hexdigest()
    served = object_read(image.served_key)
    assert image.served_sha256 == hashlib.sha256(served).hexdigest()
    assert object_read(image.thumbnail_key)[:3] == b"\xff\xd8\xff"
    assert [object_read(key)[:3] for key in image.rendition_keys] == [b"\xff\xd8\xff"]
    assert (image.width, image.height, image.frame_count) == (160, 128, 1)
    assert (image.uploaded_by, image.size_bytes) == (member.user, len(data))


def test_an_upload_queues_one_analysis_with_the_studys_priority(
    member, study, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks() as callbacks:
        image = upload(member, study, png()).image
    analysis = Analysis.objects.get()
    assert (analysis.image, analysis.status, analysis.priority) == (image, "queued", 1)
    assert analysis.requested_by == member.user
    assert callbacks  # workers are woken up after the commit
    study.refresh_from_db()
    assert study.status == "queued"


def test_images_line_up_in_the_order_they_came(member, study):
    images = [upload(member, study, png(seed)).image for seed in (1, 2, 3)]
    assert [image.position for image in images] == [0, 1, 2]


def test_the_same_bytes_in_the_same_study_are_answered_with_the_image_that_is_there(
    member, study, media
):
    first = upload(member, study, png())
    again = upload(member, study, png())
    assert (again.image, again.created) == (first.image, False)
    assert Analysis.objects.count() == 1
    assert stored(media) == ["originals", "renditions", "served", "thumbnails"]


def test_the_same_bytes_in_another_study_are_refused_with_the_way_there(member, study, media):
    first = upload(member, study, png()).image
    other = StudyFactory(patient=PatientFactory(clinic=member.clinic))
    with pytest.raises(ConflictError) as refused:
        upload(member, other, png())
    assert refused.value.code == "image_in_other_study"
    assert refused.value.extra == {"image": str(first.pk), "study": str(study.pk)}
    assert other.images.count() == 0
    assert len(stored(media)) == 4


def test_another_clinic_may_have_the_same_bytes_and_learns_nothing(member, study):
    upload(member, study, png())
    other = MembershipFactory(technician=True)
    own_study = StudyFactory(patient=PatientFactory(clinic=other.clinic))
    with clinic_scope(other.clinic_id):
        assert upload(other, own_study, png()).created


def test_another_version_of_the_same_dicom_object_is_refused(member, study, media):
    identity = {"SOPInstanceUID": "1.2.826.0.1.3680043.8.498.1"}
    first = upload(member, study, to_dicom(pixels(1), attributes=identity)).image
    assert first.sop_instance_uid == identity["SOPInstanceUID"]
    before = stored(media)
    with pytest.raises(ConflictError) as refused:
        upload(member, study, to_dicom(pixels(2), attributes=identity))
    assert refused.value.code == "sop_instance_conflict"
    assert refused.value.extra == {"image": str(first.pk), "study": str(study.pk)}
    assert StudyImage.objects.count() == 1
    assert stored(media) == before


def test_what_a_dicom_object_says_of_itself_is_kept_but_not_whom_it_shows(member, study):
    attributes = {
        "PatientName": "Canary^Carla",
        "PatientID": "MRN-CANARY",
        "ViewPosition": "AP",
        "ImageLaterality": "L",
    }
    image = upload(member, study, to_dicom(pixels(), attributes=attributes)).image
    assert (image.format, image.modality) == ("dicom", "DX")
    assert (image.view_position, image.laterality) == ("AP", "L")
    assert image.pixel_spacing["row"] == pytest.approx(0.14)
    assert b"Canary" in object_read(image.original_key)
    assert b"Canary" not in object_read(image.served_key)
    assert b"CANARY" not in object_read(image.served_key)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_file"),
        (b"%PDF-1.7 something", "pdf"),
        (b"hello, I am a text", "not_an_image"),
        (png()[:600], "damaged"),
    ],
)
def test_an_unusable_file_is_refused_and_nothing_is_kept(member, study, media, data, code):
    with pytest.raises(RefusedInputError) as refused:
        upload(member, study, data)
    assert refused.value.code == code
    assert str(refused.value.detail)
    assert not StudyImage.objects.exists()
    assert stored(media) == []


def test_a_file_over_the_limit_is_refused_before_anything_looks_at_it(
    member, study, settings, monkeypatch
):
    settings.INGEST_MAX_BYTES = 10
    monkeypatch.setattr(uploads, "ingest_image", lambda _data: pytest.fail("was looked at"))
    with pytest.raises(TooLargeError, match="too_large"):
        upload(member, study, b"x" * 11)


def test_a_store_that_fails_half_way_leaves_neither_row_nor_objects(
    member, study, media, monkeypatch
):
    def put(*, data, kind, content_type):
        if kind == "thumbnails":
            raise StorageError
        return real_put(data=data, kind=kind, content_type=content_type)

    real_put = uploads.object_put
    monkeypatch.setattr(uploads, "object_put", put)
    with pytest.raises(UnavailableError) as refused:
        upload(member, study, png())
    assert refused.value.code == "storage"
    assert not StudyImage.objects.exists()
    assert not Analysis.objects.exists()
    assert stored(media) == []


def test_storing_many_frames_does_not_let_the_transaction_idle(member, study, monkeypatch):
    """The database ends a session that is silent for two minutes: each object begins anew."""
    real_put, heard = uploads.object_put, []

    def put(**values):
        heard.append(len(queries))
        return real_put(**values)

    monkeypatch.setattr(uploads, "object_put", put)
    with CaptureQueriesContext(connection) as queries:
        upload(member, study, png())
    assert len(heard) >= 4
    assert sorted(set(heard)) == heard  # something was asked between any two


def test_an_error_after_storing_takes_row_and_objects_back(member, study, media, monkeypatch):
    def refuse(**_values):
        raise RuntimeError

    monkeypatch.setattr(uploads, "analysis_enqueue", refuse)
    with pytest.raises(RuntimeError):
        upload(member, study, png())
    assert not StudyImage.objects.exists()
    assert stored(media) == []


def test_keys_and_the_trail_hold_nothing_of_the_patient(member, study):
    image = upload(member, study, png()).image
    keys = [image.original_key, image.served_key, image.thumbnail_key, *image.rendition_keys]
    event = AuditEvent.objects.get(action="image.upload")
    assert event.patient_id == study.patient_id
    # A hash of the original would identify a picture that was erased.
    assert event.details == {"study": str(study.pk)}
    for secret in (study.patient.record_number, study.patient.family_name, str(study.patient.pk)):
        assert not any(secret in key for key in keys)


def test_a_new_image_after_the_signature_marks_the_report(member, study):
    upload(member, study, png(1))
    report = ReportFactory(study=study)
    version = ReportVersionFactory(report=report)
    version.status, version.signed_by, version.signed_at = (
        "signed",
        version.author,
        version.updated_at,
    )
    version.pdf_key = version.content_sha256 = "x"
    version.save()
    upload(member, study, png(2))
    study.refresh_from_db()
    assert study.new_image_after_report


def test_after_a_merge_an_upload_belongs_to_the_kept_patient(member, study):
    doctor = MembershipFactory(clinic=member.clinic, doctor=True)
    kept = PatientFactory(clinic=member.clinic)
    patient_merge(actor=doctor.user, source=study.patient, target=kept)
    image = upload(member, study, png()).image  # the page was opened before the merge
    assert image.study.patient_id == kept.pk
    assert AuditEvent.objects.get(action="image.upload").patient_id == kept.pk


def test_who_may_not_upload_or_is_of_another_clinic_is_refused(member, study):
    admin = MembershipFactory(clinic=member.clinic, clinic_admin=True)
    stranger = MembershipFactory(doctor=True)
    for person in (admin, stranger):
        with pytest.raises(ActionDeniedError):
            upload(person, study, png())
    both = MembershipFactory(user=member.user, technician=True)
    foreign = StudyFactory(patient=PatientFactory(clinic=both.clinic))
    with pytest.raises(Http404):
        upload(member, foreign, png())


def test_the_limit_of_the_installation_is_a_hundred_megabytes():
    assert settings.INGEST_MAX_BYTES == 100 * 2**20
