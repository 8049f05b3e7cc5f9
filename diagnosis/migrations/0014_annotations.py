"""Measurements, notes and key images: behind the wall, within their clinic."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from accounts.row_security import clinic_references, disable_row_security, enable_row_security

TABLES = ("diagnosis_annotation", "diagnosis_studykeyimage")


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_break_glass_and_clinic_names'),
        ('diagnosis', '0013_deliveries'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Annotation',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('kind', models.CharField(choices=[('length', 'Length'), ('angle', 'Angle'), ('cobb', 'Cobb angle'), ('arrow', 'Arrow'), ('text', 'Note'), ('calibration', 'Calibration')], max_length=11)),
                ('frame', models.PositiveIntegerField(default=0)),
                ('points', models.JSONField()),
                ('text', models.CharField(blank=True, max_length=500)),
                ('millimetres', models.FloatField(blank=True, null=True)),
                ('revision', models.PositiveIntegerField(default=1)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='annotations', to='diagnosis.studyimage')),
            ],
            options={
                'verbose_name': 'annotation',
                'verbose_name_plural': 'annotations',
                'ordering': ['created_at', 'id'],
                'indexes': [models.Index(fields=['image', 'author'], name='annotation_of_reader')],
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['length', 'angle', 'cobb', 'arrow', 'text', 'calibration'])), name='annotation_kind_known'), models.CheckConstraint(condition=models.Q(models.Q(('kind', 'calibration'), ('millimetres__gt', 0)), models.Q(models.Q(('kind', 'calibration'), _negated=True), ('millimetres__isnull', True)), _connector='OR'), name='annotation_millimetres_iff_calibration'), models.UniqueConstraint(condition=models.Q(('kind', 'calibration')), fields=('image', 'author'), name='annotation_one_calibration')],
            },
        ),
        migrations.CreateModel(
            name='StudyKeyImage',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('caption', models.CharField(blank=True, max_length=200, verbose_name='caption')),
                ('object_key', models.CharField(editable=False, max_length=200)),
                ('sha256', models.CharField(editable=False, max_length=64)),
                ('width', models.PositiveIntegerField()),
                ('height', models.PositiveIntegerField()),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='key_images', to='diagnosis.studyimage')),
            ],
            options={
                'verbose_name': 'key image',
                'verbose_name_plural': 'key images',
                'ordering': ['created_at', 'id'],
                'indexes': [models.Index(fields=['image'], name='key_image_of_image')],
            },
        ),
        *(
            migrations.RunSQL(enable_row_security(table), disable_row_security(table))
            for table in TABLES
        ),
        *(
            migrations.RunSQL(
                clinic_references(table, image_id="diagnosis_studyimage"), migrations.RunSQL.noop
            )
            for table in TABLES
        ),
    ]
