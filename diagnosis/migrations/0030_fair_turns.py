"""Clinics take turns at the workers, and patience brings a less urgent job its turn."""

from importlib import import_module

from django.db import migrations, models

from accounts.row_security import LOOKUP_ROLE, application_role

SIGNATURE = "diagnosis_analysis_claim(uuid, interval, integer)"
HEADS = "diagnosis_analysis_heads(smallint, timestamptz, integer)"

# Level by level, the recursive part jumps through the index from one waiting clinic to the next, so
# that the cost depends on the number of clinics that wait, not on the number of jobs.
CREATE_HEADS = """
    CREATE FUNCTION diagnosis_analysis_heads(
        p_level smallint, p_moment timestamptz, p_max_attempts integer
    )
    RETURNS TABLE (clinic_id uuid, due_at timestamptz)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    AS $$
        WITH RECURSIVE waiting AS (
            (SELECT a.clinic_id FROM public.diagnosis_analysis a
             WHERE a.status = 'queued' AND a.priority = p_level
             ORDER BY a.clinic_id LIMIT 1)
            UNION ALL
            SELECT further.clinic_id FROM waiting w CROSS JOIN LATERAL (
                SELECT a.clinic_id FROM public.diagnosis_analysis a
                WHERE a.status = 'queued' AND a.priority = p_level
                  AND a.clinic_id > w.clinic_id
                ORDER BY a.clinic_id LIMIT 1
            ) further
        )
        SELECT w.clinic_id, head.due_at FROM waiting w CROSS JOIN LATERAL (
            SELECT a.due_at FROM public.diagnosis_analysis a
            WHERE a.status = 'queued' AND a.priority = p_level
              AND a.clinic_id = w.clinic_id AND a.due_at <= p_moment
              AND a.attempts < p_max_attempts
            ORDER BY a.due_at LIMIT 1
        ) head
    $$
"""

# Due is queued, or running with an expired lease. Order: priority; the clinic with the fewest
# running jobs; what a worker died with; the clinic whose last job began longest ago; time of
# becoming due. So that a stream of emergencies cannot stop everything else for ever, one claim of
# five (by the last byte of its random token) begins at the least urgent level at which something
# has waited for a quarter of an hour.
CREATE_CLAIM = """
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
        patient smallint;
        candidate record;
        chosen uuid;
    BEGIN
        IF get_byte(uuid_send(p_token), 15) < 51 THEN
            SELECT max(l.level) INTO patient FROM unnest(ARRAY[1, 2]::smallint[]) AS l (level)
            WHERE EXISTS (
                SELECT FROM public.diagnosis_analysis_heads(
                    l.level, moment - interval '15 minutes', p_max_attempts
                )
            );
        END IF;
        LOOP
            IF patient IS NOT NULL THEN
                level := patient;
            ELSE
                SELECT min(found.priority) INTO level FROM (
                    (SELECT a.priority FROM public.diagnosis_analysis a
                     WHERE a.status = 'queued' AND a.priority > level
                     ORDER BY a.priority LIMIT 1)
                    UNION ALL
                    SELECT a.priority FROM public.diagnosis_analysis a
                    WHERE a.status = 'running' AND a.lease_expires_at < moment
                      AND a.attempts < p_max_attempts AND a.priority > level
                ) found;
            END IF;
            EXIT WHEN level IS NULL;
            FOR candidate IN
                WITH busy AS (
                    SELECT a.clinic_id, count(*) AS jobs FROM public.diagnosis_analysis a
                    WHERE a.status = 'running' AND a.lease_expires_at >= moment
                    GROUP BY a.clinic_id
                ),
                due AS (
                    SELECT head.clinic_id, head.due_at, NULL::uuid AS lost_id
                    FROM public.diagnosis_analysis_heads(level, moment, p_max_attempts) head
                    UNION ALL
                    SELECT a.clinic_id, a.due_at, a.id FROM public.diagnosis_analysis a
                    WHERE a.status = 'running' AND a.lease_expires_at < moment
                      AND a.attempts < p_max_attempts AND a.priority = level
                )
                SELECT due.* FROM due LEFT JOIN busy USING (clinic_id) LEFT JOIN LATERAL (
                    SELECT a.started_at FROM public.diagnosis_analysis a
                    WHERE a.clinic_id = due.clinic_id AND a.started_at IS NOT NULL
                    ORDER BY a.started_at DESC LIMIT 1
                ) turn ON true
                ORDER BY coalesce(busy.jobs, 0), due.lost_id IS NULL,
                    turn.started_at NULLS FIRST, due.due_at
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
            IF patient IS NOT NULL THEN
                patient := NULL;  -- all of them were locked by others: from the top
                level := -1;
            END IF;
        END LOOP;
    END $$
"""


def _functions() -> str:
    return f"""
        SET ROLE {LOOKUP_ROLE};
        DROP FUNCTION {SIGNATURE};
        RESET ROLE;
        {CREATE_HEADS};
        REVOKE ALL ON FUNCTION {HEADS} FROM PUBLIC;
        ALTER FUNCTION {HEADS} OWNER TO {LOOKUP_ROLE};
        {CREATE_CLAIM};
        REVOKE ALL ON FUNCTION {SIGNATURE} FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION {SIGNATURE} TO {application_role()};
        ALTER FUNCTION {SIGNATURE} OWNER TO {LOOKUP_ROLE};
    """


def _before() -> str:
    claim = import_module("diagnosis.migrations.0003_job_functions").CLAIM
    return f"""
        SET ROLE {LOOKUP_ROLE};
        DROP FUNCTION {SIGNATURE};
        DROP FUNCTION {HEADS};
        RESET ROLE;
        {claim};
        REVOKE ALL ON FUNCTION {SIGNATURE} FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION {SIGNATURE} TO {application_role()};
        ALTER FUNCTION {SIGNATURE} OWNER TO {LOOKUP_ROLE};
    """


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0029_site_validation")]

    operations = [
        migrations.AddIndex(
            "analysis",
            models.Index(
                fields=["clinic", "started_at"],
                name="analysis_turn",
                condition=models.Q(started_at__isnull=False),
            ),
        ),
        migrations.RunSQL(_functions(), _before()),
    ]
