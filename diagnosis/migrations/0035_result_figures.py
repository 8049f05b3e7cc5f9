"""What monitoring may know of results: counts and times over all clinics, by a database function."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import migrations

from accounts.row_security import LOOKUP_ROLE, application_role

SIGNATURE = "diagnosis_result_figures(interval, interval)"
COLUMNS = "verdict, probability, timings_ms"

# One row for each figure: verdicts of the last p_now and of the p_before before that, and the
# stages of the model's work in the last p_now. No row, id or clinic can be told from them.
FIGURES = """
    CREATE FUNCTION diagnosis_result_figures(p_now interval, p_before interval)
    RETURNS TABLE (figure text, label text, amount double precision)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
        WITH recent AS (
            SELECT a.verdict, a.probability, a.timings_ms,
                a.finished_at >= statement_timestamp() - p_now AS new
            FROM public.diagnosis_analysis a
            WHERE a.status = 'succeeded'
              AND a.finished_at >= statement_timestamp() - p_now - p_before
        ),
        stages AS (
            SELECT stage.key, stage.value::double precision AS ms
            FROM recent CROSS JOIN LATERAL jsonb_each_text(recent.timings_ms) AS stage
            WHERE recent.new
        )
        SELECT CASE WHEN new THEN 'new' ELSE 'before' END, verdict, count(*)::double precision
        FROM recent GROUP BY new, verdict
        UNION ALL
        SELECT 'stage_0.5', key, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)
        FROM stages GROUP BY key
        UNION ALL
        SELECT 'stage_0.95', key, percentile_cont(0.95) WITHIN GROUP (ORDER BY ms)
        FROM stages GROUP BY key
    $$
"""


def _create() -> str:
    return f"""
        GRANT SELECT ({COLUMNS}) ON diagnosis_analysis TO {LOOKUP_ROLE};
        {FIGURES};
        REVOKE ALL ON FUNCTION {SIGNATURE} FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION {SIGNATURE} TO {application_role()};
        ALTER FUNCTION {SIGNATURE} OWNER TO {LOOKUP_ROLE};
    """


def _drop() -> str:
    return f"""
        SET ROLE {LOOKUP_ROLE};
        DROP FUNCTION {SIGNATURE};
        RESET ROLE;
        REVOKE SELECT ({COLUMNS}) ON diagnosis_analysis FROM {LOOKUP_ROLE};
    """


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0034_annotation_regions")]

    operations = [
        migrations.AddIndex(
            "analysis",
            BrinIndex(fields=["finished_at"], name="analysis_finished", autosummarize=True),
        ),
        migrations.RunSQL(_create(), _drop()),
    ]
