"""Earlier studies fetched from an archive: the promise to fetch, the walls, how a courier takes one."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import uuid
from django.conf import settings
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
    CREATE FUNCTION diagnosis_priorfetch_claim(
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
            UPDATE public.diagnosis_priorfetch f
            SET status = 'running', token = p_token, attempts = f.attempts + 1,
                started_at = coalesce(f.started_at, moment),
                lease_expires_at = clock_timestamp() + p_lease
            WHERE f.id = (
                WITH busy AS (
                    SELECT b.clinic_id, count(*) AS jobs FROM public.diagnosis_priorfetch b
                    WHERE b.status = 'running' AND b.lease_expires_at >= moment
                    GROUP BY b.clinic_id
                )
                SELECT c.id FROM public.diagnosis_priorfetch c LEFT JOIN busy USING (clinic_id)
                WHERE (c.status = 'queued' AND c.due_at <= moment
                       OR c.status = 'running' AND c.lease_expires_at < moment)
                  AND c.attempts < p_max_attempts
                ORDER BY c.priority, coalesce(busy.jobs, 0), c.due_at
                LIMIT 1 FOR UPDATE OF c SKIP LOCKED
            )
            RETURNING f.id, f.clinic_id;
    END $$
"""
SIGNATURE = "diagnosis_priorfetch_claim(uuid, interval, integer)"
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
        ('diagnosis', '0026_study_is_late'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='PriorFetch',
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
                ('study_instance_uid', models.CharField(max_length=64)),
                ('confirmed', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=20), blank=True, default=list, size=None)),
                ('expected', models.PositiveIntegerField(blank=True, null=True)),
                ('done', models.PositiveIntegerField(default=0)),
                ('skipped', models.JSONField(blank=True, default=dict)),
            ],
            options={
                'verbose_name': 'fetch of an earlier study',
                'verbose_name_plural': 'fetches of earlier studies',
                'ordering': ['-created_at', 'id'],
            },
        ),
        migrations.AddField(
            model_name='patient',
            name='told_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.RemoveConstraint(
            model_name='study',
            name='study_status_known',
        ),
        migrations.AddField(
            model_name='destination',
            name='finds_priors',
            field=models.BooleanField(default=False, verbose_name='earlier studies are looked up here'),
        ),
        migrations.AddField(
            model_name='study',
            name='fetched_from',
            field=models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='diagnosis.destination'),
        ),
        migrations.AlterField(
            model_name='study',
            name='status',
            field=models.CharField(choices=[('empty', 'No images'), ('queued', 'Waiting'), ('running', 'Analysing'), ('ready', 'To read'), ('failed', 'Failed'), ('reported', 'Reported'), ('prior', 'From the archive')], default='empty', max_length=10),
        ),
        migrations.AddConstraint(
            model_name='destination',
            constraint=models.CheckConstraint(condition=models.Q(('finds_priors', False), ('kind__in', ['dicom_cstore', 'dicom_stow']), _connector='OR'), name='destination_can_find_priors'),
        ),
        migrations.AddConstraint(
            model_name='study',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['empty', 'queued', 'running', 'ready', 'failed', 'reported', 'prior'])), name='study_status_known'),
        ),
        migrations.AddField(
            model_name='priorfetch',
            name='clinic',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic'),
        ),
        migrations.AddField(
            model_name='priorfetch',
            name='prior',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='diagnosis.study'),
        ),
        migrations.AddField(
            model_name='priorfetch',
            name='requested_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='priorfetch',
            name='source',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='diagnosis.destination'),
        ),
        migrations.AddField(
            model_name='priorfetch',
            name='study',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='prior_fetches', to='diagnosis.study'),
        ),
        migrations.AddIndex(
            model_name='priorfetch',
            index=models.Index(condition=models.Q(('status', 'queued')), fields=['priority', 'clinic', 'due_at'], name='prior_fetch_claim'),
        ),
        migrations.AddIndex(
            model_name='priorfetch',
            index=models.Index(condition=models.Q(('status', 'running')), fields=['clinic'], name='prior_fetch_running'),
        ),
        migrations.AddIndex(
            model_name='priorfetch',
            index=models.Index(fields=['study', '-created_at'], name='prior_fetch_of_study'),
        ),
        migrations.AddConstraint(
            model_name='priorfetch',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['queued', 'running', 'succeeded', 'failed', 'cancelled'])), name='prior_fetch_status_known'),
        ),
        migrations.AddConstraint(
            model_name='priorfetch',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('status__in', ('queued', 'running'))), models.Q(('finished_at__isnull', False), ('status__in', ['succeeded', 'failed', 'cancelled'])), _connector='OR'), name='prior_fetch_finished_iff_final'),
        ),
        migrations.AddConstraint(
            model_name='priorfetch',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('lease_expires_at__isnull', False), ('status', 'running'), ('token__isnull', False)), models.Q(models.Q(('status', 'running'), _negated=True), ('lease_expires_at__isnull', True)), _connector='OR'), name='prior_fetch_leased_iff_running'),
        ),
        migrations.AddConstraint(
            model_name='priorfetch',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'failed'), models.Q(('error_code', ''), _negated=True)), models.Q(('status', 'failed'), _negated=True), _connector='OR'), name='prior_fetch_code_iff_failed'),
        ),
        migrations.AddConstraint(
            model_name='priorfetch',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ('queued', 'running'))), fields=('clinic', 'study_instance_uid'), name='prior_fetch_one_open'),
        ),
        migrations.AddConstraint(
            model_name='priorfetch',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'succeeded'), _negated=True), models.Q(('done__gt', 0), ('prior__isnull', False)), _connector='OR'), name='prior_fetch_has_images_iff_succeeded'),
        ),
        migrations.RunSQL(
            enable_row_security("diagnosis_priorfetch"),
            disable_row_security("diagnosis_priorfetch"),
        ),
        migrations.RunSQL(
            allow_lookup(
                "diagnosis_priorfetch",
                columns=f"{STATES}, token",
                update="status, attempts, token, started_at, lease_expires_at",
            ),
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(
            clinic_references(
                "diagnosis_priorfetch",
                study_id="diagnosis_study",
                prior_id="diagnosis_study",
                source_id="diagnosis_destination",
            )
            + clinic_references("diagnosis_study", fetched_from_id="diagnosis_destination"),
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(_claim_function(), f"DROP FUNCTION {SIGNATURE}"),
        migrations.RunSQL(
            _overview("analysis", "delivery", "shadowrun", "priorfetch"),
            migrations.RunSQL.noop,
        ),
    ]
