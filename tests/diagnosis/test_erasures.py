"""Erasing a patient: nothing that names the person is left anywhere, and every figure stays."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connections, transaction
from django.http import Http404
from django.utils import timezone

from accounts.audit_chain import chains_seal
from accounts.models import AuditEvent
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis import jobs
from diagnosis.jobs import job_claim_next
from diagnosis.models import (
    Analysis,
    Erasure,
    FindingReview,
    IdempotencyRecord,
    Patient,
    PreliminaryRead,
    ReportVersion,
    RetentionHold,
    ShareComment,
    Study,
    StudyImage,
)
from diagnosis.selectors.dashboard import Period, dashboard_figures, dashboard_tables
from diagnosis.selectors.validation_cases import validation_cases
from diagnosis.services import erasure_runs
from diagnosis.services.audit_anchors import anchors_write, trail_verify
from diagnosis.services.backups import backup_take
from diagnosis.services.erasure_runs import erasure_run
from diagnosis.services.erasures import erasure_cancel, erasure_request, erasure_retry
from diagnosis.services.integrity import objects_stored, objects_verify
from diagnosis.services.patient_exports import patient_export_request
from diagnosis.services.retention import hold_place, hold_release
from diagnosis.services.studies import study_create
from diagnosis.services.uploads import image_upload
from diagnosis.storage import KINDS, StorageError, object_list, object_put
from diagnosis.tasks import run_next_erasure, run_next_patient_export
from fracture_site.common.errors import ConflictError, RefusedInputError
from ml.data.synthetic import to_png
from tests.diagnosis.test_reports import readable_study, sign
from tests.factories import (
    AnalysisFactory,
    AnnotationFactory,
    DeliveryFactory,
    FindingReviewFactory,
    MembershipFactory,
    OrderFactory,
    PatientFactory,
    PriorFetchFactory,
    ShareCommentFactory,
    StudyFactory,
    StudyImageFactory,
    StudyKeyImageFactory,
)
from tests.support.database import empty_all_tables
from tests.support.hostile_files import radiograph

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])
CANARY = "Quetzalcoatlus"
BORN = date(1951, 2, 3)


@pytest.fixture
def store(settings, tmp_path):
    backend = "fracture_site.common.storage.PrivateFileStorage"
    clinical = {"BACKEND": backend, "OPTIONS": {"location": str(tmp_path / "store")}}
    settings.STORAGES = settings.STORAGES | {"clinical": clinical}
    settings.BACKUP_ROOT = str(tmp_path / "backups")
    settings.ERASURE_LIST = str(tmp_path / "backups" / "erasures.jsonl")
    return tmp_path / "store"


@pytest.fixture
def me(store):
    return MembershipFactory(roles=["technician", "doctor", "clinic_admin"])


def whole_patient(me) -> Patient:
    """A person with something in every place where something of a person can be."""
    study = readable_study(me)
    with clinic_scope(me.clinic_id):
        patient = study.patient
        Patient.objects.filter(pk=patient.pk).update(
            family_name=CANARY, given_name=CANARY, record_number=f"{CANARY}-1", birth_date=BORN
        )
        Study.objects.filter(pk=study.pk).update(
            clinical_question=f"{CANARY} fell", accession_number=f"{CANARY}-2",
            study_instance_uid="1.2.3.987654321", study_date=BORN,
        )  # fmt: skip
        StudyImage.objects.update(
            **stored("original_key", "sha256"), **stored("served_key", "served_sha256")
        )
        outcome = image_upload(actor=me.user, study=study, data=to_png(radiograph(seed=5)))
        StudyImage.objects.filter(pk=outcome.image.pk).update(
            dicom_header={"StudyID": CANARY}, sop_instance_uid="1.2.3.987654321.1"
        )
        Analysis.objects.filter(image=outcome.image).update(
            status="cancelled", finished_at=timezone.now()
        )
        AnalysisFactory(
            succeeded=True, image=outcome.image,
            heatmap_key=object_put(data=CANARY.encode(), kind="heatmaps", content_type="image/png"),
        )  # fmt: skip
        report, version = sign(me, study)
        report_texts(report, version)
        finding = study.images.first().analyses.get(status="succeeded").findings.get()
    FindingReviewFactory(
        finding=finding, number=1, decision="rejected", reject_reason="other", reject_text=CANARY
    )
    AnnotationFactory(image=finding.analysis.image, text=CANARY, kind="text")
    StudyKeyImageFactory(
        image=finding.analysis.image, caption=CANARY,
        **stored("object_key", "sha256", "keyimages"),
    )  # fmt: skip
    OrderFactory(study=study, requester_name=CANARY, procedure_text=CANARY)
    ShareCommentFactory(share__study=study, text=CANARY, share__question=CANARY)
    delivery = DeliveryFactory(study=study)
    PriorFetchFactory(study=study, source=delivery.destination, requested_by=me.user)
    with clinic_scope(me.clinic_id):
        own = {"clinic_id": me.clinic_id}
        PreliminaryRead.objects.create(**own, study=study, author=me.user, answer="no", note=CANARY)
        IdempotencyRecord.objects.create(
            **own, user_id=me.user_id, key="k", status_code=201,
            body={"id": str(patient.pk), "family_name": CANARY},
        )  # fmt: skip
        patient.refresh_from_db()
        patient_export_request(actor=me.user, patient=patient)
    assert run_next_patient_export() == 1
    return patient


def stored(key: str, sha256: str, kind: str = "originals") -> dict[str, str]:
    data = f"{CANARY} {key}".encode()
    named = object_put(data=data, kind=kind, content_type="application/octet-stream")
    return {key: named, sha256: hashlib.sha256(data).hexdigest()}


def report_texts(report, version):
    """A draft on top of the signed version, which says who it is."""
    ReportVersion.objects.create(
        clinic_id=report.clinic_id, report=report, number=2, reason=CANARY, findings=CANARY,
        impression=CANARY, author=version.author,
    )  # fmt: skip


def everywhere(needle: str) -> list[str]:
    """Return the tables with a row that says it, as the owner without any wall sees them."""
    found = []
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT relname, relforcerowsecurity FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        for table, walled in cursor.fetchall():
            if walled:
                cursor.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
            query = f"SELECT count(*) FROM {table} t WHERE t::text ILIKE %s"  # noqa: S608
            cursor.execute(query, [f"%{needle}%"])
            if cursor.fetchone()[0]:
                found.append(table)
            if walled:
                cursor.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    return found


def files_with(needle: str, folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if needle.encode() in path.read_bytes()]


def emptied_by_hand(model, column):
    with pytest.raises(IntegrityError), transaction.atomic():
        model.objects.update(**{column: ""})


def objects() -> set[str]:
    return {key for kind in KINDS - {"anchors", "models"} for key, _at in object_list(kind)}


def figures(me):
    today = timezone.localdate()
    period = Period(today - timedelta(days=3), today, ZoneInfo(me.clinic.time_zone))
    version = None
    with clinic_scope(me.clinic_id):
        tables = dashboard_tables(dashboard_figures(user=me.user, period=period, baseline=None))
        version = Analysis.objects.filter(status="succeeded").first().model_version
        cases = validation_cases(
            clinic=me.clinic, version=version, first=period.first, last=period.last
        )
    # How long what waits has waited already grows by itself.
    return [table for table in tables if table.key != "waits"], cases


def ask(me, patient, **options):
    with clinic_scope(me.clinic_id):
        return erasure_request(
            actor=me.user,
            patient=patient,
            **{"reason": "person", "record_number": patient.record_number} | options,
        )


def test_nothing_that_names_the_person_is_left_and_every_figure_stays(me, store, settings):
    patient = whole_patient(me)
    stays = StudyFactory(patient=PatientFactory(clinic=me.clinic))
    kept = object_put(data=b"of somebody else", kind="served", content_type="image/png")
    before, places = figures(me), everywhere(CANARY)
    assert {"diagnosis_patient", "diagnosis_reportversion", "diagnosis_findingreview"} <= set(
        places
    )
    assert len(objects()) > 8

    ask(me, patient)
    assert run_next_erasure() == 1

    with clinic_scope(me.clinic_id):
        erasure = Erasure.objects.get(patient=patient)
        assert (erasure.status, erasure.studies, erasure.keys) == ("succeeded", 1, [])
        assert erasure.objects_deleted > 8
        assert Study.objects.get(patient=patient).erased_age == "65+"
        assert not Study.objects.for_user(me.user).filter(patient=patient).exists()
        assert Study.objects.for_user(me.user).filter(pk=stays.pk).exists()
        assert ReportVersion.objects.filter(status="signed", findings="").count() == 1
        assert not ShareComment.objects.exists()
    for needle in (CANARY, "1951-02-03", "987654321"):
        assert everywhere(needle) == []
    assert objects() == {kept}
    assert files_with(CANARY, store) == []
    assert figures(me) == before
    chains_seal()
    anchors_write()
    assert [entry.report.flaw for entry in trail_verify()] == [None, None]
    assert objects_verify(objects_stored())[1] == 0
    assert str(patient.pk) in Path(settings.ERASURE_LIST).read_text()


def test_a_backup_from_before_brings_nobody_back(me, store, settings, tmp_path, capsys):
    patient = whole_patient(me)
    chains_seal()
    anchors_write()
    backup_take(actor=None, root=Path(settings.BACKUP_ROOT), keep=3)
    ask(me, patient)
    assert run_next_erasure() == 1
    empty_all_tables()
    clinical = settings.STORAGES["clinical"] | {"OPTIONS": {"location": str(tmp_path / "new")}}
    settings.STORAGES = settings.STORAGES | {"clinical": clinical}
    call_command("restore", no_progress=True)
    assert "1 patients erased again, 0 flaws" in capsys.readouterr().out
    assert everywhere(CANARY) == []
    assert objects() == set()
    call_command("erase_again", no_progress=True)
    assert "0 of 1" in capsys.readouterr().out
    call_command("audit_verify")
    backup_take(actor=None, root=Path(settings.BACKUP_ROOT), keep=3)
    call_command("verify_archive", no_progress=True)


def test_a_restore_does_not_go_on_without_the_list_of_erasures(me, store, settings, tmp_path):
    backup_take(actor=None, root=Path(settings.BACKUP_ROOT), keep=3)
    Path(settings.ERASURE_LIST).write_text("damaged")
    empty_all_tables()
    clinical = settings.STORAGES["clinical"] | {"OPTIONS": {"location": str(tmp_path / "new")}}
    settings.STORAGES = settings.STORAGES | {"clinical": clinical}
    with pytest.raises(CommandError, match="list of erasures"):
        call_command("restore", no_progress=True)


def test_a_store_that_fails_in_the_middle_and_a_worker_that_dies_are_gone_on_from(me, monkeypatch):
    patient = whole_patient(me)
    ask(me, patient)
    deleted, real = [], erasure_runs.object_delete

    def failing(key):
        if len(deleted) == 3:
            raise StorageError("away")
        real(key)
        deleted.append(key)

    monkeypatch.setattr(erasure_runs, "object_delete", failing)
    assert run_next_erasure() == 1
    with clinic_scope(me.clinic_id):
        erasure = Erasure.objects.get()
        assert (erasure.status, erasure.error_code) == ("queued", "storage")
        assert erasure.attempts == 0  # it costs none
        assert erasure.emptied_at is not None
        Erasure.objects.update(due_at=timezone.now())
    assert everywhere(CANARY) == []  # the rows went first
    claim = job_claim_next(Erasure)  # by a worker that dies
    with clinic_scope(me.clinic_id):
        Erasure.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    monkeypatch.setattr(erasure_runs, "object_delete", real)
    assert run_next_erasure() == 1
    assert objects() == set()
    erasure_run(claim=claim)  # the dead one wakes up
    with clinic_scope(me.clinic_id):
        assert Erasure.objects.get().status == "succeeded"
    with clinic_scope(me.clinic_id):
        assert AuditEvent.objects.filter(action="patient.erase", outcome="success").count() == 1


def test_an_upload_at_the_same_time_is_erased_or_refused_and_leaves_no_object(me):
    patient = PatientFactory(clinic=me.clinic)
    study = StudyFactory(patient=patient)
    ask(me, patient)

    def upload(seed):
        try:
            with clinic_scope(me.clinic_id):
                image_upload(actor=me.user, study=study, data=to_png(radiograph(seed=seed)))
        except (Http404, IntegrityError) as error:
            return type(error).__name__
        finally:
            connections.close_all()
        return "stored"

    with ThreadPoolExecutor(3) as pool:
        early = [pool.submit(upload, seed) for seed in (11, 12, 13)]
        assert run_next_erasure() == 1
        late = upload(14)
    assert {task.result() for task in early} <= {"stored", "Http404"}
    assert late == "Http404"
    assert objects() == set()
    with clinic_scope(me.clinic_id):
        assert not StudyImage.objects.filter(erased_at=None).exists()
        with pytest.raises(Http404):
            study_create(actor=me.user, clinic_id=me.clinic_id, patient=patient)


def test_nothing_can_be_written_behind_an_erasure_and_texts_are_emptied_only_by_one(me):
    patient = whole_patient(me)
    with clinic_scope(me.clinic_id):
        emptied_by_hand(ReportVersion, "findings")
        emptied_by_hand(FindingReview, "reject_text")
        emptied_by_hand(PreliminaryRead, "note")
    ask(me, patient)
    claim = job_claim_next(Erasure)
    with clinic_scope(me.clinic_id):
        for changes in ({"findings": "altered"}, {"findings": "", "signer_name": "another"}):
            with pytest.raises(IntegrityError), transaction.atomic():
                ReportVersion.objects.filter(status="signed").update(**changes)
    erasure_run(claim=claim)
    with clinic_scope(me.clinic_id):
        study = Study.objects.get(patient=patient)
        image = study.images.first()
        for write in (
            lambda: Study.objects.update(clinical_question=CANARY),
            lambda: Patient.objects.update(family_name=CANARY),
            lambda: ReportVersion.objects.filter(status="draft").update(findings=CANARY),
            lambda: PreliminaryRead.objects.create(
                clinic_id=me.clinic_id, study=study, author=me.user, answer="no"
            ),
            lambda: Analysis.objects.create(clinic_id=me.clinic_id, image=image),
        ):
            with pytest.raises(IntegrityError), transaction.atomic():
                write()
    with pytest.raises(IntegrityError):
        StudyImageFactory(study=study)


class TestRefusals:
    @pytest.fixture
    def patient(self, me):
        return PatientFactory(clinic=me.clinic)

    def test_who_may(self, me, patient):
        for roles in (["doctor"], ["technician"]):
            other = MembershipFactory(clinic=me.clinic, roles=roles)
            with pytest.raises(ActionDeniedError):
                ask(other, patient)
        stranger = MembershipFactory(roles=["clinic_admin"])
        with pytest.raises((ActionDeniedError, Http404)):
            ask(stranger, patient)

    def test_another_record_number_and_no_reason(self, me, patient):
        with pytest.raises(RefusedInputError, match="record_number_differs"):
            ask(me, patient, record_number="other")
        with pytest.raises(RefusedInputError, match="reason_unknown"):
            ask(me, patient, reason=f"{CANARY} asks")

    def test_a_held_patient_also_when_the_hold_came_after_the_request(self, me, patient):
        with clinic_scope(me.clinic_id):
            hold_place(actor=me.user, patient=patient, reason="Lawsuit 12/26")
        with pytest.raises(ConflictError, match="patient_held"):
            ask(me, patient)
        with clinic_scope(me.clinic_id):
            hold_release(actor=me.user, patient=patient)
        ask(me, patient)
        claim = job_claim_next(Erasure)  # it runs already when the hold comes
        with clinic_scope(me.clinic_id):
            hold_place(actor=me.user, patient=patient, reason="Lawsuit 12/26")
        erasure_run(claim=claim)
        with clinic_scope(me.clinic_id):
            assert Erasure.objects.get().status == "cancelled"
            assert Patient.objects.get(pk=patient.pk).family_name == patient.family_name
            assert RetentionHold.objects.filter(released_at=None).count() == 1

    def test_twice_taken_back_and_tried_again(self, me, patient):
        erasure = ask(me, patient)
        with pytest.raises(ConflictError, match="erasure_open"):
            ask(me, patient)
        with clinic_scope(me.clinic_id):
            with pytest.raises(ConflictError, match="erasure_not_failed"):
                erasure_retry(actor=me.user, erasure=erasure)
            erasure_cancel(actor=me.user, erasure=erasure)
            with pytest.raises(ConflictError, match="erasure_begun"):
                erasure_cancel(actor=me.user, erasure=erasure)
        assert run_next_erasure() == 0
        erasure = ask(me, patient)
        claim = job_claim_next(Erasure)
        with clinic_scope(me.clinic_id):
            jobs.job_fail(Erasure, claim, code="storage")
            erasure_retry(actor=me.user, erasure=erasure)
        assert run_next_erasure() == 1
        with clinic_scope(me.clinic_id):
            assert Patient.objects.get(pk=patient.pk).erased_at is not None
