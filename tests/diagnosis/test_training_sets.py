"""Training sets: what doctors decided in signed reports, of clinics that agreed, and no name."""

import csv
import hashlib
import io
import json
from uuid import uuid4

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from PIL import Image

from accounts.models import AuditEvent
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis import storage
from diagnosis.services.training_consents import training_consent_set
from diagnosis.services.training_sets import training_images_of, training_set_write
from fracture_site.common.errors import ConflictError, RefusedInputError
from ml.data.platform_export import read_platform_export, read_rejected
from ml.data.records import DatasetError
from ml.data.synthetic import synthetic_radiograph, to_dicom, to_png
from tests.factories import (
    PASSWORD,
    AnalysisFactory,
    FindingFactory,
    FindingReviewFactory,
    MembershipFactory,
    PatientFactory,
    ReportVersionFactory,
    StudyFactory,
    StudyImageFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin():
    membership = MembershipFactory(clinic_admin=True)
    agree(membership)
    return membership


def agree(membership, *, granted=True) -> None:
    clinic_id = membership.clinic_id
    with clinic_scope(clinic_id):
        training_consent_set(actor=membership.user, clinic_id=clinic_id, granted=granted)


def image_of(clinic, *, patient=None, size=(240, 300), data=None, **values):
    """Return a stored image with a result and no findings."""
    patient = patient or PatientFactory(clinic=clinic)
    data = data or to_png(synthetic_radiograph(1, size=size).pixels)
    key = storage.object_put(data=data, kind="served", content_type="image/png")
    image = StudyImageFactory(
        study=StudyFactory(patient=patient, body_part="hip"),
        served_key=key,
        served_sha256=hashlib.sha256(data).hexdigest(),
        width=size[0],
        height=size[1],
        **values,
    )
    AnalysisFactory(image=image, succeeded=True)
    return image


def finding_in(image, **values):
    with clinic_scope(image.clinic_id):
        analysis = image.analyses.get()
    return FindingFactory(analysis=analysis, x=10, y=20, width=30, height=40, **values)


def decide(finding, decision, **values):
    box = {"x": 10, "y": 20, "width": 30, "height": 40} | values
    return FindingReviewFactory(
        finding=finding, uid=finding.uid, image=finding.analysis.image, decision=decision, **box
    )


def sign(image, **values):
    with clinic_scope(image.clinic_id):
        study = image.study
    return ReportVersionFactory(
        report__study=study,
        status="signed",
        signed_by=MembershipFactory(clinic=study.clinic, doctor=True).user,
        signed_at=timezone.now(),
        pdf_key="reports/x.pdf",
        content_sha256="d" * 64,
        **values,
    )


def export(admin, out):
    images, undecided = training_images_of(actor=admin.user, clinic_id=admin.clinic_id)
    return training_set_write(
        actor=admin.user, clinic_id=admin.clinic_id, images=images, undecided=undecided, out=out
    )


def rows(path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_decisions_become_boxes_refusals_and_negatives(admin, tmp_path):
    moved = image_of(admin.clinic, view_position="AP")
    decide(
        finding_in(moved), "moved", x=50, fracture_type="oblique_spiral", displacement="displaced",
        severity="moderate", bone="radius", laterality="left",
    )  # fmt: skip
    refused = image_of(admin.clinic)
    decide(finding_in(refused), "rejected", reject_reason="growth_plate")
    added = image_of(admin.clinic)
    FindingReviewFactory(
        finding=None, uid=uuid4(), image=added, decision="added", x=5, y=5, width=9, height=9
    )
    clean = image_of(admin.clinic)
    for image in (moved, refused, added, clean):
        sign(image)

    written = export(admin, tmp_path / "set")

    assert (written.images, written.fractured, written.boxes) == (4, 2, 2)
    boxes = {row["decision"]: row for row in rows(tmp_path / "set" / "boxes.csv")}
    expected = {"x": "50.0", "y": "20.0", "w": "30.0", "h": "40.0", "pattern": "oblique",
                "displacement": "displaced", "severity": "moderate", "bone": "radius",
                "laterality": "left"}  # fmt: skip
    assert expected.items() <= boxes["moved"].items()
    assert boxes["added"]["w"] == "9.0"
    [rejected] = rows(tmp_path / "set" / "rejected.csv")
    assert rejected["reason"] == "growth_plate"
    manifest = {row["image_id"]: row for row in rows(tmp_path / "set" / "manifest.csv")}
    assert manifest[rejected["image_id"]]["fractured"] == "0"
    described = manifest[boxes["moved"]["image_id"]]
    assert (described["body_region"], described["frontal"]) == ("pelvis_hip", "1")


def test_what_is_not_decided_or_not_signed_stays(admin, tmp_path):
    silent = image_of(admin.clinic)
    finding_in(silent)
    half = image_of(admin.clinic)
    decide(finding_in(half), "accepted")
    finding_in(half)
    amended = image_of(admin.clinic)
    draft = sign(amended)
    ReportVersionFactory(report=draft.report, number=2, reason="new image")
    unsigned = image_of(admin.clinic)
    decide(finding_in(unsigned), "accepted")
    loop = image_of(admin.clinic, frame_count=5)
    for image in (silent, half, loop):
        sign(image)

    written = export(admin, tmp_path / "set")

    assert (written.images, written.undecided) == (0, 2)


def test_only_the_own_clinic_and_only_with_consent(admin, tmp_path):
    other = MembershipFactory(clinic_admin=True)
    sign(image_of(other.clinic))
    assert export(admin, tmp_path / "set").images == 0

    with pytest.raises(ConflictError, match="training_not_agreed"):
        training_images_of(actor=other.user, clinic_id=other.clinic_id)
    with pytest.raises(ActionDeniedError):
        training_images_of(actor=admin.user, clinic_id=other.clinic_id)
    doctor = MembershipFactory(clinic=admin.clinic, doctor=True)
    with pytest.raises(ActionDeniedError):
        training_images_of(actor=doctor.user, clinic_id=admin.clinic_id)
    agree(admin, granted=False)
    with pytest.raises(ConflictError, match="training_not_agreed"):
        training_images_of(actor=admin.user, clinic_id=admin.clinic_id)


def test_nothing_leads_back_to_a_patient(admin, tmp_path):
    patient = PatientFactory(
        clinic=admin.clinic, family_name="Canaryname", record_number="CANARY-1"
    )
    dicom = to_dicom(synthetic_radiograph(2, size=(240, 300)).pixels)
    images = [image_of(admin.clinic, patient=patient, data=dicom) for _ in range(2)]
    for image in images:
        sign(image)

    export(admin, tmp_path / "set")
    export(admin, tmp_path / "again")

    everything = b"".join(p.read_bytes() for p in (tmp_path / "set").rglob("*") if p.is_file())
    names = " ".join(path.name for path in (tmp_path / "set").rglob("*"))
    secrets = ["Canaryname", "CANARY-1", str(patient.pk), patient.pk.hex, str(admin.clinic_id)]
    for image in images:
        secrets += [str(image.pk), str(image.study_id), image.sha256, image.served_sha256]
    for secret in secrets:
        assert secret.encode() not in everything
        assert secret not in names
    first = rows(tmp_path / "set" / "manifest.csv")
    again = rows(tmp_path / "again" / "manifest.csv")
    assert len({row["block"] for row in first}) == 1  # two studies of one patient
    assert first[0]["block"] != again[0]["block"]
    assert {row["image_id"] for row in first}.isdisjoint(row["image_id"] for row in again)
    with Image.open(next((tmp_path / "set" / "images").iterdir())) as picture:
        assert (picture.format, picture.mode, picture.info) == ("PNG", "L", {})


def test_large_pictures_shrink_and_boxes_with_them(admin, tmp_path):
    wide = np.tile(np.arange(256, dtype=np.uint8), (512, 8))
    image = image_of(admin.clinic, size=(2048, 512), data=to_png(wide))
    decide(finding_in(image), "accepted")
    sign(image)

    export(admin, tmp_path / "set")

    [row], [box] = (rows(tmp_path / "set" / f"{name}.csv") for name in ("manifest", "boxes"))
    assert (row["width"], row["height"]) == ("1024", "256")
    assert (box["x"], box["w"]) == ("5.0", "15.0")
    with Image.open(next((tmp_path / "set" / "images").iterdir())) as picture:
        assert picture.size == (1024, 256)


def test_a_damaged_image_is_counted_and_the_rest_is_written(admin, tmp_path, settings):
    good, damaged = image_of(admin.clinic), image_of(admin.clinic)
    (settings.PRIVATE_MEDIA_ROOT / damaged.served_key).write_bytes(b"other")
    for image in (good, damaged):
        sign(image)

    written = export(admin, tmp_path / "set")

    assert (written.images, written.unreadable) == (1, 1)


def test_an_existing_set_is_not_mixed_with_and_a_broken_export_leaves_nothing(
    admin, tmp_path, monkeypatch
):
    sign(image_of(admin.clinic))
    export(admin, tmp_path / "set")
    with pytest.raises(RefusedInputError, match="out_not_empty"):
        export(admin, tmp_path / "set")

    def no_answer(_key):
        raise storage.StorageError

    monkeypatch.setattr("diagnosis.services.integrity.object_read", no_answer)
    with pytest.raises(OSError):
        export(admin, tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_the_command_asks_for_the_password_and_audits(admin, tmp_path, monkeypatch):
    sign(image_of(admin.clinic))
    arguments = ["export_training_set", "--clinic", admin.clinic.name, "--user", admin.user.email]
    monkeypatch.setattr("sys.stdin", io.StringIO("wrong\n"))
    with pytest.raises(CommandError, match="password is not right"):
        call_command(*arguments, "--out", str(tmp_path / "set"))
    out = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))

    call_command(*arguments, "--out", str(tmp_path / "set"), "--no-progress", stdout=out)

    assert "written: 1 images (0 with a fracture) of 1 patients" in out.getvalue()
    with clinic_scope(admin.clinic_id):
        event = AuditEvent.objects.get(action="training.export")
    assert (event.actor, event.details) == (admin.user, {"images": 1, "patients": 1})


def test_the_reader_takes_what_is_whole_and_tells_the_rest(admin, tmp_path):
    images = [image_of(admin.clinic) for _ in range(3)]
    decide(finding_in(images[0]), "accepted", displacement="none")
    decide(finding_in(images[1]), "rejected", reject_reason="artefact")
    for image in images:
        sign(image)
    folder = tmp_path / "set"
    export(admin, folder)

    found = read_platform_export(folder)

    assert len(found.records) == 3
    [fractured] = [record for record in found.records if record.fractured]
    assert (fractured.fractures[0].box.width, fractured.fractures[0].displacement) == (30, 0)
    [refused] = read_rejected(folder)
    assert (refused.reason, refused.box.height) == ("artefact", 40)
    victim = next(folder.glob("images/*.png"))
    victim.write_bytes(to_png(synthetic_radiograph(9, size=(240, 300)).pixels))
    found = read_platform_export(folder)
    assert [(p.code, p.where) for p in found.problems] == [("altered_file", victim.name)]
    about = json.loads((folder / "export.json").read_text()) | {"schema": 2}
    (folder / "export.json").write_text(json.dumps(about))
    with pytest.raises(DatasetError, match="schema 2"):
        read_platform_export(folder)
