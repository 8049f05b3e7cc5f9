"""Destinations and deliveries: tables, the walls between clinics, and how a courier takes one."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import uuid
from django.db import migrations, models

from accounts.row_security import (
    LOOKUP_ROLE,
    allow_lookup,
    application_role,
    clinic_references,
    clinic_target,
    disable_row_security,
    enable_row_security,
)

CLAIM = """
    CREATE FUNCTION diagnosis_delivery_claim(
        p_token uuid, p_lease interval, p_max_attempts integer
    )
    RETURNS TABLE (claimed_id uuid, claimed_clinic_id uuid)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        moment timestamptz := statement_timestamp();
        candidate record;
        chosen uuid;
    BEGIN
        -- Due is queued, or running with an expired lease, while nothing earlier of the same study
        -- and destination is open and nothing later runs. Order: priority, the clinic with the
        -- fewest running deliveries, time of becoming due.
        FOR candidate IN
            WITH busy AS (
                SELECT d.clinic_id, count(*) AS jobs FROM public.diagnosis_delivery d
                WHERE d.status = 'running' AND d.lease_expires_at >= moment GROUP BY d.clinic_id
            )
            SELECT d.id, d.study_id, d.destination_id FROM public.diagnosis_delivery d
            LEFT JOIN busy USING (clinic_id)
            WHERE (d.status = 'queued' AND d.due_at <= moment
                   OR d.status = 'running' AND d.lease_expires_at < moment)
              AND d.attempts < p_max_attempts
              AND NOT EXISTS (
                  SELECT FROM public.diagnosis_delivery o
                  WHERE o.study_id = d.study_id AND o.destination_id = d.destination_id
                    AND (o.number < d.number AND o.status IN ('queued', 'running')
                         OR o.number > d.number AND o.status = 'running'
                            AND o.lease_expires_at >= moment)
              )
            ORDER BY d.priority, coalesce(busy.jobs, 0), d.due_at, d.number
        LOOP
            -- Candidates were read without locks; whoever has the lock of the pair decides.
            CONTINUE WHEN NOT pg_try_advisory_xact_lock(
                hashtextextended(candidate.study_id::text || candidate.destination_id::text, 0)
            );
            SELECT d.id INTO chosen FROM public.diagnosis_delivery d
            WHERE d.id = candidate.id AND d.attempts < p_max_attempts
              AND (d.status = 'queued' AND d.due_at <= moment
                   OR d.status = 'running' AND d.lease_expires_at < moment)
              AND NOT EXISTS (
                  SELECT FROM public.diagnosis_delivery o
                  WHERE o.study_id = d.study_id AND o.destination_id = d.destination_id
                    AND (o.number < d.number AND o.status IN ('queued', 'running')
                         OR o.number > d.number AND o.status = 'running'
                            AND o.lease_expires_at >= moment)
              )
            FOR UPDATE SKIP LOCKED;
            CONTINUE WHEN chosen IS NULL;
            RETURN QUERY
                UPDATE public.diagnosis_delivery d
                SET status = 'running', token = p_token, attempts = d.attempts + 1,
                    started_at = coalesce(d.started_at, moment),
                    lease_expires_at = clock_timestamp() + p_lease
                WHERE d.id = chosen
                RETURNING d.id, d.clinic_id;
            RETURN;
        END LOOP;
    END $$
"""
SIGNATURE = "diagnosis_delivery_claim(uuid, interval, integer)"
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


def _overview(*tables: str) -> str:
    union = " UNION ALL ".join(
        f"SELECT {STATES}, '{table.removeprefix('diagnosis_')}'::text AS kind FROM {table}"  # noqa: S608
        for table in tables
    )
    return f"""
        SET ROLE {LOOKUP_ROLE};
        CREATE OR REPLACE VIEW diagnosis_job_overview AS {union};
        RESET ROLE;
    """


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_break_glass_and_clinic_names'),
        ('diagnosis', '0012_orders_stay_in_the_clinic'),
    ]

    operations = [
        migrations.CreateModel(
            name='Destination',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('name', models.CharField(max_length=100, verbose_name='name')),
                ('kind', models.CharField(choices=[('dicom_cstore', 'DICOM (C-STORE)'), ('dicom_stow', 'DICOMweb (STOW-RS)'), ('hl7_mllp', 'HL7 v2 (MLLP)'), ('webhook', 'Webhook')], max_length=12, verbose_name='kind')),
                ('host', models.CharField(blank=True, max_length=253, verbose_name='host')),
                ('port', models.PositiveIntegerField(blank=True, null=True, verbose_name='port')),
                ('called_ae_title', models.CharField(blank=True, max_length=16, verbose_name='its AE title')),
                ('calling_ae_title', models.CharField(blank=True, max_length=16, verbose_name='our AE title')),
                ('url', models.CharField(blank=True, max_length=500, verbose_name='address')),
                ('use_tls', models.BooleanField(default=False, verbose_name='encrypted (TLS)')),
                ('events', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('result.ready', 'The AI result is there (preliminary)'), ('report.signed', 'A report or an amendment was signed')], max_length=30), default=list, size=None, verbose_name='when')),
                ('contents', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('sr', 'Structured report (DICOM SR)'), ('presentation', 'Boxes that can be hidden (DICOM presentation states)'), ('capture', 'Pictures with boxes (DICOM secondary capture)'), ('pdf', 'Signed report (PDF in DICOM)'), ('images', 'Images that did not come as DICOM')], max_length=20), blank=True, default=list, size=None, verbose_name='what')),
                ('options', models.JSONField(blank=True, default=dict)),
                ('secrets', models.BinaryField(default=b'')),
                ('is_enabled', models.BooleanField(default=True, verbose_name='in use')),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
            ],
            options={
                'verbose_name': 'destination',
                'verbose_name_plural': 'destinations',
                'ordering': ['name', 'id'],
            },
        ),
        migrations.CreateModel(
            name='Delivery',
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
                ('event', models.CharField(choices=[('result.ready', 'The AI result is there (preliminary)'), ('report.signed', 'A report or an amendment was signed')], max_length=30)),
                ('subject', models.CharField(max_length=64)),
                ('number', models.PositiveIntegerField()),
                ('sent', models.JSONField(blank=True, default=list)),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('study', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='deliveries', to='diagnosis.study')),
                ('destination', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='deliveries', to='diagnosis.destination')),
            ],
            options={
                'verbose_name': 'delivery',
                'verbose_name_plural': 'deliveries',
                'ordering': ['-created_at', 'id'],
            },
        ),
        migrations.AddConstraint(
            model_name='destination',
            constraint=models.UniqueConstraint(fields=('clinic', 'name'), name='destination_name_once'),
        ),
        migrations.AddConstraint(
            model_name='destination',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(models.Q(('host', ''), _negated=True), ('kind__in', ['dicom_cstore', 'hl7_mllp']), ('port__range', (1, 65535))), models.Q(models.Q(('url', ''), _negated=True), ('kind__in', ['dicom_stow', 'webhook'])), _connector='OR'), name='destination_has_address'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('status', 'queued')), fields=['priority', 'clinic', 'due_at'], name='delivery_claim'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('status', 'running')), fields=['clinic'], name='delivery_running'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['clinic', '-created_at', 'id'], name='delivery_newest'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['queued', 'running', 'succeeded', 'failed', 'cancelled'])), name='delivery_status_known'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('status__in', ('queued', 'running'))), models.Q(('finished_at__isnull', False), ('status__in', ['succeeded', 'failed', 'cancelled'])), _connector='OR'), name='delivery_finished_iff_final'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('lease_expires_at__isnull', False), ('status', 'running'), ('token__isnull', False)), models.Q(models.Q(('status', 'running'), _negated=True), ('lease_expires_at__isnull', True)), _connector='OR'), name='delivery_leased_iff_running'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'failed'), models.Q(('error_code', ''), _negated=True)), models.Q(('status', 'failed'), _negated=True), _connector='OR'), name='delivery_code_iff_failed'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.UniqueConstraint(fields=('destination', 'event', 'subject'), name='delivery_once'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.UniqueConstraint(fields=('study', 'destination', 'number'), name='delivery_order'),
        ),
        *(
            migrations.RunSQL(enable_row_security(table), disable_row_security(table))
            for table in ("diagnosis_destination", "diagnosis_delivery")
        ),
        migrations.RunSQL(
            allow_lookup(
                "diagnosis_delivery",
                columns=f"{STATES}, token, study_id, destination_id, number",
                update="status, attempts, token, started_at, lease_expires_at",
            ),
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(clinic_target("diagnosis_destination"), migrations.RunSQL.noop),
        migrations.RunSQL(clinic_target("diagnosis_delivery"), migrations.RunSQL.noop),
        migrations.RunSQL(
            clinic_references(
                "diagnosis_delivery",
                destination_id="diagnosis_destination",
                study_id="diagnosis_study",
            ),
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(_claim_function(), f"DROP FUNCTION {SIGNATURE}"),
        migrations.RunSQL(
            _overview("diagnosis_analysis", "diagnosis_delivery"),
            _overview("diagnosis_analysis"),
        ),
    ]
