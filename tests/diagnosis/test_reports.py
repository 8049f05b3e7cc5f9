"""Reports: drafts, signatures, amendments, races, immutability."""

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import IntegrityError, connection, transaction
from PIL import Image
from pypdf import PdfReader

from accounts.models import AuditEvent
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis.models import Report, ReportVersion, Study, StudyImage
from diagnosis.selectors.verification import report_verification
from diagnosis.services import report_signing
from diagnosis.services.report_basis import report_basis
from diagnosis.services.reports import (
    report_amend,
    report_create,
    report_draft_update,
    report_pdf,
    report_preview,
    report_sign,
)
from diagnosis.services.studies import study_move
from diagnosis.services.study_results import study_refresh
from diagnosis.storage import object_put
from fracture_site.common.errors import (
    ConflictError,
    PreconditionError,
    RefusedInputError,
    UnavailableError,
)
from tests.factories import (
    AnalysisFactory,
    FindingFactory,
    MembershipFactory,
    PatientFactory,
    StudyFactory,
    StudyImageFactory,
)

pytestmark = pytest.mark.django_db


def jpeg() -> bytes:
    stream = io.BytesIO()
    Image.linear_gradient("L").resize((200, 250)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def doctor():
    return MembershipFactory(doctor=True)


def readable_study(doctor) -> Study:
    """A study with one analysed image whose rendition is really stored."""
    key = object_put(data=jpeg(), kind="renditions", content_type="image/jpeg")
    patient = PatientFactory(clinic=doctor.clinic, family_name="Zimmermann-Test")
    image = StudyImageFactory(study=StudyFactory(patient=patient), rendition_keys=[key])
    FindingFactory(analysis=AnalysisFactory(succeeded=True, image=image))
    with clinic_scope(doctor.clinic_id):
        return study_refresh(study_id=image.study_id)


@pytest.fixture
def study(doctor):
    study = readable_study(doctor)
    with clinic_scope(doctor.clinic_id):
        yield study


def sign(doctor, study) -> tuple[Report, ReportVersion]:
    report = report_create(actor=doctor.user, study=study)
    return report, report_sign(actor=doctor.user, report=report)


def text_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


def test_the_draft_is_prefilled_and_asking_again_gives_the_same_report(doctor, study):
    first = report_create(actor=doctor.user, study=study)
    assert report_create(actor=doctor.user, study=study) == first
    draft = first.versions.get()
    assert draft.number == 1
    assert "signs of a fracture at the marked place" in draft.findings
    assert draft.impression == "Signs of a fracture."


def test_signing_prints_text_patient_boxes_and_a_number_that_can_be_checked(doctor, study):
    report, version = sign(doctor, study)
    study.refresh_from_db()
    assert study.status == Study.Status.REPORTED
    assert version.signer_name == doctor.user.display_name
    assert version.result == study.result

    _version, pdf = report_pdf(actor=doctor.user, report=report)
    printed = text_of(pdf)
    for part in ("Zimmermann-Test", "Signs of a fracture.", doctor.user.display_name):
        assert part in printed
    assert version.content_sha256[:8] in printed.replace(" ", "").replace("\n", "")
    assert hashlib.sha256(pdf).hexdigest() == version.pdf_sha256

    genuine = report_verification(sha256=version.content_sha256)
    assert genuine is not None
    assert (genuine.number, genuine.superseded) == (1, False)
    assert report_verification(sha256="0" * 64) is None
    assert report_verification(sha256="' OR 1=1") is None


def test_saving_on_top_of_somebody_elses_change_is_refused_and_nothing_is_lost(doctor, study):
    report = report_create(actor=doctor.user, study=study)
    report_draft_update(actor=doctor.user, report=report, revision=1, findings="First")
    with pytest.raises(PreconditionError) as refused:
        report_draft_update(actor=doctor.user, report=report, revision=1, findings="Second")
    assert refused.value.code == "draft_changed"
    assert refused.value.extra == {"revision": 2}
    assert report.versions.get().findings == "First"


def test_saving_the_same_text_again_changes_nothing(doctor, study):
    report = report_create(actor=doctor.user, study=study)
    findings = report.versions.get().findings
    draft = report_draft_update(actor=doctor.user, report=report, revision=1, findings=findings)
    assert draft.revision == 1


def test_a_draft_that_changed_since_it_was_read_is_not_signed(doctor, study):
    report = report_create(actor=doctor.user, study=study)
    report_draft_update(actor=doctor.user, report=report, revision=1, findings="Changed")
    with pytest.raises(PreconditionError):
        report_sign(actor=doctor.user, report=report, revision=1)
    assert report.versions.get().status == ReportVersion.Status.DRAFT


def test_a_signed_report_cannot_be_edited_or_signed_again(doctor, study):
    report, _version = sign(doctor, study)
    with pytest.raises(ConflictError) as again:
        report_sign(actor=doctor.user, report=report)
    assert again.value.code == "already_signed"
    with pytest.raises(ConflictError):
        report_draft_update(actor=doctor.user, report=report, revision=1, findings="Other")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE diagnosis_reportversion SET impression = 'x' WHERE id = %s",
        "UPDATE diagnosis_reportversion SET status = 'draft' WHERE id = %s",
        "DELETE FROM diagnosis_reportversion WHERE id = %s",
    ],
)
def test_the_database_itself_refuses_to_change_a_signed_version(doctor, study, statement):
    _report, version = sign(doctor, study)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, [version.pk])
    assert ReportVersion.objects.get(pk=version.pk).impression == "Signs of a fracture."


def test_an_amendment_is_a_new_version_and_the_old_one_stays(doctor, study):
    report, first = sign(doctor, study)
    with pytest.raises(RefusedInputError):
        report_amend(actor=doctor.user, report=report, reason="  ")
    draft = report_amend(actor=doctor.user, report=report, reason="Side was wrong")
    with pytest.raises(ConflictError) as twice:
        report_amend(actor=doctor.user, report=report, reason="Again")
    assert twice.value.code == "draft_exists"
    report_draft_update(
        actor=doctor.user, report=report, revision=draft.revision, impression="Left side."
    )
    second = report_sign(actor=doctor.user, report=report)

    assert (draft.number, second.number) == (2, 2)
    assert draft.revision > first.revision  # a page still open on the old draft cannot save
    _version, old = report_pdf(actor=doctor.user, report=report, number=1)
    _version, new = report_pdf(actor=doctor.user, report=report)
    assert "Left side." not in text_of(old)
    assert "Left side." in text_of(new)
    assert "Side was wrong" in text_of(new)
    verification = report_verification(sha256=first.content_sha256)
    assert verification is not None
    assert verification.superseded


def test_an_unsigned_report_has_no_pdf_but_a_marked_preview(doctor, study):
    report = report_create(actor=doctor.user, study=study)
    with pytest.raises(ConflictError) as refused:
        report_pdf(actor=doctor.user, report=report)
    assert refused.value.code == "not_signed"
    assert "preview" in text_of(report_preview(actor=doctor.user, report=report)).lower()


def test_an_empty_report_is_not_signed(doctor, study):
    report = report_create(actor=doctor.user, study=study)
    report_draft_update(actor=doctor.user, report=report, revision=1, findings=" ", impression="")
    with pytest.raises(RefusedInputError) as refused:
        report_sign(actor=doctor.user, report=report)
    assert refused.value.code == "report_empty"


def test_a_missing_image_blocks_the_signature_with_a_message(doctor, study):
    StudyImage.objects.filter(study=study).update(rendition_keys=["renditions/nowhere.jpg"])
    report = report_create(actor=doctor.user, study=study)
    with pytest.raises(UnavailableError) as refused:
        report_sign(actor=doctor.user, report=report)
    assert refused.value.code == "storage"
    assert report.versions.get().status == ReportVersion.Status.DRAFT


def test_a_document_that_cannot_be_printed_blocks_the_signature(doctor, study, monkeypatch):
    def broken(_document):
        raise RefusedInputError("document_render_failed")

    monkeypatch.setattr(report_signing, "render_report", broken)
    report = report_create(actor=doctor.user, study=study)
    with pytest.raises(RefusedInputError):
        report_sign(actor=doctor.user, report=report)
    assert report.versions.get().status == ReportVersion.Status.DRAFT


@pytest.mark.parametrize("role", ["technician", "clinic_admin"])
def test_only_doctors_write_and_sign(doctor, study, role):
    report = report_create(actor=doctor.user, study=study)
    other = MembershipFactory(clinic=doctor.clinic, **{role: True})
    for refused in (
        lambda: report_create(actor=other.user, study=study),
        lambda: report_draft_update(actor=other.user, report=report, revision=1, findings="x"),
        lambda: report_sign(actor=other.user, report=report),
        lambda: report_amend(actor=other.user, report=report, reason="x"),
    ):
        with pytest.raises(ActionDeniedError):
            refused()


def test_a_doctor_of_another_clinic_is_refused_even_with_the_row_in_hand(doctor, study):
    stranger = MembershipFactory(doctor=True)
    with pytest.raises(ActionDeniedError):
        report_create(actor=stranger.user, study=study)


def test_each_step_leaves_one_event_without_text_of_the_patient(doctor, study):
    report, _version = sign(doctor, study)
    report_pdf(actor=doctor.user, report=report)
    events = AuditEvent.objects.filter(target_id=report.pk).order_by("id")
    assert [event.action for event in events] == ["report.create", "report.sign", "report.read"]
    assert {event.patient_id for event in events} == {study.patient_id}
    assert "Zimmermann" not in str([event.details for event in events])


@pytest.mark.django_db(transaction=True)
def test_of_many_simultaneous_signatures_one_wins():
    doctor = MembershipFactory(doctor=True)
    study = readable_study(doctor)
    with clinic_scope(doctor.clinic_id):
        report = report_create(actor=doctor.user, study=study)
    barrier = Barrier(4)

    def attempt(_number: int) -> str:
        barrier.wait()
        try:
            with clinic_scope(doctor.clinic_id):
                report_sign(actor=doctor.user, report=report)
        except ConflictError as error:
            return error.code
        finally:
            connection.close()
        return "signed"

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(attempt, range(4)))
    assert outcomes == ["already_signed"] * 3 + ["signed"]
    with clinic_scope(doctor.clinic_id):
        assert report.versions.filter(status="signed").count() == 1


def test_a_draft_is_not_signed_over_another_patient_than_its_writer_saw(doctor, study):
    report = report_create(actor=doctor.user, study=study)
    study_move(actor=doctor.user, study=study, patient=PatientFactory(clinic=doctor.clinic))
    with pytest.raises(PreconditionError) as refused:
        report_sign(actor=doctor.user, report=report)
    assert refused.value.code == "study_changed"
    report_draft_update(actor=doctor.user, report=report, revision=1, findings="Read again.")
    assert report_sign(actor=doctor.user, report=report).status == ReportVersion.Status.SIGNED


def test_a_draft_is_not_signed_over_an_image_its_writer_has_not_seen(doctor, study):
    report = report_create(actor=doctor.user, study=study)
    seen = report_basis(study)
    StudyImageFactory(study=study)
    with pytest.raises(PreconditionError):
        report_sign(actor=doctor.user, report=report)
    # A page that was loaded before the image arrived does not count as having seen it.
    report_draft_update(actor=doctor.user, report=report, revision=1, findings="x", basis=seen)
    with pytest.raises(PreconditionError):
        report_sign(actor=doctor.user, report=report)


def test_a_finding_is_drafted_under_the_number_of_its_image(doctor, study):
    first = study.images.get()
    second = StudyImageFactory(study=study, position=1)
    AnalysisFactory(succeeded=True, image=first, verdict="negative", probability=0.01)
    FindingFactory(analysis=AnalysisFactory(succeeded=True, image=second, probability=0.95))
    study_refresh(study_id=study.pk)
    report = report_create(actor=doctor.user, study=study)
    assert report.versions.get().findings.startswith("Image 2: signs of a fracture")


def test_nothing_seen_is_drafted_only_when_every_image_was_assessed(doctor, study):
    AnalysisFactory(succeeded=True, image=study.images.get(), verdict="negative", probability=0.01)
    StudyImageFactory(study=study, position=1)
    study_refresh(study_id=study.pk)
    draft = report_create(actor=doctor.user, study=study).versions.get()
    assert (draft.findings, draft.impression) == ("", "")
