"""Shadow runs: the table, the walls between clinics, and how a worker takes one.

A shadow run is only taken while no analysis is due, and only one at a time in the whole site, so
that real work waits for at most one of them.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
import uuid
from django.db import migrations, models

from accounts.row_security import (
    LOOKUP_ROLE,
    allow_lookup,
    application_role,
    clinic_references,
    disable_row_security,
    enable_row_security,
)

CLAIM = """
    CREATE FUNCTION diagnosis_shadowrun_claim(
        p_token uuid, p_lease interval, p_max_attempts integer
    )
    RETURNS TABLE (claimed_id uuid, claimed_clinic_id uuid)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        moment timestamptz := statement_timestamp();
    BEGIN
        IF NOT pg_try_advisory_xact_lock(hashtextextended('diagnosis_shadowrun_claim', 0))
           OR EXISTS (SELECT FROM public.diagnosis_analysis a
                      WHERE a.status = 'queued' AND a.due_at <= moment
                        AND a.attempts < p_max_attempts)
           OR EXISTS (SELECT FROM public.diagnosis_shadowrun s
                      WHERE s.status = 'running' AND s.lease_expires_at >= moment)
        THEN
            RETURN;
        END IF;
        RETURN QUERY
            UPDATE public.diagnosis_shadowrun r
            SET status = 'running', token = p_token, attempts = r.attempts + 1,
                started_at = coalesce(r.started_at, moment),
                lease_expires_at = clock_timestamp() + p_lease
            WHERE r.id = (
                SELECT s.id FROM public.diagnosis_shadowrun s
                WHERE (s.status = 'queued' AND s.due_at <= moment
                       OR s.status = 'running' AND s.lease_expires_at < moment)
                  AND s.attempts < p_max_attempts
                ORDER BY s.due_at LIMIT 1 FOR UPDATE SKIP LOCKED
            )
            RETURNING r.id, r.clinic_id;
    END $$
"""
SIGNATURE = "diagnosis_shadowrun_claim(uuid, interval, integer)"
STATES = (
    "id, clinic_id, status, priority, attempts, created_at, due_at, started_at, lease_expires_at, "
    "finished_at, error_code"
)


def _claim_function() -> str:
    return f"""
        {CLAIM};
        REVOKE ALL ON FUNCTION {SIGNATURE} FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION {SIGNATURE} TO {application_role()};
        ALTER FUNCTION {SIGNATURE} OWNER TO {LOOKUP_ROLE};
    """


def _overview(*kinds: str) -> str:
    union = " UNION ALL ".join(
        f"SELECT {STATES}, '{kind}'::text AS kind FROM diagnosis_{kind}"  # noqa: S608
        for kind in kinds
    )
    return f"""
        SET ROLE {LOOKUP_ROLE};
        CREATE OR REPLACE VIEW diagnosis_job_overview AS {union};
        RESET ROLE;
    """


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_break_glass_and_clinic_names'),
        ('diagnosis', '0016_model_stages'),
    ]

    operations = [
        migrations.CreateModel(
            name='ShadowRun',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('status', models.CharField(choices=[('queued', 'Waiting'), ('running', 'Analysing'), ('succeeded', 'Done'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='queued', max_length=10)),
                ('priority', models.PositiveSmallIntegerField(choices=[(0, 'Emergency'), (1, 'Urgent'), (2, 'Routine')], default=2)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('token', models.UUIDField(editable=False, null=True)),
                ('due_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('lease_expires_at', models.DateTimeField(blank=True, null=True)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('error_code', models.CharField(blank=True, max_length=40)),
                ('verdict', models.CharField(blank=True, choices=[('definite', 'Fracture'), ('suspicion', 'Suspicion'), ('negative', 'No fracture seen'), ('cannot_assess', 'Cannot assess')], max_length=14)),
                ('probability', models.FloatField(blank=True, null=True)),
                ('boxes', models.JSONField(blank=True, default=list)),
                ('milliseconds', models.FloatField(blank=True, null=True)),
                ('analysis', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='shadow_runs', to='diagnosis.analysis')),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='shadow_runs', to='diagnosis.studyimage')),
                ('model_version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='diagnosis.modelversion')),
            ],
            options={
                'verbose_name': 'shadow run',
                'verbose_name_plural': 'shadow runs',
                'indexes': [models.Index(condition=models.Q(('status', 'queued')), fields=['priority', 'clinic', 'due_at'], name='shadow_run_claim'), models.Index(condition=models.Q(('status', 'running')), fields=['clinic'], name='shadow_run_running'), models.Index(fields=['model_version', 'status'], name='shadow_run_of_version')],
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['queued', 'running', 'succeeded', 'failed', 'cancelled'])), name='shadow_run_status_known'), models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('status__in', ('queued', 'running'))), models.Q(('finished_at__isnull', False), ('status__in', ['succeeded', 'failed', 'cancelled'])), _connector='OR'), name='shadow_run_finished_iff_final'), models.CheckConstraint(condition=models.Q(models.Q(('lease_expires_at__isnull', False), ('status', 'running'), ('token__isnull', False)), models.Q(models.Q(('status', 'running'), _negated=True), ('lease_expires_at__isnull', True)), _connector='OR'), name='shadow_run_leased_iff_running'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'failed'), models.Q(('error_code', ''), _negated=True)), models.Q(('status', 'failed'), _negated=True), _connector='OR'), name='shadow_run_code_iff_failed'), models.UniqueConstraint(fields=('image', 'model_version'), name='shadow_run_once'), models.CheckConstraint(condition=models.Q(models.Q(('probability__isnull', True), ('status', 'succeeded'), ('verdict', 'cannot_assess')), models.Q(('probability__gte', 0.0), ('probability__lte', 1.0), ('status', 'succeeded'), ('verdict__in', ['definite', 'suspicion', 'negative'])), models.Q(models.Q(('status', 'succeeded'), _negated=True), ('probability__isnull', True), ('verdict', '')), _connector='OR'), name='shadow_run_result_iff_succeeded')],
            },
        ),
        migrations.RunSQL(
            enable_row_security("diagnosis_shadowrun"), disable_row_security("diagnosis_shadowrun")
        ),
        migrations.RunSQL(
            allow_lookup(
                "diagnosis_shadowrun",
                columns=f"{STATES}, token",
                update="status, attempts, token, started_at, lease_expires_at",
            ),
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(
            clinic_references(
                "diagnosis_shadowrun",
                image_id="diagnosis_studyimage",
                analysis_id="diagnosis_analysis",
            ),
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(_claim_function(), f"DROP FUNCTION {SIGNATURE}"),
        migrations.RunSQL(
            _overview("analysis", "delivery", "shadowrun"), _overview("analysis", "delivery")
        ),
    ]
