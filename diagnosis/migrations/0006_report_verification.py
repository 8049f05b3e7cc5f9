"""Whether a printed report's number is known, for people who hold the paper and no account."""

from django.db import migrations, models

from accounts.row_security import LOOKUP_ROLE, allow_lookup, application_role

# Answers with the state and time of one signed version whose number the caller already has, and
# with nothing that was not printed beside it.
VERIFY = f"""
    CREATE FUNCTION diagnosis_report_verify(p_sha256 text)
    RETURNS TABLE (signed_at timestamptz, number smallint, superseded boolean)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT v.signed_at, v.number, EXISTS (
            SELECT FROM public.diagnosis_reportversion n
            WHERE n.report_id = v.report_id AND n.status = 'signed' AND n.number > v.number
        )
        FROM public.diagnosis_reportversion v
        WHERE v.content_sha256 = p_sha256 AND v.status = 'signed'
    $$;
    REVOKE ALL ON FUNCTION diagnosis_report_verify(text) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION diagnosis_report_verify(text) TO {application_role()};
    ALTER FUNCTION diagnosis_report_verify(text) OWNER TO {LOOKUP_ROLE};
"""  # noqa: S608 - names come from settings


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0005_search_functions")]

    operations = [
        migrations.AddIndex(
            "reportversion",
            models.Index(
                fields=["content_sha256"],
                condition=models.Q(status="signed"),
                name="report_version_by_digest",
            ),
        ),
        migrations.RunSQL(
            allow_lookup(
                "diagnosis_reportversion",
                columns="report_id, number, status, signed_at, content_sha256",
            )
        ),
        migrations.RunSQL(VERIFY, "DROP FUNCTION diagnosis_report_verify(text)"),
    ]
