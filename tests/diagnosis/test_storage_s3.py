"""The S3 path over real HTTP against moto's server."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import requests
from botocore.config import Config
from django.test import override_settings
from django.utils import timezone

from accounts.tenancy import clinic_scope
from diagnosis.services.uploads import image_upload
from diagnosis.storage import (
    StorageError,
    object_delete,
    object_list,
    object_put,
    object_read,
    object_response,
)
from fracture_site.common.errors import UnavailableError
from ml.data.synthetic import synthetic_radiograph, to_png
from tests.factories import MembershipFactory, PatientFactory, StudyFactory

pytestmark = pytest.mark.s3
BUCKET = "clinical"


def storages(settings, url):
    options = {
        "bucket_name": BUCKET,
        "endpoint_url": url,
        "region_name": "us-east-1",
        "access_key": "test",
        "secret_key": "test",
        "querystring_auth": True,
        "querystring_expire": settings.SIGNED_LINK_SECONDS,
        "file_overwrite": False,
        "default_acl": None,
        "signature_version": "s3v4",
        "object_parameters": {"ServerSideEncryption": "AES256"},
    }
    backend = "fracture_site.common.storage_s3.PrivateS3Storage"
    return settings.STORAGES | {"clinical": {"BACKEND": backend, "OPTIONS": options}}


@pytest.fixture
def bucket(s3_server, settings):
    client = boto3.client(
        "s3",
        endpoint_url=s3_server,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket=BUCKET)
    with override_settings(STORAGES=storages(settings, s3_server)):
        yield client
    client.close()


def link_of(key, **options):
    response = object_response(key=key, content_type="image/jpeg", **options)
    assert response.status_code == 302
    return response["Location"]


def test_bytes_are_stored_encrypted_with_their_type_and_come_back(bucket):
    key = object_put(data=b"pixels", kind="originals", content_type="image/jpeg")
    assert object_read(key) == b"pixels"
    head = bucket.head_object(Bucket=BUCKET, Key=key)
    assert head["ContentType"] == "image/jpeg"
    assert head["ServerSideEncryption"] == "AES256"


def test_a_signed_link_of_a_minute_serves_the_object_as_told(bucket):
    key = object_put(data=b"pixels", kind="served", content_type="image/jpeg")
    link = link_of(key, download_name="image-1.jpg")
    query = parse_qs(urlsplit(link).query)
    assert int(query["X-Amz-Expires"][0]) <= 60
    answer = requests.get(link, timeout=5)
    assert answer.content == b"pixels"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="image-1.jpg"'
    assert answer.headers["Content-Type"] == "image/jpeg"


def test_the_redirect_itself_is_not_kept(bucket):
    key = object_put(data=b"pixels", kind="served", content_type="image/jpeg")
    response = object_response(key=key, content_type="image/jpeg")
    assert response["Cache-Control"] == "private, no-store"
    assert parse_qs(urlsplit(response["Location"]).query)["response-content-disposition"] == [
        "inline"
    ]


def test_nobody_reads_an_object_without_a_signature(bucket):
    key = object_put(data=b"pixels", kind="served", content_type="image/jpeg")
    bare = urlsplit(link_of(key))._replace(query="").geturl()
    assert requests.get(bare, timeout=5).status_code == 403


def test_a_missing_object_is_file_not_found_and_can_be_deleted_again(bucket):
    key = object_put(data=b"pixels", kind="served", content_type="image/jpeg")
    object_delete(key)
    object_delete(key)
    with pytest.raises(FileNotFoundError):
        object_read(key)


def test_a_missing_bucket_is_a_storage_error(bucket):
    bucket.delete_bucket(Bucket=BUCKET)
    with pytest.raises(StorageError):
        object_put(data=b"pixels", kind="served", content_type="image/jpeg")


def test_a_store_that_is_down_is_a_storage_error(settings):
    options = storages(settings, "http://127.0.0.1:9")
    options["clinical"]["OPTIONS"]["client_config"] = Config(
        retries={"total_max_attempts": 1}, connect_timeout=1, signature_version="s3v4"
    )
    with override_settings(STORAGES=options):
        with pytest.raises(StorageError):
            object_put(data=b"pixels", kind="served", content_type="image/jpeg")
        with pytest.raises(StorageError):
            object_read("served/aa/x")
    assert issubclass(StorageError, OSError)
    assert not issubclass(UnavailableError, OSError)


def test_listing_yields_the_keys_of_one_kind_with_their_time(bucket):
    served = {object_put(data=b"x", kind="served", content_type="image/jpeg") for _ in range(3)}
    object_put(data=b"x", kind="originals", content_type="image/jpeg")
    listed = dict(object_list("served"))
    assert set(listed) == served
    assert all(abs(timezone.now() - written) < timedelta(minutes=1) for written in listed.values())


@pytest.mark.django_db
def test_an_upload_lands_in_the_bucket_and_no_key_or_label_tells_of_whom(bucket):
    member = MembershipFactory(technician=True)
    patient = PatientFactory(clinic=member.clinic, record_number="CANARY7", family_name="Canary")
    study = StudyFactory(patient=patient)
    pixels = synthetic_radiograph(1, region="leg", size=(160, 128)).pixels
    with clinic_scope(member.clinic_id):
        image = image_upload(actor=member.user, study=study, data=to_png(pixels)).image
    objects = bucket.list_objects_v2(Bucket=BUCKET)["Contents"]
    keys = {entry["Key"] for entry in objects}
    assert keys == {
        image.original_key, image.served_key, image.thumbnail_key, *image.rendition_keys
    }  # fmt: skip
    for key in keys:
        head = bucket.head_object(Bucket=BUCKET, Key=key)
        told = f"{key} {head['Metadata']} {head.get('ContentDisposition', '')}".lower()
        for secret in ("canary", str(patient.pk), str(study.pk), str(member.clinic_id)):
            assert secret not in told
    answer = requests.get(link_of(image.thumbnail_key), timeout=5)
    assert answer.content.startswith(b"\xff\xd8\xff")
