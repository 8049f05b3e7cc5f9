"""The Azure and Google paths over real HTTP against their makers' or others' emulators."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from azure.storage.blob import BlobServiceClient
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.test import override_settings
from django.utils import timezone
from google.auth.credentials import AnonymousCredentials, Signing
from google.cloud import storage as google_storage

from diagnosis.storage import (
    StorageError,
    artifact_exists,
    artifact_key,
    artifact_put,
    artifact_size,
    object_delete,
    object_list,
    object_put,
    object_read,
    object_replace,
    object_response,
)
from tests.support.emulators import AZURITE, HOW_TO_GET_AZURITE, azurite, google

pytestmark = pytest.mark.s3
BUCKET = "clinical"


class Keys(AnonymousCredentials, Signing):
    """Credentials that sign links with a key of the test's own and ask nobody for a token."""

    signer_email = "site@project.example"
    signer = None

    def __init__(self) -> None:
        super().__init__()
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def sign_bytes(self, message):
        return self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())


@pytest.fixture(scope="module")
def azure_account(tmp_path_factory):
    if not AZURITE:
        pytest.skip(HOW_TO_GET_AZURITE)
    with azurite(tmp_path_factory.mktemp("azurite")) as account:
        yield account


@pytest.fixture
def azure(azure_account, settings):
    with BlobServiceClient.from_connection_string(azure_account) as client:
        container = client.create_container(BUCKET)
        options = {
            "azure_container": BUCKET, "connection_string": azure_account,
            "expiration_secs": settings.SIGNED_LINK_SECONDS, "overwrite_files": False,
        }  # fmt: skip
        backend = "fracture_site.common.storage_azure.PrivateAzureStorage"
        clinical = {"BACKEND": backend, "OPTIONS": options}
        with override_settings(STORAGES=settings.STORAGES | {"clinical": clinical}):
            yield container
        container.delete_container()


@pytest.fixture
def gcs(settings, monkeypatch):
    with google() as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        keys = Keys()
        client = google_storage.Client(project="site", credentials=keys)
        client.create_bucket(BUCKET)
        options = {
            "bucket_name": BUCKET, "project_id": "site", "credentials": keys,
            "querystring_auth": True, "expiration": settings.SIGNED_LINK_SECONDS,
            "file_overwrite": False, "default_acl": None,
        }  # fmt: skip
        backend = "fracture_site.common.storage_google.PrivateGoogleStorage"
        clinical = {"BACKEND": backend, "OPTIONS": options}
        with override_settings(STORAGES=settings.STORAGES | {"clinical": clinical}):
            yield client
        client.close()


@pytest.fixture(params=["azure", "gcs"])
def cloud(request):
    return request.getfixturevalue(request.param)


def link_of(key, **options) -> str:
    response = object_response(key=key, content_type="image/jpeg", **options)
    assert response.status_code == 302
    assert response["Cache-Control"] == "private, no-store"
    return response["Location"]


def test_bytes_come_back_and_a_missing_object_is_no_fault_of_the_store(cloud):
    key = object_put(data=b"pixels", kind="served", content_type="image/jpeg")

    assert object_read(key) == b"pixels"
    object_delete(key)
    object_delete(key)
    with pytest.raises(FileNotFoundError):
        object_read(key)


def test_listing_yields_the_keys_of_one_kind_with_their_time(cloud):
    served = {object_put(data=b"x", kind="served", content_type="image/jpeg") for _ in range(3)}
    object_put(data=b"x", kind="originals", content_type="image/jpeg")

    listed = dict(object_list("served"))

    assert set(listed) == served
    assert all(abs(timezone.now() - written) < timedelta(minutes=1) for written in listed.values())


def test_a_known_key_is_written_again_and_artifacts_by_many_at_once(cloud):
    object_replace(key="anchors/head", data=b"old")
    object_replace(key="anchors/head", data=b"new")
    assert object_read("anchors/head") == b"new"

    with ThreadPoolExecutor(4) as pool:
        names = set(pool.map(artifact_put, [b"weights"] * 8))

    (sha256,) = names
    assert sha256 == hashlib.sha256(b"weights").hexdigest()
    assert artifact_exists(sha256)
    assert artifact_size(sha256) == 7
    assert [key for key, _written in object_list("models")] == [artifact_key(sha256)]


def test_azure_serves_a_signed_link_of_a_minute_as_told_and_nothing_without_it(azure):
    key = object_put(data=b"pixels", kind="served", content_type="image/jpeg")

    link = link_of(key, download_name="image-1.jpg")

    query = parse_qs(urlsplit(link).query)
    assert datetime.fromisoformat(query["se"][0]) <= timezone.now() + timedelta(seconds=61)
    assert query["sp"] == ["r"]  # reading, this blob alone
    assert query["sr"] == ["b"]
    answer = requests.get(link, timeout=5)
    assert answer.content == b"pixels"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="image-1.jpg"'
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert requests.get(link.partition("?")[0], timeout=5).status_code in {403, 404}
    other = object_put(data=b"other", kind="served", content_type="image/jpeg")
    moved = urlsplit(link)._replace(path=f"{urlsplit(link).path[: -len(key)]}{other}").geturl()
    assert requests.get(moved, timeout=5).status_code == 403
    longer = link.replace(query["se"][0].replace(":", "%3A"), "2099-01-01T00%3A00%3A00Z")
    assert longer != link
    assert requests.get(longer, timeout=5).status_code == 403


def test_google_gets_a_link_of_a_minute_that_is_signed_over_what_it_serves(gcs):
    key = object_put(data=b"pixels", kind="served", content_type="image/jpeg")

    link = link_of(key, download_name="image-1.jpg")

    query = parse_qs(urlsplit(link).query)
    assert int(query["X-Goog-Expires"][0]) <= 60
    assert query["response-content-disposition"] == ['attachment; filename="image-1.jpg"']
    assert query["response-content-type"] == ["image/jpeg"]
    assert len(bytes.fromhex(query["X-Goog-Signature"][0])) == 256
    assert urlsplit(link).path == f"/{BUCKET}/{key}"


def test_a_container_that_is_missing_is_a_storage_error(azure, settings):
    stores = settings.STORAGES
    stores["clinical"]["OPTIONS"]["azure_container"] = "nowhere"
    with override_settings(STORAGES=stores):
        with pytest.raises(StorageError):
            object_put(data=b"pixels", kind="served", content_type="image/jpeg")
        with pytest.raises(StorageError):
            object_read("served/aa/x")
