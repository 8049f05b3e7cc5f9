"""Recall notices and consents to training sets, behind the walls between clinics."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from accounts.row_security import disable_row_security, enable_row_security

TABLES = ("diagnosis_recallnotice", "diagnosis_trainingconsent")


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_break_glass_and_clinic_names'),
        ('diagnosis', '0018_alerts_and_shares'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='RecallNotice',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('results', models.PositiveIntegerField()),
                ('reports', models.PositiveIntegerField()),
                ('mailed_at', models.DateTimeField(blank=True, null=True)),
                ('seen_at', models.DateTimeField(blank=True, null=True)),
                ('change', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='notices', to='diagnosis.modelchange')),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'recall notice',
                'verbose_name_plural': 'recall notices',
                'ordering': ['-created_at'],
                'indexes': [models.Index(condition=models.Q(('seen_at', None)), fields=['user'], name='recall_notice_unseen')],
                'constraints': [models.UniqueConstraint(fields=('clinic', 'change', 'user'), name='recall_notice_once')],
            },
        ),
        migrations.CreateModel(
            name='TrainingConsent',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('withdrawn_at', models.DateTimeField(blank=True, null=True)),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('granted_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('withdrawn_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'consent to training sets',
                'verbose_name_plural': 'consents to training sets',
                'ordering': ['-created_at'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('withdrawn_at__isnull', True)), fields=('clinic',), name='training_consent_one_open'), models.CheckConstraint(condition=models.Q(models.Q(('withdrawn_at__isnull', True), ('withdrawn_by__isnull', True)), models.Q(('withdrawn_at__isnull', False), ('withdrawn_by__isnull', False)), _connector='OR'), name='training_consent_withdrawn_by_someone')],
            },
        ),
        *(
            migrations.RunSQL(enable_row_security(table), disable_row_security(table))
            for table in TABLES
        ),
    ]
