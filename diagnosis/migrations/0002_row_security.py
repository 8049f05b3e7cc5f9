"""The second wall on every clinical table; signed versions are immutable; the job overview."""

from django.db import migrations

from accounts.row_security import (
    LOOKUP_ROLE,
    allow_lookup,
    append_only,
    application_role,
    disable_row_security,
    enable_row_security,
)

TABLES = (
    "diagnosis_patient",
    "diagnosis_study",
    "diagnosis_studyimage",
    "diagnosis_analysis",
    "diagnosis_finding",
    "diagnosis_report",
    "diagnosis_reportversion",
    "diagnosis_idempotencyrecord",
)
JOB_COLUMNS = (
    "id, clinic_id, status, priority, attempts, token, created_at, due_at, started_at, "
    "lease_expires_at, finished_at, error_code"
)


def _overview() -> str:
    return f"""
        CREATE VIEW diagnosis_job_overview AS
            SELECT id, clinic_id, status, priority, attempts, created_at, due_at, started_at,
                   lease_expires_at, finished_at, error_code
            FROM diagnosis_analysis;
        ALTER VIEW diagnosis_job_overview OWNER TO {LOOKUP_ROLE};
        SET ROLE {LOOKUP_ROLE};
        REVOKE ALL ON diagnosis_job_overview FROM {application_role()};
        GRANT SELECT ON diagnosis_job_overview TO {application_role()};
        RESET ROLE;
    """


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0001_initial"), ("accounts", "0002_audit_is_append_only")]

    operations = [
        *(
            migrations.RunSQL(enable_row_security(table), disable_row_security(table))
            for table in TABLES
        ),
        migrations.RunSQL(
            append_only("diagnosis_reportversion", when="OLD.status = 'signed'"),
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(
            allow_lookup(
                "diagnosis_analysis",
                columns=JOB_COLUMNS,
                update="status, attempts, token, started_at, lease_expires_at, due_at, finished_at, error_code",
            ),
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(_overview(), "DROP VIEW diagnosis_job_overview"),
    ]
