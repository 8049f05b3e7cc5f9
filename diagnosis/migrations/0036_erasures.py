"""Retention: policy, holds, erasures, exports; rows of an erased patient can be emptied."""

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
    emptied_when_erased,
    enable_row_security,
    nothing_after_erasure,
)

TABLES = {
    "diagnosis_retentionpolicy": {},
    "diagnosis_retentionhold": {"patient_id": "diagnosis_patient"},
    "diagnosis_erasure": {"patient_id": "diagnosis_patient"},
    "diagnosis_patientexport": {"patient_id": "diagnosis_patient"},
}
JOBS = ("diagnosis_erasure", "diagnosis_patientexport")
STATES = (
    "id, clinic_id, status, priority, attempts, created_at, due_at, started_at, lease_expires_at, "
    "finished_at, error_code"
)
KINDS = ("analysis", "delivery", "shadowrun", "priorfetch", "sitevalidation")
_VERSION = "SELECT s.patient_id FROM diagnosis_report r JOIN diagnosis_study s ON s.id = r.study_id"
_IMAGE = "SELECT i.study_id FROM diagnosis_studyimage i WHERE i.id = NEW.image_id"
# What holds texts in rows that are never changed: columns, and whose they are.
EMPTIED = {
    "diagnosis_reportversion": {
        "columns": "reason, technique, comparison, findings, impression, recommendation, pdf_key, "
        "pdf_sha256, content_sha256",
        "patient": f"{_VERSION} WHERE r.id = NEW.report_id",
        "generated": "answer, ai_verdict, ai_probability, ai_region, ai_model",
    },
    "diagnosis_findingreview": {
        "columns": "reject_text",
        "patient": "SELECT s.patient_id FROM diagnosis_studyimage i "
        "JOIN diagnosis_study s ON s.id = i.study_id WHERE i.id = NEW.image_id",
    },
    "diagnosis_preliminaryread": {
        "columns": "note",
        "patient": "SELECT s.patient_id FROM diagnosis_study s WHERE s.id = NEW.study_id",
    },
    "diagnosis_reportwithdrawal": {
        "columns": "reason",
        "patient": f"{_VERSION} JOIN diagnosis_reportversion v ON v.report_id = r.id "
        "WHERE v.id = NEW.version_id",
    },
}
OF_STUDIES = {
    **dict.fromkeys(
        (
            "diagnosis_studyimage", "diagnosis_report", "diagnosis_preliminaryread",
            "diagnosis_firstread", "diagnosis_studyshare", "diagnosis_order",
            "diagnosis_discrepancy", "diagnosis_delivery", "diagnosis_priorfetch",
            "diagnosis_resumableupload",
        ),
        "NEW.study_id",
    ),
    **dict.fromkeys(
        (
            "diagnosis_analysis", "diagnosis_annotation", "diagnosis_studykeyimage",
            "diagnosis_findingreview",
        ),
        _IMAGE,
    ),
    "diagnosis_reportversion": "SELECT r.study_id FROM diagnosis_report r WHERE r.id = NEW.report_id",
}


def _claim(table: str) -> str:
    signature = f"{table}_claim(uuid, interval, integer)"
    return f"""
        CREATE FUNCTION {table}_claim(p_token uuid, p_lease interval, p_max_attempts integer)
        RETURNS TABLE (claimed_id uuid, claimed_clinic_id uuid)
        LANGUAGE plpgsql VOLATILE SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp
        AS $$
        DECLARE
            moment timestamptz := statement_timestamp();
        BEGIN
            RETURN QUERY
                UPDATE public.{table} r
                SET status = 'running', token = p_token, attempts = r.attempts + 1,
                    started_at = coalesce(r.started_at, moment),
                    lease_expires_at = clock_timestamp() + p_lease
                WHERE r.id = (
                    SELECT s.id FROM public.{table} s
                    WHERE (s.status = 'queued' AND s.due_at <= moment
                           OR s.status = 'running' AND s.lease_expires_at < moment)
                      AND s.attempts < p_max_attempts
                    ORDER BY s.due_at LIMIT 1 FOR UPDATE SKIP LOCKED
                )
                RETURNING r.id, r.clinic_id;
        END $$;
        REVOKE ALL ON FUNCTION {signature} FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION {signature} TO {application_role()};
        ALTER FUNCTION {signature} OWNER TO {LOOKUP_ROLE};
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
        ('accounts', '0008_smart_services'),
        ('diagnosis', '0035_result_figures'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Erasure',
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
                ('source', models.CharField(choices=[('request', 'On request'), ('policy', "By the clinic's policy"), ('restore', 'Again after a restore')], max_length=7)),
                ('reason', models.CharField(blank=True, choices=[('person', 'The patient asks for it'), ('mistake', 'Registered or sent by mistake'), ('authority', 'An authority or a court orders it'), ('other', "Another reason, kept in the clinic's files")], max_length=9, verbose_name='reason')),
                ('emptied_at', models.DateTimeField(blank=True, null=True)),
                ('keys', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), blank=True, default=list, size=None)),
                ('studies', models.PositiveIntegerField(default=0)),
                ('objects_deleted', models.PositiveIntegerField(default=0)),
            ],
            options={
                'verbose_name': 'erasure',
                'verbose_name_plural': 'erasures',
                'ordering': ['-created_at', 'id'],
            },
        ),
        migrations.CreateModel(
            name='PatientExport',
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
                ('progress', models.PositiveSmallIntegerField(default=0)),
                ('object_key', models.CharField(blank=True, editable=False, max_length=200)),
                ('sha256', models.CharField(blank=True, editable=False, max_length=64)),
                ('size_bytes', models.PositiveBigIntegerField(default=0)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('downloads', models.PositiveIntegerField(default=0)),
            ],
            options={
                'verbose_name': 'export of a patient',
                'verbose_name_plural': 'exports of patients',
                'ordering': ['-created_at', 'id'],
            },
        ),
        migrations.CreateModel(
            name='RetentionHold',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('reason', models.TextField(max_length=500, verbose_name='reason')),
                ('released_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'verbose_name': 'legal hold',
                'verbose_name_plural': 'legal holds',
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='RetentionPolicy',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('keep_years', models.PositiveSmallIntegerField(null=True, verbose_name='years after the last visit')),
                ('minors_until_age', models.PositiveSmallIntegerField(default=28, verbose_name='at least until this age')),
                ('reports_years', models.PositiveSmallIntegerField(default=0, verbose_name='years after a signature')),
                ('grace_days', models.PositiveSmallIntegerField(default=30, verbose_name='days to look at the list')),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'verbose_name': 'retention policy',
                'verbose_name_plural': 'retention policies',
            },
        ),
        migrations.RemoveConstraint(
            model_name='reportversion',
            name='report_version_signed_is_complete',
        ),
        migrations.RemoveConstraint(
            model_name='reportversion',
            name='report_version_amendment_has_reason',
        ),
        migrations.RemoveConstraint(
            model_name='studyimage',
            name='image_photo_iff_film_photo',
        ),
        migrations.RemoveIndex(
            model_name='study',
            name='study_worklist',
        ),
        migrations.RemoveIndex(
            model_name='study',
            name='study_unread',
        ),
        migrations.AddField(
            model_name='patient',
            name='erased_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='reportversion',
            name='erased_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='study',
            name='erased_age',
            field=models.CharField(blank=True, editable=False, max_length=8),
        ),
        migrations.AddField(
            model_name='study',
            name='erased_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='studyimage',
            name='erased_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name='study',
            index=models.Index(fields=['clinic', 'rank', 'created_at', 'id'], include=('status', 'new_image_after_report', 'verdict', 'region', 'priority', 'side', 'created_by', 'erased_at'), name='study_worklist'),
        ),
        migrations.AddIndex(
            model_name='study',
            index=models.Index(condition=models.Q(('status__in', ('queued', 'running', 'ready', 'failed')), ('new_image_after_report', True), _connector='OR'), fields=['clinic', 'rank', 'created_at', 'id'], include=('status', 'new_image_after_report', 'verdict', 'region', 'priority', 'side', 'created_by', 'erased_at'), name='study_unread'),
        ),
        migrations.AddConstraint(
            model_name='patient',
            constraint=models.CheckConstraint(condition=models.Q(('erased_at__isnull', True), models.Q(('birth_date__isnull', True), ('family_name', ''), ('given_name', ''), ('search__isnull', True)), _connector='OR'), name='patient_erased_is_nobody'),
        ),
        migrations.AddConstraint(
            model_name='reportversion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('content_sha256', ''), ('pdf_key', ''), ('signed_at__isnull', True), ('signed_by__isnull', True), ('status', 'draft')), models.Q(('signed_at__isnull', False), ('signed_by__isnull', False), ('status', 'signed'), models.Q(('erased_at__isnull', False), models.Q(models.Q(('pdf_key', ''), _negated=True), models.Q(('content_sha256', ''), _negated=True)), _connector='OR')), _connector='OR'), name='report_version_signed_is_complete'),
        ),
        migrations.AddConstraint(
            model_name='reportversion',
            constraint=models.CheckConstraint(condition=models.Q(('erased_at__isnull', True), models.Q(('comparison', ''), ('content_sha256', ''), ('findings', ''), ('impression', ''), ('pdf_key', ''), ('reason', ''), ('recommendation', ''), ('technique', '')), _connector='OR'), name='report_version_erased_is_empty'),
        ),
        migrations.AddConstraint(
            model_name='reportversion',
            constraint=models.CheckConstraint(condition=models.Q(('number', 1), models.Q(('reason', ''), _negated=True), ('erased_at__isnull', False), _connector='OR'), name='report_version_amendment_has_reason'),
        ),
        migrations.AddConstraint(
            model_name='study',
            constraint=models.CheckConstraint(condition=models.Q(('erased_at__isnull', True), models.Q(('accession_number', ''), ('clinical_question', ''), ('search__isnull', True), ('study_date__isnull', True), ('study_instance_uid', '')), _connector='OR'), name='study_erased_is_nobodys'),
        ),
        migrations.AddConstraint(
            model_name='studyimage',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('capture', ''), ('photo_key', '')), models.Q(('capture', 'film_photo'), models.Q(models.Q(('photo_key', ''), _negated=True), ('erased_at__isnull', False), _connector='OR')), _connector='OR'), name='image_photo_iff_film_photo'),
        ),
        migrations.AddConstraint(
            model_name='studyimage',
            constraint=models.CheckConstraint(condition=models.Q(('erased_at__isnull', True), models.Q(('original_key', ''), ('photo_key', ''), ('rendition_keys__len', 0), ('served_key', ''), ('sop_instance_uid', ''), ('thumbnail_key', '')), _connector='OR'), name='image_erased_has_no_objects'),
        ),
        migrations.AddField(
            model_name='erasure',
            name='clinic',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic'),
        ),
        migrations.AddField(
            model_name='erasure',
            name='patient',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='erasures', to='diagnosis.patient'),
        ),
        migrations.AddField(
            model_name='erasure',
            name='requested_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='patientexport',
            name='clinic',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic'),
        ),
        migrations.AddField(
            model_name='patientexport',
            name='patient',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='exports', to='diagnosis.patient'),
        ),
        migrations.AddField(
            model_name='patientexport',
            name='requested_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='retentionhold',
            name='clinic',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic'),
        ),
        migrations.AddField(
            model_name='retentionhold',
            name='patient',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='diagnosis.patient'),
        ),
        migrations.AddField(
            model_name='retentionhold',
            name='placed_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='retentionhold',
            name='released_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='retentionpolicy',
            name='clinic',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic'),
        ),
        migrations.AddField(
            model_name='retentionpolicy',
            name='updated_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddIndex(
            model_name='erasure',
            index=models.Index(condition=models.Q(('status', 'queued')), fields=['priority', 'clinic', 'due_at'], name='erasure_claim'),
        ),
        migrations.AddIndex(
            model_name='erasure',
            index=models.Index(condition=models.Q(('status', 'running')), fields=['clinic'], name='erasure_running'),
        ),
        migrations.AddIndex(
            model_name='erasure',
            index=models.Index(fields=['clinic', '-created_at'], name='erasure_newest'),
        ),
        migrations.AddConstraint(
            model_name='erasure',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['queued', 'running', 'succeeded', 'failed', 'cancelled'])), name='erasure_status_known'),
        ),
        migrations.AddConstraint(
            model_name='erasure',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('status__in', ('queued', 'running'))), models.Q(('finished_at__isnull', False), ('status__in', ['succeeded', 'failed', 'cancelled'])), _connector='OR'), name='erasure_finished_iff_final'),
        ),
        migrations.AddConstraint(
            model_name='erasure',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('lease_expires_at__isnull', False), ('status', 'running'), ('token__isnull', False)), models.Q(models.Q(('status', 'running'), _negated=True), ('lease_expires_at__isnull', True)), _connector='OR'), name='erasure_leased_iff_running'),
        ),
        migrations.AddConstraint(
            model_name='erasure',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'failed'), models.Q(('error_code', ''), _negated=True)), models.Q(('status', 'failed'), _negated=True), _connector='OR'), name='erasure_code_iff_failed'),
        ),
        migrations.AddConstraint(
            model_name='erasure',
            constraint=models.CheckConstraint(condition=models.Q(('source__in', ['request', 'policy', 'restore'])), name='erasure_source_known'),
        ),
        migrations.AddConstraint(
            model_name='erasure',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('source', 'request'), _negated=True), ('reason__in', ['person', 'mistake', 'authority', 'other']), _connector='OR'), name='erasure_request_has_reason'),
        ),
        migrations.AddConstraint(
            model_name='erasure',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ['queued', 'running'])), fields=('patient',), name='erasure_one_open'),
        ),
        migrations.AddConstraint(
            model_name='erasure',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'succeeded'), _negated=True), models.Q(('emptied_at__isnull', False), ('keys__len', 0)), _connector='OR'), name='erasure_succeeded_is_whole'),
        ),
        migrations.AddIndex(
            model_name='patientexport',
            index=models.Index(condition=models.Q(('status', 'queued')), fields=['priority', 'clinic', 'due_at'], name='patient_export_claim'),
        ),
        migrations.AddIndex(
            model_name='patientexport',
            index=models.Index(condition=models.Q(('status', 'running')), fields=['clinic'], name='patient_export_running'),
        ),
        migrations.AddIndex(
            model_name='patientexport',
            index=models.Index(condition=models.Q(('object_key', ''), _negated=True), fields=['expires_at'], name='patient_export_expires'),
        ),
        migrations.AddConstraint(
            model_name='patientexport',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['queued', 'running', 'succeeded', 'failed', 'cancelled'])), name='patient_export_status_known'),
        ),
        migrations.AddConstraint(
            model_name='patientexport',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('status__in', ('queued', 'running'))), models.Q(('finished_at__isnull', False), ('status__in', ['succeeded', 'failed', 'cancelled'])), _connector='OR'), name='patient_export_finished_iff_final'),
        ),
        migrations.AddConstraint(
            model_name='patientexport',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('lease_expires_at__isnull', False), ('status', 'running'), ('token__isnull', False)), models.Q(models.Q(('status', 'running'), _negated=True), ('lease_expires_at__isnull', True)), _connector='OR'), name='patient_export_leased_iff_running'),
        ),
        migrations.AddConstraint(
            model_name='patientexport',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'failed'), models.Q(('error_code', ''), _negated=True)), models.Q(('status', 'failed'), _negated=True), _connector='OR'), name='patient_export_code_iff_failed'),
        ),
        migrations.AddConstraint(
            model_name='patientexport',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ['queued', 'running'])), fields=('patient',), name='patient_export_one_open'),
        ),
        migrations.AddConstraint(
            model_name='patientexport',
            constraint=models.CheckConstraint(condition=models.Q(('progress__lte', 100)), name='patient_export_progress_is_percent'),
        ),
        migrations.AddConstraint(
            model_name='retentionhold',
            constraint=models.UniqueConstraint(condition=models.Q(('released_at__isnull', True)), fields=('patient',), name='retention_hold_one_open'),
        ),
        migrations.AddConstraint(
            model_name='retentionhold',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('released_at__isnull', True), ('released_by__isnull', True)), models.Q(('released_at__isnull', False), ('released_by__isnull', False)), _connector='OR'), name='retention_hold_released_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='retentionpolicy',
            constraint=models.UniqueConstraint(fields=('clinic',), name='retention_policy_once'),
        ),
        migrations.AddConstraint(
            model_name='retentionpolicy',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('keep_years__isnull', True), models.Q(('keep_years__gte', 1), ('keep_years__lte', 100)), _connector='OR'), ('minors_until_age__lte', 100), ('reports_years__lte', 100), ('grace_days__gte', 7), ('grace_days__lte', 365)), name='retention_policy_in_bounds'),
        ),
        *(
            migrations.RunSQL(enable_row_security(table), disable_row_security(table))
            for table in TABLES
        ),
        *(
            migrations.RunSQL(clinic_references(table, **columns), migrations.RunSQL.noop)
            for table, columns in TABLES.items()
            if columns
        ),
        *(
            migrations.RunSQL(
                allow_lookup(
                    table,
                    columns=f"{STATES}, token",
                    update="status, attempts, token, started_at, lease_expires_at",
                ),
                migrations.RunSQL.noop,
            )
            for table in JOBS
        ),
        *(
            migrations.RunSQL(_claim(table), f"DROP FUNCTION {table}_claim(uuid, interval, integer)")
            for table in JOBS
        ),
        migrations.RunSQL(_overview(*KINDS, "erasure", "patientexport"), _overview(*KINDS)),
        *(
            migrations.RunSQL(emptied_when_erased(table, **told), migrations.RunSQL.noop)
            for table, told in EMPTIED.items()
        ),
        *(
            migrations.RunSQL(nothing_after_erasure(table, study=study), migrations.RunSQL.noop)
            for table, study in OF_STUDIES.items()
        ),
    ]
