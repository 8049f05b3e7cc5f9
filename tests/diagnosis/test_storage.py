import re
import stat
from pathlib import Path

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.test import override_settings

from diagnosis.storage import object_delete, object_put, object_read, object_response
from fracture_site.common.errors import UnavailableError

LOCAL = "fracture_site.common.storage.PrivateFileStorage"


@pytest.fixture(autouse=True)
def folder(tmp_path, settings):
    options = {"BACKEND": LOCAL, "OPTIONS": {"location": str(tmp_path)}}
    with override_settings(STORAGES=settings.STORAGES | {"clinical": options}):
        yield tmp_path


def put(data=b"pixels", kind="renditions", content_type="image/jpeg"):
    return object_put(data=data, kind=kind, content_type=content_type)


def test_bytes_come_back_from_a_random_key():
    keys = [put(b"one"), put(b"two")]
    assert [object_read(key) for key in keys] == [b"one", b"two"]
    assert keys[0] != keys[1]
    assert all(re.fullmatch(r"renditions/[0-9a-f]{2}/[0-9a-f-]{36}\.jpg", key) for key in keys)


def test_only_the_application_may_read_the_folder(folder):
    path: Path = folder / put()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_unknown_kind_is_a_programming_error():
    with pytest.raises(ValueError, match="unknown kind"):
        put(kind="public")


def test_deleting_twice_is_fine_and_reading_then_says_not_found():
    key = put()
    object_delete(key)
    object_delete(key)
    with pytest.raises(FileNotFoundError):
        object_read(key)


def test_a_key_cannot_leave_the_folder():
    with pytest.raises(SuspiciousFileOperation):
        object_read("renditions/../../etc/passwd")


@pytest.mark.django_db  # the end of an answer looks after connections
def test_a_shown_picture_is_private_and_cannot_run():
    response = object_response(key=put(b"abc"), content_type="image/jpeg")
    assert b"".join(response) == b"abc"
    response.close()
    assert response["Content-Type"] == "image/jpeg"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response["Cache-Control"] == "private, max-age=300"
    assert response["Content-Disposition"] == "inline"


@pytest.mark.django_db  # the end of an answer looks after connections
def test_a_download_has_a_name_and_leaves_no_copy_in_the_cache():
    response = object_response(
        key=put(), content_type="application/dicom", download_name="image 1.dcm"
    )
    response.close()
    assert response["Content-Disposition"] == 'attachment; filename="image 1.dcm"'
    assert response["Cache-Control"] == "private, no-store"


def test_a_missing_object_is_answered_as_unavailable_not_as_a_crash():
    with pytest.raises(UnavailableError) as refused:
        object_response(key="renditions/aa/missing.jpg", content_type="image/jpeg")
    assert refused.value.code == "storage"


def test_a_folder_that_cannot_be_written_is_an_os_error(folder):
    (folder / "renditions").write_text("a file where a folder has to be")
    with pytest.raises(OSError):
        put()
