"""Every clinical row belongs to a clinic, in Python and in the database."""

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser
from django.db import connection

from accounts.tenancy import clinic_scope
from diagnosis.models import (
    ClinicOwnedModel,
    ClinicOwnedQuerySet,
    JobOverview,
    ModelChange,
    ModelVersion,
)
from tests.factories import ClinicFactory, MembershipFactory, UserFactory

# Site-wide, and nothing of any patient in them; see their docstrings.
NOT_CLINIC_OWNED = {ModelVersion, ModelChange, JobOverview}
MODELS = list(apps.get_app_config("diagnosis").get_models())
CLINICAL = [model for model in MODELS if model not in NOT_CLINIC_OWNED]


def name(model):
    return model.__name__


@pytest.mark.parametrize("model", CLINICAL, ids=name)
def test_every_clinical_model_is_clinic_owned(model):
    assert issubclass(model, ClinicOwnedModel)
    assert isinstance(model.objects.all(), ClinicOwnedQuerySet)
    assert isinstance(model._default_manager.all(), ClinicOwnedQuerySet)
    assert model._meta.get_field("clinic").null is False


def test_no_clinical_table_hides_in_a_many_to_many_relation():
    assert [field for model in MODELS for field in model._meta.local_many_to_many] == []


@pytest.mark.parametrize("model", CLINICAL, ids=name)
@pytest.mark.django_db
def test_row_level_security_is_forced_and_its_policy_checks_reads_and_writes(model):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass",
            [model._meta.db_table],
        )
        assert cursor.fetchone() == (True, True)
        cursor.execute(
            "SELECT cmd, qual, with_check FROM pg_policies "
            "WHERE tablename = %s AND roles = '{public}'",
            [model._meta.db_table],
        )
        [(command, qual, with_check)] = cursor.fetchall()
    assert command == "ALL"
    assert "clinic_id" in qual
    assert "app.clinic" in qual
    assert qual == with_check


@pytest.mark.django_db
def test_no_table_of_the_database_names_a_clinic_or_patient_without_a_wall():
    known = {  # who is where, and what they may do: read before a clinic is known
        "accounts_membership", "accounts_invitation", "diagnosis_job_overview",
        # found by a secret; they hold the random id of the patient whom an app was launched for
        "accounts_apitoken", "accounts_smartcode",
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') "
            "AND a.attname IN ('clinic_id', 'patient_id', 'study_id', 'image_id') "
            "AND NOT c.relforcerowsecurity"
        )
        assert {row[0] for row in cursor.fetchall()} == known


@pytest.mark.parametrize("model", CLINICAL, ids=name)
@pytest.mark.django_db
def test_nobody_and_no_clinic_give_no_rows_and_cost_no_query(model, django_assert_num_queries):
    clinic, person = ClinicFactory(), UserFactory()
    person.is_active = False
    with clinic_scope(clinic.pk), django_assert_num_queries(0):
        assert list(model.objects.for_user(AnonymousUser())) == []
        assert list(model.objects.for_user(person)) == []
    with clinic_scope(None), django_assert_num_queries(0):
        assert list(model.objects.for_user(MembershipFactory.build().user)) == []


@pytest.mark.django_db
def test_the_job_overview_shows_no_column_of_a_patient():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_name = 'diagnosis_job_overview'"
        )
        columns = {row[0] for row in cursor.fetchall()}
    assert columns == {
        "id", "clinic_id", "status", "priority", "attempts", "created_at", "due_at", "started_at",
        "lease_expires_at", "finished_at", "error_code", "kind",
    }  # fmt: skip
    assert columns == {field.column for field in JobOverview._meta.concrete_fields}
