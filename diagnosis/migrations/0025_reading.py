"""Reading: first answers, second readers, macros, discrepancies; behind the wall, in their clinic."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


from accounts.row_security import (
    allow_lookup,
    append_only,
    application_role,
    clinic_references,
    clinic_target,
    disable_row_security,
    enable_row_security,
    LOOKUP_ROLE,
)

# table: what it points to
TABLES = {
    "diagnosis_textmacro": {},
    "diagnosis_draftcopy": {"version_id": "diagnosis_reportversion"},
    "diagnosis_secondreading": {"version_id": "diagnosis_reportversion"},
    "diagnosis_reportwithdrawal": {"version_id": "diagnosis_reportversion"},
    "diagnosis_firstread": {"study_id": "diagnosis_study"},
    "diagnosis_mindchange": {"first_id": "diagnosis_firstread"},
    "diagnosis_preliminaryread": {"study_id": "diagnosis_study"},
    "diagnosis_discrepancy": {"study_id": "diagnosis_study"},
    "diagnosis_recalltask": {"discrepancy_id": "diagnosis_discrepancy"},
    "diagnosis_recallcontact": {"task_id": "diagnosis_recalltask"},
}
NEVER_CHANGED = (
    "diagnosis_reportwithdrawal",
    "diagnosis_firstread",
    "diagnosis_mindchange",
    "diagnosis_preliminaryread",
    "diagnosis_recallcontact",
)
TARGETS = (
    "diagnosis_reportversion",
    "diagnosis_firstread",
    "diagnosis_discrepancy",
    "diagnosis_recalltask",
)
_SIGNATURE = "diagnosis_report_verify(text)"


def _verify(returned: str, selected: str) -> str:
    return f"""
        DROP FUNCTION {_SIGNATURE};
        CREATE FUNCTION diagnosis_report_verify(p_sha256 text)
        RETURNS TABLE (signed_at timestamptz, number smallint, superseded boolean{returned})
        LANGUAGE sql STABLE SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp
        AS $$
            SELECT v.signed_at, v.number, EXISTS (
                SELECT FROM public.diagnosis_reportversion n
                WHERE n.report_id = v.report_id AND n.status = 'signed' AND n.number > v.number
            ){selected}
            FROM public.diagnosis_reportversion v
            WHERE v.content_sha256 = p_sha256 AND v.status = 'signed'
        $$;
        REVOKE ALL ON FUNCTION {_SIGNATURE} FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION {_SIGNATURE} TO {application_role()};
        ALTER FUNCTION {_SIGNATURE} OWNER TO {LOOKUP_ROLE};
    """


WITHDRAWN = """, EXISTS (
                SELECT FROM public.diagnosis_reportwithdrawal w WHERE w.version_id = v.id
            )"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_reading_rules'),
        ('diagnosis', '0024_share_images'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='reportversion',
            name='second_signer',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='reportversion',
            name='second_signer_name',
            field=models.CharField(blank=True, max_length=250),
        ),
        migrations.CreateModel(
            name='Discrepancy',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('kind', models.CharField(choices=[('ai_report', 'AI and signed report'), ('readers', 'First and second reader'), ('preliminary', 'Preliminary and final report')], max_length=11)),
                ('version_number', models.PositiveSmallIntegerField()),
                ('first', models.CharField(max_length=14)),
                ('second', models.CharField(max_length=14)),
                ('remark', models.TextField(blank=True, max_length=2000)),
                ('severity', models.CharField(choices=[('unrated', 'Not rated yet'), ('minor', 'Minor'), ('major', 'Matters for the patient')], default='unrated', max_length=7)),
                ('resolution', models.TextField(blank=True, max_length=2000, verbose_name='resolution')),
                ('resolved_at', models.DateTimeField(blank=True, null=True)),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('resolved_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('study', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='discrepancies', to='diagnosis.study')),
            ],
            options={
                'verbose_name': 'discrepancy',
                'verbose_name_plural': 'discrepancies',
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='DraftCopy',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('tab', models.UUIDField(default=uuid.uuid4)),
                ('texts', models.JSONField(default=dict)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='copies', to='diagnosis.reportversion')),
            ],
            options={
                'ordering': ['-updated_at'],
            },
        ),
        migrations.CreateModel(
            name='FirstRead',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('answer', models.CharField(choices=[('yes', 'Fracture'), ('no', 'No fracture'), ('unsure', 'Unsure')], max_length=6)),
                ('places', models.JSONField(blank=True, default=list)),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('reader', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('study', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='first_reads', to='diagnosis.study')),
            ],
            options={
                'verbose_name': 'first read',
                'verbose_name_plural': 'first reads',
            },
        ),
        migrations.CreateModel(
            name='MindChange',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('version_number', models.PositiveSmallIntegerField()),
                ('final', models.CharField(choices=[('yes', 'Fracture'), ('no', 'No fracture'), ('unsure', 'Unsure')], max_length=6)),
                ('changed', models.BooleanField()),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('first', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='finals', to='diagnosis.firstread')),
            ],
        ),
        migrations.CreateModel(
            name='PreliminaryRead',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('answer', models.CharField(choices=[('yes', 'Fracture'), ('no', 'No fracture'), ('unsure', 'Unsure')], max_length=6, verbose_name='answer')),
                ('note', models.TextField(blank=True, max_length=1000, verbose_name='note')),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('study', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='preliminary_reads', to='diagnosis.study')),
            ],
            options={
                'verbose_name': 'preliminary read',
                'verbose_name_plural': 'preliminary reads',
                'ordering': ['created_at'],
            },
        ),
        migrations.CreateModel(
            name='RecallTask',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('outcome', models.CharField(blank=True, choices=[('informed', 'Patient informed, no visit needed'), ('returns', 'Patient comes back'), ('treated', 'Already treated'), ('unreachable', 'Not reachable; letter sent')], max_length=11)),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('closed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('discrepancy', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='recall', to='diagnosis.discrepancy')),
                ('opened_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'recall',
                'verbose_name_plural': 'recalls',
                'ordering': ['created_at'],
            },
        ),
        migrations.CreateModel(
            name='RecallContact',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('contacted_at', models.DateTimeField(verbose_name='when')),
                ('way', models.CharField(choices=[('phone', 'Telephone'), ('letter', 'Letter'), ('message', 'Message'), ('in_person', 'In person'), ('other_doctor', 'Through another doctor')], max_length=12, verbose_name='how')),
                ('result', models.CharField(choices=[('reached', 'Reached'), ('not_reached', 'Not reached'), ('sent', 'Sent, no answer yet')], max_length=11, verbose_name='result')),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('task', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='contacts', to='diagnosis.recalltask')),
            ],
            options={
                'verbose_name': 'contact',
                'verbose_name_plural': 'contacts',
                'ordering': ['contacted_at', 'created_at'],
            },
        ),
        migrations.CreateModel(
            name='ReportWithdrawal',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('reason', models.TextField(max_length=2000, verbose_name='reason')),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('version', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='withdrawal', to='diagnosis.reportversion')),
            ],
            options={
                'verbose_name': 'withdrawal',
                'verbose_name_plural': 'withdrawals',
            },
        ),
        migrations.CreateModel(
            name='SecondReading',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('revision', models.PositiveIntegerField()),
                ('state', models.CharField(choices=[('awaiting', 'Awaiting second reader'), ('agreed', 'Agreed'), ('disagreed', 'Disagreed'), ('withdrawn', 'Taken back')], default='awaiting', max_length=9)),
                ('remark', models.TextField(blank=True, max_length=2000, verbose_name='remark')),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('first_reader', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('reader', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='second_readings', to='diagnosis.reportversion')),
            ],
            options={
                'verbose_name': 'second reading',
                'verbose_name_plural': 'second readings',
                'ordering': ['created_at'],
            },
        ),
        migrations.CreateModel(
            name='TextMacro',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('name', models.CharField(max_length=20, validators=[django.core.validators.RegexValidator('^[\\w-]+$', 'Letters, digits, - and _ only.')], verbose_name='name')),
                ('text', models.TextField(max_length=2000, verbose_name='text')),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('owner', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'text macro',
                'verbose_name_plural': 'text macros',
                'ordering': ['name'],
            },
        ),
        migrations.AddIndex(
            model_name='discrepancy',
            index=models.Index(condition=models.Q(('resolved_at__isnull', True)), fields=['clinic', '-created_at'], name='discrepancy_open'),
        ),
        migrations.AddIndex(
            model_name='discrepancy',
            index=models.Index(fields=['study'], name='discrepancy_of_study'),
        ),
        migrations.AddConstraint(
            model_name='discrepancy',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['ai_report', 'readers', 'preliminary'])), name='discrepancy_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='discrepancy',
            constraint=models.CheckConstraint(condition=models.Q(('severity__in', ['unrated', 'minor', 'major'])), name='discrepancy_severity_known'),
        ),
        migrations.AddConstraint(
            model_name='discrepancy',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('resolution', ''), ('resolved_at__isnull', True), ('resolved_by__isnull', True)), models.Q(('resolved_at__isnull', False), ('resolved_by__isnull', False), models.Q(('resolution', ''), _negated=True), models.Q(('severity', 'unrated'), _negated=True)), _connector='OR'), name='discrepancy_resolved_is_complete'),
        ),
        migrations.AddConstraint(
            model_name='draftcopy',
            constraint=models.UniqueConstraint(fields=('version', 'author', 'tab'), name='draft_copy_one_each'),
        ),
        migrations.AddConstraint(
            model_name='firstread',
            constraint=models.UniqueConstraint(fields=('study', 'reader'), name='first_read_once'),
        ),
        migrations.AddConstraint(
            model_name='firstread',
            constraint=models.CheckConstraint(condition=models.Q(('answer__in', ['yes', 'no', 'unsure'])), name='first_read_answer_known'),
        ),
        migrations.AddConstraint(
            model_name='mindchange',
            constraint=models.UniqueConstraint(fields=('first', 'version_number'), name='mind_change_once'),
        ),
        migrations.AddConstraint(
            model_name='mindchange',
            constraint=models.CheckConstraint(condition=models.Q(('final__in', ['yes', 'no', 'unsure'])), name='mind_change_answer_known'),
        ),
        migrations.AddConstraint(
            model_name='preliminaryread',
            constraint=models.CheckConstraint(condition=models.Q(('answer__in', ['yes', 'no', 'unsure'])), name='preliminary_answer_known'),
        ),
        migrations.AddConstraint(
            model_name='recalltask',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('closed_at__isnull', True), ('closed_by__isnull', True), ('outcome', '')), models.Q(('closed_at__isnull', False), ('closed_by__isnull', False), models.Q(('outcome', ''), _negated=True)), _connector='OR'), name='recall_closed_is_complete'),
        ),
        migrations.AddConstraint(
            model_name='secondreading',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['awaiting', 'agreed', 'disagreed', 'withdrawn'])), name='second_reading_state_known'),
        ),
        migrations.AddConstraint(
            model_name='secondreading',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'awaiting')), fields=('version',), name='second_reading_one_open'),
        ),
        migrations.AddConstraint(
            model_name='secondreading',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('reader__isnull', True), ('state', 'awaiting')), models.Q(('decided_at__isnull', False), ('state', 'withdrawn')), models.Q(('decided_at__isnull', False), ('reader__isnull', False), ('state__in', ['agreed', 'disagreed'])), _connector='OR'), name='second_reading_decided_is_complete'),
        ),
        migrations.AddConstraint(
            model_name='textmacro',
            constraint=models.UniqueConstraint(condition=models.Q(('owner__isnull', True)), fields=('clinic', 'name'), name='macro_once_per_clinic'),
        ),
        migrations.AddConstraint(
            model_name='textmacro',
            constraint=models.UniqueConstraint(condition=models.Q(('owner__isnull', False)), fields=('clinic', 'owner', 'name'), name='macro_once_per_person'),
        ),
        *(
            migrations.RunSQL(enable_row_security(table), disable_row_security(table))
            for table in TABLES
        ),
        *(migrations.RunSQL(append_only(table), migrations.RunSQL.noop) for table in NEVER_CHANGED),
        *(migrations.RunSQL(clinic_target(table), migrations.RunSQL.noop) for table in TARGETS),
        *(
            migrations.RunSQL(clinic_references(table, **columns), migrations.RunSQL.noop)
            for table, columns in TABLES.items()
            if columns
        ),
        # A printed report whose number is asked for must say that it was withdrawn.
        migrations.RunSQL(
            allow_lookup("diagnosis_reportwithdrawal", columns="version_id")
            + "GRANT SELECT (id) ON diagnosis_reportversion TO " + LOOKUP_ROLE,
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(_verify(", withdrawn boolean", WITHDRAWN), _verify("", "")),
    ]
