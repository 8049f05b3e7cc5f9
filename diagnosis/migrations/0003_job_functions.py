"""How a worker takes the next job of any clinic, without seeing anything else of it."""

from django.db import migrations, models

from accounts.row_security import LOOKUP_ROLE, application_role

# Due is queued, or running with an expired lease. Order: priority, the clinic with the fewest
# running jobs, time of becoming due. Level by level, the recursive part jumps through the index
# from one waiting clinic to the next, so that the cost depends on the number of clinics that wait
# at the most urgent level, not on the number of jobs.
CLAIM = """
    CREATE FUNCTION diagnosis_analysis_claim(
        p_token uuid, p_lease interval, p_max_attempts integer
    )
    RETURNS TABLE (claimed_id uuid, claimed_clinic_id uuid)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    AS $$
    DECLARE
        moment timestamptz := statement_timestamp();
        level smallint := -1;
        candidate record;
        chosen uuid;
    BEGIN
        LOOP
            SELECT min(found.priority) INTO level FROM (
                (SELECT a.priority FROM public.diagnosis_analysis a
                 WHERE a.status = 'queued' AND a.priority > level
                 ORDER BY a.priority LIMIT 1)
                UNION ALL
                SELECT a.priority FROM public.diagnosis_analysis a
                WHERE a.status = 'running' AND a.lease_expires_at < moment
                  AND a.attempts < p_max_attempts AND a.priority > level
            ) found;
            EXIT WHEN level IS NULL;
            FOR candidate IN
                WITH RECURSIVE waiting AS (
                    (SELECT a.clinic_id FROM public.diagnosis_analysis a
                     WHERE a.status = 'queued' AND a.priority = level
                     ORDER BY a.clinic_id LIMIT 1)
                    UNION ALL
                    SELECT further.clinic_id FROM waiting w CROSS JOIN LATERAL (
                        SELECT a.clinic_id FROM public.diagnosis_analysis a
                        WHERE a.status = 'queued' AND a.priority = level
                          AND a.clinic_id > w.clinic_id
                        ORDER BY a.clinic_id LIMIT 1
                    ) further
                ),
                busy AS (
                    SELECT a.clinic_id, count(*) AS jobs FROM public.diagnosis_analysis a
                    WHERE a.status = 'running' AND a.lease_expires_at >= moment
                    GROUP BY a.clinic_id
                ),
                due AS (
                    SELECT w.clinic_id, head.due_at, NULL::uuid AS lost_id
                    FROM waiting w CROSS JOIN LATERAL (
                        SELECT a.due_at FROM public.diagnosis_analysis a
                        WHERE a.status = 'queued' AND a.priority = level
                          AND a.clinic_id = w.clinic_id AND a.due_at <= moment
                          AND a.attempts < p_max_attempts
                        ORDER BY a.due_at LIMIT 1
                    ) head
                    UNION ALL
                    SELECT a.clinic_id, a.due_at, a.id FROM public.diagnosis_analysis a
                    WHERE a.status = 'running' AND a.lease_expires_at < moment
                      AND a.attempts < p_max_attempts AND a.priority = level
                )
                SELECT due.* FROM due LEFT JOIN busy USING (clinic_id)
                ORDER BY coalesce(busy.jobs, 0), due.due_at
            LOOP
                -- Candidates were read without locks; whoever locks the row first has it.
                IF candidate.lost_id IS NULL THEN
                    SELECT a.id INTO chosen FROM public.diagnosis_analysis a
                    WHERE a.status = 'queued' AND a.priority = level
                      AND a.clinic_id = candidate.clinic_id AND a.due_at <= moment
                      AND a.attempts < p_max_attempts
                    ORDER BY a.due_at LIMIT 1 FOR UPDATE SKIP LOCKED;
                ELSE
                    SELECT a.id INTO chosen FROM public.diagnosis_analysis a
                    WHERE a.id = candidate.lost_id AND a.status = 'running'
                      AND a.lease_expires_at < moment AND a.attempts < p_max_attempts
                    FOR UPDATE SKIP LOCKED;
                END IF;
                CONTINUE WHEN chosen IS NULL;
                RETURN QUERY
                    UPDATE public.diagnosis_analysis a
                    SET status = 'running', token = p_token, attempts = a.attempts + 1,
                        started_at = coalesce(a.started_at, moment),
                        lease_expires_at = clock_timestamp() + p_lease
                    WHERE a.id = chosen
                    RETURNING a.id, a.clinic_id;
                RETURN;
            END LOOP;
        END LOOP;
    END $$
"""


def _claim_function() -> str:
    signature = "diagnosis_analysis_claim(uuid, interval, integer)"
    return f"""
        {CLAIM};
        REVOKE ALL ON FUNCTION {signature} FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION {signature} TO {application_role()};
        ALTER FUNCTION {signature} OWNER TO {LOOKUP_ROLE};
    """


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0002_row_security")]

    operations = [
        migrations.RemoveIndex("analysis", "analysis_claim"),
        migrations.AddIndex(
            "analysis",
            models.Index(
                fields=["priority", "clinic", "due_at"],
                name="analysis_claim",
                condition=models.Q(status="queued"),
            ),
        ),
        migrations.RunSQL(
            _claim_function(),
            "DROP FUNCTION diagnosis_analysis_claim(uuid, interval, integer)",
        ),
    ]
