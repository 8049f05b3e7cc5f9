"""A disk that is full: the sender is told, nothing half is left, and there is room again later."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, override_settings
from django.urls import reverse

from accounts.models import AuditEvent, Role
from accounts.tenancy import clinic_scope
from diagnosis.models import Analysis, StudyImage
from diagnosis.storage import object_put
from fracture_site.common.storage import PrivateFileStorage
from ml.data.synthetic import synthetic_radiograph, to_png
from tests.factories import ApiTokenFactory, StudyFactory

pytestmark = pytest.mark.django_db(transaction=True)


class FillingDisk(PrivateFileStorage):
    """The kernel itself says that there is no room (/dev/full), after half of a file."""

    room_for = 0

    def _save(self, name: str, content: File) -> str:
        if FillingDisk.room_for <= 0:
            content = _HalfOnly(content.read(), name=name)
        FillingDisk.room_for -= 1
        return super()._save(name, content)


class _HalfOnly(ContentFile):
    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        data = self.read()
        yield data[: len(data) // 2]
        with Path("/dev/full").open("wb", buffering=0) as full:
            full.write(data)


@pytest.fixture
def folder(tmp_path, settings):
    options = {
        "BACKEND": f"{FillingDisk.__module__}.FillingDisk",
        "OPTIONS": {"location": str(tmp_path)},
    }
    with override_settings(STORAGES=settings.STORAGES | {"clinical": options}):
        yield tmp_path


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_did_not_fit_is_removed_again(folder):
    FillingDisk.room_for = 0
    with pytest.raises(OSError, match="No space left") as full:
        object_put(data=b"x" * 50_000, kind="originals", content_type="image/png")
    assert full.value.errno == errno.ENOSPC
    assert files_in(folder) == []


@pytest.mark.parametrize("door", ["api", "page"])
@pytest.mark.parametrize("room_for", [0, 2])
def test_an_upload_to_a_full_disk_is_refused_whole_and_works_when_there_is_room(
    folder, door, room_for
):
    token = ApiTokenFactory(membership__roles=[Role.TECHNICIAN])
    member = token.membership
    study = StudyFactory(patient__clinic=member.clinic)
    data = to_png(synthetic_radiograph(3, size=(300, 400)).pixels)
    program = Client(headers={"Authorization": f"Token {token.secret}"})
    browser = Client()
    browser.force_login(member.user)

    def send():
        file = SimpleUploadedFile("x.png", data, "image/png")
        if door == "api":
            return program.post(f"/api/v1/studies/{study.pk}/images/", {"file": file})
        return browser.post(reverse("diagnosis:study-upload", args=[study.pk]), {"file": file})

    FillingDisk.room_for = room_for
    answer = send()
    assert (answer.status_code, answer["Retry-After"]) == (503, "10")
    assert files_in(folder) == []
    with clinic_scope(member.clinic_id):
        assert not StudyImage.objects.exists()
        assert not AuditEvent.objects.filter(action="image.upload").exists()
    FillingDisk.room_for = 100
    assert send().status_code in {200, 201}
    with clinic_scope(member.clinic_id):
        assert Analysis.objects.get().image == StudyImage.objects.get()
