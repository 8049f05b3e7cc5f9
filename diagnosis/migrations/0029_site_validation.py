"""Site validations: the table, the walls between clinics, and how a worker takes one."""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from accounts.row_security import (
    LOOKUP_ROLE,
    allow_lookup,
    application_role,
    disable_row_security,
    enable_row_security,
)

TABLE = "diagnosis_sitevalidation"
# In the order of asking; rare, so that nothing fairer is needed.
CLAIM = """
    CREATE FUNCTION diagnosis_sitevalidation_claim(
        p_token uuid, p_lease interval, p_max_attempts integer
    )
    RETURNS TABLE (claimed_id uuid, claimed_clinic_id uuid)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        moment timestamptz := statement_timestamp();
    BEGIN
        RETURN QUERY
            UPDATE public.diagnosis_sitevalidation r
            SET status = 'running', token = p_token, attempts = r.attempts + 1,
                started_at = coalesce(r.started_at, moment),
                lease_expires_at = clock_timestamp() + p_lease
            WHERE r.id = (
                SELECT s.id FROM public.diagnosis_sitevalidation s
                WHERE (s.status = 'queued' AND s.due_at <= moment
                       OR s.status = 'running' AND s.lease_expires_at < moment)
                  AND s.attempts < p_max_attempts
                ORDER BY s.due_at LIMIT 1 FOR UPDATE SKIP LOCKED
            )
            RETURNING r.id, r.clinic_id;
    END $$
"""
SIGNATURE = f"{TABLE}_claim(uuid, interval, integer)"
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
        ('accounts', '0005_reading_rules'),
        ('diagnosis', '0028_report_answers'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='SiteValidation',
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
                ('first', models.DateField(verbose_name='first day')),
                ('last', models.DateField(verbose_name='last day')),
                ('progress', models.PositiveSmallIntegerField(default=0)),
                ('result', models.JSONField(blank=True, null=True)),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('model_version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='diagnosis.modelversion')),
                ('requested_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'site validation',
                'verbose_name_plural': 'site validations',
                'ordering': ['-created_at', 'id'],
                'indexes': [models.Index(condition=models.Q(('status', 'queued')), fields=['priority', 'clinic', 'due_at'], name='site_validation_claim'), models.Index(condition=models.Q(('status', 'running')), fields=['clinic'], name='site_validation_running'), models.Index(fields=['clinic', '-created_at'], name='site_validation_newest')],
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['queued', 'running', 'succeeded', 'failed', 'cancelled'])), name='site_validation_status_known'), models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('status__in', ('queued', 'running'))), models.Q(('finished_at__isnull', False), ('status__in', ['succeeded', 'failed', 'cancelled'])), _connector='OR'), name='site_validation_finished_iff_final'), models.CheckConstraint(condition=models.Q(models.Q(('lease_expires_at__isnull', False), ('status', 'running'), ('token__isnull', False)), models.Q(models.Q(('status', 'running'), _negated=True), ('lease_expires_at__isnull', True)), _connector='OR'), name='site_validation_leased_iff_running'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'failed'), models.Q(('error_code', ''), _negated=True)), models.Q(('status', 'failed'), _negated=True), _connector='OR'), name='site_validation_code_iff_failed'), models.UniqueConstraint(condition=models.Q(('status__in', ['queued', 'running'])), fields=('clinic', 'model_version'), name='site_validation_one_open'), models.CheckConstraint(condition=models.Q(models.Q(('result__isnull', False), ('status', 'succeeded')), models.Q(models.Q(('status', 'succeeded'), _negated=True), ('result__isnull', True)), _connector='OR'), name='site_validation_result_iff_succeeded'), models.CheckConstraint(condition=models.Q(('first__lte', models.F('last'))), name='site_validation_days_ordered'), models.CheckConstraint(condition=models.Q(('progress__lte', 100)), name='site_validation_progress_is_percent')],
            },
        ),
        migrations.RunSQL(enable_row_security(TABLE), disable_row_security(TABLE)),
        migrations.RunSQL(
            allow_lookup(
                TABLE,
                columns=f"{STATES}, token",
                update="status, attempts, token, started_at, lease_expires_at",
            ),
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(_claim_function(), f"DROP FUNCTION {SIGNATURE}"),
        migrations.RunSQL(
            _overview("analysis", "delivery", "shadowrun", "priorfetch", "sitevalidation"),
            _overview("analysis", "delivery", "shadowrun", "priorfetch"),
        ),
    ]
