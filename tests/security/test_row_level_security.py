"""The second wall: what PostgreSQL shows and refuses when the filter in Python is forgotten."""

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import Model

from accounts.audit import audit_record
from accounts.models import AuditEvent
from accounts.row_security import LOOKUP_ROLE
from accounts.tenancy import clinic_scope, current_clinic_id
from diagnosis.models import (
    Analysis,
    Annotation,
    Delivery,
    Destination,
    Device,
    Discrepancy,
    DraftCopy,
    Erasure,
    Finding,
    FindingReview,
    FirstRead,
    Hl7Message,
    Hl7Sender,
    IdempotencyRecord,
    JobOverview,
    MindChange,
    Order,
    Patient,
    PatientExport,
    PreliminaryRead,
    PriorFetch,
    RecallContact,
    RecallTask,
    Report,
    ReportVersion,
    ReportWithdrawal,
    RetentionHold,
    RetentionPolicy,
    SecondReading,
    Study,
    StudyImage,
    StudyKeyImage,
    TextMacro,
)
from tests.factories import (
    AnnotationFactory,
    ClinicFactory,
    DeliveryFactory,
    DeviceFactory,
    ErasureFactory,
    FindingFactory,
    FindingReviewFactory,
    Hl7MessageFactory,
    MembershipFactory,
    OrderFactory,
    PatientExportFactory,
    PatientFactory,
    PriorFetchFactory,
    ReportVersionFactory,
    RetentionHoldFactory,
    StudyFactory,
    StudyImageFactory,
    StudyKeyImageFactory,
    reading_rows,
)

pytestmark = pytest.mark.django_db
CLINICAL: list[type[Model]] = [
    Patient, Study, StudyImage, Analysis, Finding, FindingReview, Report, ReportVersion,
    IdempotencyRecord, Order, Hl7Sender, Hl7Message, Destination, Delivery, Device, PriorFetch,
    Annotation, StudyKeyImage, TextMacro, DraftCopy, SecondReading, ReportWithdrawal, FirstRead,
    MindChange, PreliminaryRead, Discrepancy, RecallTask, RecallContact, Erasure, RetentionHold,
    PatientExport, RetentionPolicy,
]  # fmt: skip
WALL = "row-level security"


@pytest.fixture
def clinic_a():
    """A clinic with one row in every clinical table."""
    member = MembershipFactory(doctor=True)
    study = StudyFactory(patient=PatientFactory(clinic=member.clinic))
    finding = FindingFactory(analysis__image=StudyImageFactory(study=study))
    FindingReviewFactory(finding=finding)
    reading_rows(ReportVersionFactory(report__study=study))
    OrderFactory(study=study)
    Hl7MessageFactory(sender__clinic=member.clinic, sender__membership=member)
    delivery = DeliveryFactory(study=study)
    PriorFetchFactory(study=study, source=delivery.destination, requested_by=member.user)
    AnnotationFactory(image=finding.analysis.image)
    StudyKeyImageFactory(image=finding.analysis.image)
    DeviceFactory(membership=member)
    for factory in (ErasureFactory, RetentionHoldFactory, PatientExportFactory):
        factory(patient=study.patient)
    with clinic_scope(member.clinic_id):
        RetentionPolicy.objects.create(clinic=member.clinic)
        IdempotencyRecord.objects.create(
            clinic=member.clinic, user_id=member.user_id, key="k", status_code=201, body={}
        )
        audit_record(actor=member.user, action="test", clinic_id=member.clinic_id)
    return member.clinic


@pytest.fixture
def clinic_b():
    return ClinicFactory()


def raw_count(table):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608  # a name of ours
        return cursor.fetchone()[0]


def counts():
    return {model.__name__: model._base_manager.count() for model in CLINICAL}


def test_without_the_filter_the_own_clinic_sees_its_rows(clinic_a):
    with clinic_scope(clinic_a.pk):
        assert set(counts().values()) == {1}


def test_without_the_filter_another_clinic_sees_nothing(clinic_a, clinic_b):
    with clinic_scope(clinic_b.pk):
        assert set(counts().values()) == {0}
        assert [raw_count(model._meta.db_table) for model in CLINICAL] == [0] * len(CLINICAL)
        assert AuditEvent.objects.filter(clinic=clinic_a).count() == 0


def test_without_a_scope_nobody_sees_anything(clinic_a):
    assert current_clinic_id() is None
    assert set(counts().values()) == {0}
    with clinic_scope(None):
        assert set(counts().values()) == {0}


def test_after_a_scope_the_next_query_sees_nothing_again(clinic_a, clinic_b):
    with clinic_scope(clinic_a.pk):
        with clinic_scope(clinic_b.pk):
            assert Patient.objects.count() == 0
        assert Patient.objects.count() == 1
    assert Patient.objects.count() == 0


def test_a_failed_inner_scope_leaves_the_outer_clinic_in_force(clinic_a, clinic_b):
    with clinic_scope(clinic_a.pk):
        with pytest.raises(RuntimeError), clinic_scope(clinic_b.pk):
            raise RuntimeError
        assert Patient.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_setting_ends_with_its_transaction_and_its_empty_rest_matches_nothing(clinic_a):
    with clinic_scope(clinic_a.pk):
        assert Patient.objects.count() == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('app.clinic', true)")
        assert cursor.fetchone() == ("",)
    assert Patient.objects.count() == 0


def test_a_row_for_another_clinic_cannot_be_inserted(clinic_a, clinic_b):
    row = {"record_number": "1", "family_name": "X"}
    with clinic_scope(clinic_b.pk), pytest.raises(DatabaseError, match=WALL), transaction.atomic():
        Patient.objects.create(clinic=clinic_a, **row)
    with clinic_scope(None), pytest.raises(DatabaseError, match=WALL), transaction.atomic():
        Patient.objects.create(clinic=clinic_a, **row)


def test_a_row_cannot_be_given_to_another_clinic(clinic_a, clinic_b):
    with clinic_scope(clinic_a.pk), pytest.raises(DatabaseError, match=WALL), transaction.atomic():
        Patient.objects.update(clinic=clinic_b)


def test_updates_and_deletes_of_another_clinic_reach_no_row(clinic_a, clinic_b):
    with clinic_scope(clinic_b.pk), connection.cursor() as cursor:
        cursor.execute("UPDATE diagnosis_patient SET family_name = 'stolen'")
        assert cursor.rowcount == 0
        cursor.execute("DELETE FROM diagnosis_finding")
        assert cursor.rowcount == 0
    with clinic_scope(clinic_a.pk):
        assert Patient.objects.get().family_name != "stolen"
        assert Finding.objects.count() == 1


def test_an_audit_event_of_another_clinic_cannot_be_forged(clinic_a, clinic_b):
    with clinic_scope(clinic_b.pk), pytest.raises(DatabaseError, match=WALL), transaction.atomic():
        audit_record(actor=None, action="forged", clinic_id=clinic_a.pk)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE diagnosis_patient DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE diagnosis_patient NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY clinic_wall ON diagnosis_patient",
        "CREATE POLICY mine ON diagnosis_patient USING (true)",
        f"SET ROLE {LOOKUP_ROLE}",
        "SET ROLE fracture_owner",
        "ALTER ROLE CURRENT_USER BYPASSRLS",
        "TRUNCATE diagnosis_patient CASCADE",
        "DELETE FROM accounts_auditevent",
    ],
)
def test_the_application_role_cannot_take_the_wall_down(statement):
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_the_application_role_is_neither_owner_nor_powerful():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, "
            "(SELECT count(*) FROM pg_class WHERE relowner = r.oid), "
            "(SELECT count(*) FROM pg_auth_members WHERE member = r.oid) "
            "FROM pg_roles r WHERE rolname = current_user"
        )
        assert cursor.fetchone() == (False, False, False, False, 0, 0)


def test_nobody_signs_in_as_the_lookup_role_and_it_reads_named_columns_only():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolcanlogin, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = %s",
            [LOOKUP_ROLE],
        )
        assert cursor.fetchone() == (False, False, False)
        cursor.execute(
            "SELECT has_table_privilege(%s, 'diagnosis_patient', 'SELECT'), "
            "has_column_privilege(%s, 'diagnosis_patient', 'family_name', 'SELECT')",
            [LOOKUP_ROLE, LOOKUP_ROLE],
        )
        assert cursor.fetchone() == (False, False)


def test_the_operators_overview_shows_jobs_of_all_clinics_and_cannot_be_written(clinic_a):
    assert {job.clinic_id for job in JobOverview.objects.all()} == {clinic_a.pk}
    with pytest.raises(DatabaseError), transaction.atomic():
        JobOverview.objects.update(status="failed")


def test_functions_that_run_with_other_rights_have_a_fixed_search_path():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname, proconfig FROM pg_proc "
            "WHERE prosecdef AND pronamespace = 'public'::regnamespace"
        )
        functions = cursor.fetchall()
    assert functions
    for name, configuration in functions:
        assert any("search_path=pg_catalog" in entry for entry in configuration or []), name
