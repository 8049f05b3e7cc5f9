"""Search by GIN index in spite of row-level security.

A policy forbids the planner to look into an index with an operator that is not leakproof, and
``@@`` is not. These functions run as the lookup role, compare the clinic themselves, and return
ids only; the rows are then read through the wall as ever.
"""

from django.db import migrations

from accounts.row_security import LOOKUP_ROLE, application_role

TABLES = ("diagnosis_patient", "diagnosis_study")


def _create(table: str) -> str:
    return f"""
        GRANT SELECT (id, clinic_id, search) ON {table} TO {LOOKUP_ROLE};
        CREATE POLICY search_read ON {table} FOR SELECT TO {LOOKUP_ROLE} USING (true);
        CREATE FUNCTION {table}_matches(words tsquery) RETURNS SETOF uuid
            LANGUAGE sql STABLE SECURITY DEFINER ROWS 1000
            SET search_path = pg_catalog, public, pg_temp
            AS $$
                SELECT id FROM public.{table}
                WHERE search @@ words
                  AND clinic_id = nullif(current_setting('app.clinic', true), '')::uuid
            $$;
        ALTER FUNCTION {table}_matches(tsquery) OWNER TO {LOOKUP_ROLE};
        SET ROLE {LOOKUP_ROLE};
        REVOKE ALL ON FUNCTION {table}_matches(tsquery) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION {table}_matches(tsquery) TO {application_role()};
        RESET ROLE;
    """


def _drop(table: str) -> str:
    return f"""
        SET ROLE {LOOKUP_ROLE};
        DROP FUNCTION {table}_matches(tsquery);
        RESET ROLE;
        DROP POLICY search_read ON {table};
        REVOKE SELECT (id, clinic_id, search) ON {table} FROM {LOOKUP_ROLE};
    """


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0004_study_merged_from")]

    operations = [migrations.RunSQL(_create(table), _drop(table)) for table in TABLES]
