"""The suite itself: which role it uses, and that nothing of one test is left for the next."""

import pytest
from django.db import connection
from django.db.utils import ProgrammingError

from accounts.models import Clinic


@pytest.mark.django_db
def test_queries_run_as_a_role_without_power():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole "
            "FROM pg_roles WHERE rolname = current_user"
        )
        assert cursor.fetchone() == ("fracture_app", False, False, False, False)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("run", ["first", "second"])
def test_committed_rows_are_gone_in_the_next_test(run):
    assert not Clinic.objects.exists()
    Clinic.objects.create(name="Left over")


@pytest.mark.django_db
def test_the_application_role_cannot_truncate():
    with pytest.raises(ProgrammingError, match="permission denied"), connection.cursor() as cursor:
        cursor.execute("TRUNCATE accounts_clinic CASCADE")


def test_a_database_is_out_of_reach_without_the_marker():
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        Clinic.objects.exists()
