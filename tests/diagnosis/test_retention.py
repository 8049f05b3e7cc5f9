"""The clinic's policy: whom it proposes to erase and when; and one patient's data as a file."""

import io
import json
import zipfile
from datetime import date, timedelta

import pytest
from django.http import Http404
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, User
from accounts.tenancy import clinic_scope
from diagnosis.housekeeping import propose_erasures
from diagnosis.jobs import job_claim_next
from diagnosis.models import Erasure, Patient, PatientExport, RetentionPolicy, Study, StudyImage
from diagnosis.selectors.retention import keeping_of, patient_export_get, years_after
from diagnosis.services.patient_exports import (
    patient_export_hand_out,
    patient_export_request,
    patient_exports_expire,
)
from diagnosis.services.retention import retention_policy_update
from diagnosis.services.uploads import image_upload
from diagnosis.storage import object_list, object_read
from diagnosis.tasks import run_next_erasure, run_next_patient_export
from fracture_site.common.errors import ConflictError, RefusedInputError
from ml.data.synthetic import to_dicom
from tests.diagnosis.test_reports import readable_study, sign
from tests.factories import (
    PASSWORD,
    MembershipFactory,
    PatientFactory,
    RetentionHoldFactory,
    StudyFactory,
)
from tests.support.hostile_files import radiograph

pytestmark = pytest.mark.django_db
TODAY = timezone.localdate()


@pytest.fixture
def admin():
    return MembershipFactory(clinic_admin=True)


def decide(admin, **values):
    usual = {"keep_years": 10, "minors_until_age": 28, "reports_years": 0, "grace_days": 30}
    with clinic_scope(admin.clinic_id):
        return retention_policy_update(
            actor=admin.user, clinic_id=admin.clinic_id, **usual | values
        )


def visited(admin, years: float, **person) -> Patient:
    """A patient whose only study arrived so long ago."""
    patient = PatientFactory(clinic=admin.clinic, **person)
    study = StudyFactory(patient=patient)
    with clinic_scope(admin.clinic_id):
        then = timezone.now() - timedelta(days=365.25 * years)
        Study.objects.filter(pk=study.pk).update(created_at=then)
        Patient.objects.filter(pk=patient.pk).update(created_at=then)
    return patient


def planned(admin):
    with clinic_scope(admin.clinic_id):
        return set(Erasure.objects.filter(status="queued").values_list("patient_id", flat=True))


def come_due(admin):
    with clinic_scope(admin.clinic_id):
        Erasure.objects.update(due_at=timezone.now())


def test_without_a_policy_nobody_is_proposed(admin):
    visited(admin, 90)
    assert propose_erasures() == 0


def test_who_is_proposed_and_who_is_kept(admin):
    decide(admin)
    gone = visited(admin, 10.1, birth_date=date(TODAY.year - 60, 1, 1))
    nameless = visited(admin, 11, birth_date=None)
    visited(admin, 9.9)
    was_minor = visited(admin, 11, birth_date=date(TODAY.year - 26, 1, 1))
    grown = visited(admin, 20, birth_date=date(TODAY.year - 30, 1, 1))
    RetentionHoldFactory(patient=visited(admin, 50))
    elsewhere = MembershipFactory(clinic_admin=True)
    visited(elsewhere, 50)
    assert propose_erasures() == 3
    assert planned(admin) == {gone.pk, nameless.pk, grown.pk}
    assert propose_erasures() == 0  # once each
    assert run_next_erasure() == 0  # grace
    decide(admin, minors_until_age=18)
    assert propose_erasures() == 1
    assert was_minor.pk in planned(admin)
    with clinic_scope(admin.clinic_id):
        due = Erasure.objects.get(patient=gone).due_at
        assert timedelta(days=29) < due - timezone.now() < timedelta(days=31)
        assert AuditEvent.objects.filter(action="retention.propose").count() == 4


def test_who_comes_again_during_the_grace_or_is_kept_by_a_new_policy_is_not_erased(admin):
    decide(admin)
    again, kept, gone = (visited(admin, 11) for _ in range(3))
    assert propose_erasures() == 3
    StudyFactory(patient=again)
    RetentionHoldFactory(patient=kept)
    come_due(admin)
    assert run_next_erasure() == 3
    with clinic_scope(admin.clinic_id):
        erased = Patient.objects.filter(erased_at__isnull=False)
        assert [patient.pk for patient in erased] == [gone.pk]
        assert Erasure.objects.filter(status="cancelled").count() == 2
    visited(admin, 12)
    propose_erasures()
    decide(admin, keep_years=20)
    come_due(admin)
    run_next_erasure()
    with clinic_scope(admin.clinic_id):
        assert Patient.objects.filter(erased_at__isnull=False).count() == 1


def test_signed_reports_are_kept_as_long_as_the_policy_says(client):
    me = MembershipFactory(roles=["doctor", "clinic_admin"])
    study = readable_study(me)
    with clinic_scope(me.clinic_id):
        sign(me, study)
        Study.objects.update(created_at=timezone.now() - timedelta(days=5000))
        patient = study.patient
        Patient.objects.update(created_at=timezone.now() - timedelta(days=5000))
    policy = decide(me, reports_years=10)
    assert propose_erasures() == 0
    with clinic_scope(me.clinic_id):
        kept = keeping_of(patient=patient, policy=policy, clinic=me.clinic)
    assert kept.by_law == years_after(TODAY, 10)
    client.force_login(me.user)
    answer = client.post(
        reverse("diagnosis:patient-erase", args=[patient.pk]),
        {"record_number": patient.record_number, "reason": "person", "password": PASSWORD},
    )
    assert answer.status_code == 422
    assert str(kept.by_law.year) in answer.content.decode()
    decide(me)
    assert propose_erasures() == 1


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"keep_years": 1}, "keep_years"),
        ({"keep_years": 101}, "keep_years"),
        ({"grace_days": 6}, "grace_days"),
        ({"minors_until_age": 17}, "minors_until_age"),
        ({"reports_years": 101}, "reports_years"),
    ],
)
def test_years_that_cannot_be_meant_are_refused(admin, values, field):
    with pytest.raises(RefusedInputError) as refused:
        decide(admin, **values)
    assert set(refused.value.fields) == {field}
    with clinic_scope(admin.clinic_id):
        assert not RetentionPolicy.objects.exists()


def test_the_29th_of_february_becomes_a_day_that_exists():
    assert years_after(date(2024, 2, 29), 1) == date(2025, 3, 1)
    assert years_after(date(2024, 2, 29), 4) == date(2028, 2, 29)


class TestPages:
    @pytest.fixture
    def page(self, client, admin):
        client.force_login(admin.user)
        return client

    def post(self, page, name, pk, **data):
        return page.post(reverse(f"diagnosis:{name}", args=[pk]), data)

    def test_the_list_can_be_looked_at_and_patients_taken_from_it(self, page, admin):
        decide(admin)
        patient = visited(admin, 11, family_name="Zimmermann-Held")
        propose_erasures()
        shown = page.get(reverse("diagnosis:retention")).content.decode()
        assert "Zimmermann-Held" in shown
        self.post(page, "patient-hold", patient.pk, reason="Lawsuit")
        assert planned(admin) == set()
        assert propose_erasures() == 0
        assert "Lawsuit" in page.get(reverse("diagnosis:retention")).content.decode()
        self.post(page, "patient-hold", patient.pk, release="1")
        assert propose_erasures() == 1

    def test_erasing_needs_the_record_number_and_the_password(self, page, admin):
        patient = visited(admin, 1)
        right = {"record_number": patient.record_number, "reason": "person", "password": PASSWORD}
        for wrong in ({"record_number": "x"}, {"password": "x"}, {"reason": ""}):
            answer = self.post(page, "patient-erase", patient.pk, **right | wrong)
            assert answer.status_code == 422
        assert planned(admin) == set()
        assert self.post(page, "patient-erase", patient.pk, **right).status_code == 302
        assert run_next_erasure() == 1
        for name in ("patient-detail", "patient-privacy", "patient-edit"):
            assert page.get(reverse(f"diagnosis:{name}", args=[patient.pk])).status_code == 404
        assert patient.family_name not in page.get(reverse("diagnosis:retention")).content.decode()

    def test_doctors_and_strangers_stay_out(self, client, admin):
        patient = visited(admin, 1)
        pages = [("get", "patient-privacy"), ("post", "patient-erase"), ("post", "patient-export"),
                 ("post", "patient-hold"), ("get", "patient-exports")]  # fmt: skip
        for member, status in (
            (MembershipFactory(doctor=True, clinic=admin.clinic), 403),
            (MembershipFactory(clinic_admin=True), 404),
        ):
            client.force_login(member.user)
            for method, name in pages:
                answer = getattr(client, method)(reverse(f"diagnosis:{name}", args=[patient.pk]))
                assert answer.status_code == status, name


class TestExport:
    @pytest.fixture
    def me(self):
        return MembershipFactory(roles=["technician", "doctor", "clinic_admin"])

    @pytest.fixture
    def original(self):
        return to_dicom(radiograph(bits=12, seed=9))

    @pytest.fixture
    def patient(self, me, original):
        patient = PatientFactory(clinic=me.clinic, family_name="Zimmermann-Export")
        with clinic_scope(me.clinic_id):
            image_upload(actor=me.user, study=StudyFactory(patient=patient), data=original)
        return patient

    def made(self, me, patient) -> PatientExport:
        with clinic_scope(me.clinic_id):
            export = patient_export_request(actor=me.user, patient=patient)
            with pytest.raises(ConflictError, match="export_open"):
                patient_export_request(actor=me.user, patient=patient)
        assert run_next_patient_export() == 1
        with clinic_scope(me.clinic_id):
            return PatientExport.objects.get(pk=export.pk)

    def test_the_file_holds_everything_and_can_be_read_without_this_site(
        self, me, patient, original
    ):
        PatientFactory(clinic=me.clinic, family_name="Somebody-Else")
        export = self.made(me, patient)
        archive = zipfile.ZipFile(io.BytesIO(object_read(export.object_key)))
        names = archive.namelist()
        [image] = [name for name in names if name.startswith("images/")]
        assert archive.read(image) == original
        rows = json.loads(archive.read("patient.json"))
        assert rows["patient"][0]["family_name"] == "Zimmermann-Export"
        bundle = json.loads(archive.read("fhir-bundle.json"))
        kinds = {entry["resource"]["resourceType"] for entry in bundle["entry"]}
        assert kinds >= {"Patient", "ImagingStudy"}
        assert "image.upload" in archive.read("access.csv").decode()
        assert b"Somebody-Else" not in b"".join(archive.read(name) for name in names)
        assert {"README.txt"} < set(names)
        assert "Zimmermann" not in export.object_key

    def test_it_is_handed_out_to_who_proves_to_be_there_and_ends(self, me, patient, client):
        export = self.made(me, patient)
        client.force_login(me.user)
        address = reverse("diagnosis:patient-export-file", args=[export.pk])
        assert client.post(address, {"password": "wrong"}).status_code == 302
        answer = client.post(address, {"password": PASSWORD})
        assert b"".join(answer.streaming_content)[:2] == b"PK"
        assert "no-store" in answer["Cache-Control"]
        with clinic_scope(me.clinic_id):
            assert AuditEvent.objects.filter(action="patient.export").count() == 1
            PatientExport.objects.update(expires_at=timezone.now())
        with clinic_scope(me.clinic_id), pytest.raises(ConflictError, match="export_not_ready"):
            patient_export_hand_out(actor=me.user, export=export)
        assert patient_exports_expire() == 1
        assert export.object_key not in {key for key, _at in object_list("exports")}

    def test_a_stranger_does_not_see_it_and_a_lost_right_ends_it(self, me, patient):
        with clinic_scope(me.clinic_id):
            export = patient_export_request(actor=me.user, patient=patient)
        stranger = MembershipFactory(clinic_admin=True)
        with clinic_scope(stranger.clinic_id), pytest.raises(Http404):
            patient_export_get(user=stranger.user, pk=export.pk)
        User.objects.filter(pk=me.user_id).update(is_active=False)
        assert run_next_patient_export() == 1
        with clinic_scope(me.clinic_id):
            export.refresh_from_db()
        assert (export.status, export.error_code) == ("failed", "permission_denied")

    def test_a_damaged_image_is_not_handed_out_as_if_it_were_whole(self, me, patient):
        with clinic_scope(me.clinic_id):
            StudyImage.objects.update(sha256="0" * 64)
            patient_export_request(actor=me.user, patient=patient)
        run_next_patient_export()
        with clinic_scope(me.clinic_id):
            export = PatientExport.objects.get()
        assert (export.status, export.error_code, export.object_key) == (
            "failed", "damaged_object", "",
        )  # fmt: skip
        assert job_claim_next(PatientExport) is None
