"""The audit trail: inserted and read within a clinic, never changed by anybody."""

from django.db import migrations

from accounts.row_security import append_only, application_role

_CLINIC = "nullif(current_setting('app.clinic', true), '')::uuid"


def _sql() -> str:
    return (
        append_only("accounts_auditevent")
        + f"""
        REVOKE UPDATE, DELETE ON accounts_auditevent FROM {application_role()};
        ALTER TABLE accounts_auditevent ENABLE ROW LEVEL SECURITY;
        ALTER TABLE accounts_auditevent FORCE ROW LEVEL SECURITY;
        -- Events before a clinic is known (sign-in) carry none and hold nothing of a patient.
        CREATE POLICY clinic_wall ON accounts_auditevent
            USING (clinic_id = {_CLINIC} OR clinic_id IS NULL)
            WITH CHECK (clinic_id = {_CLINIC} OR clinic_id IS NULL);
        """
    )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [migrations.RunSQL(_sql(), reverse_sql=migrations.RunSQL.noop)]
