"""Decisions of doctors about findings: append-only, behind the wall, within their clinic."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from accounts.row_security import (
    append_only,
    clinic_references,
    clinic_target,
    disable_row_security,
    enable_row_security,
)

TABLE = "diagnosis_findingreview"


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_break_glass_and_clinic_names'),
        ('diagnosis', '0009_references_stay_in_the_clinic'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='FindingReview',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('uid', models.UUIDField(default=uuid.uuid4, editable=False)),
                ('number', models.PositiveIntegerField(default=1)),
                ('decision', models.CharField(choices=[('accepted', 'Accepted'), ('rejected', 'Rejected'), ('moved', 'Moved'), ('added', 'Added'), ('withdrawn', 'Taken back')], max_length=9)),
                ('x', models.FloatField()),
                ('y', models.FloatField()),
                ('width', models.FloatField()),
                ('height', models.FloatField()),
                ('fracture_type', models.CharField(blank=True, choices=[('transverse', 'Transverse'), ('oblique', 'Oblique'), ('spiral', 'Spiral'), ('oblique_spiral', 'Oblique or spiral'), ('comminuted', 'Comminuted'), ('impacted', 'Impacted'), ('avulsion', 'Avulsion'), ('fissure', 'Fissure'), ('torus', 'Torus (buckle)'), ('greenstick', 'Greenstick'), ('physeal', 'Growth plate'), ('stress', 'Stress'), ('other', 'Other')], max_length=20, verbose_name='type')),
                ('displacement', models.CharField(blank=True, choices=[('none', 'Not displaced'), ('displaced', 'Displaced')], max_length=20, verbose_name='displacement')),
                ('severity', models.CharField(blank=True, choices=[('mild', 'Mild'), ('moderate', 'Moderate'), ('severe', 'Severe')], max_length=12, verbose_name='severity')),
                ('bone', models.CharField(blank=True, choices=[('clavicle', 'Clavicle'), ('scapula', 'Scapula'), ('humerus', 'Humerus'), ('radius', 'Radius'), ('ulna', 'Ulna'), ('scaphoid', 'Scaphoid'), ('carpal', 'Other carpal bone'), ('metacarpal', 'Metacarpal'), ('finger', 'Finger'), ('pelvis', 'Pelvis'), ('femur', 'Femur'), ('patella', 'Patella'), ('tibia', 'Tibia'), ('fibula', 'Fibula'), ('talus', 'Talus'), ('calcaneus', 'Calcaneus'), ('tarsal', 'Other tarsal bone'), ('metatarsal', 'Metatarsal'), ('toe', 'Toe'), ('other', 'Other bone')], max_length=12, verbose_name='bone')),
                ('laterality', models.CharField(blank=True, choices=[('left', 'Left'), ('right', 'Right')], max_length=5, verbose_name='side')),
                ('reject_reason', models.CharField(blank=True, choices=[('normal_variant', 'Normal variant'), ('growth_plate', 'Growth plate'), ('old_fracture', 'Old fracture'), ('artefact', 'Overlap or artefact'), ('not_a_fracture', 'Not a fracture'), ('other', 'Other')], max_length=14, verbose_name='reason')),
                ('reject_text', models.TextField(blank=True, max_length=500, verbose_name='remark')),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('finding', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reviews', to='diagnosis.finding')),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='finding_reviews', to='diagnosis.studyimage')),
            ],
            options={
                'verbose_name': 'finding review',
                'verbose_name_plural': 'finding reviews',
                'ordering': ['number'],
                'indexes': [models.Index(fields=['image', 'uid', '-number'], name='finding_review_newest'), models.Index(fields=['finding'], name='finding_review_of_finding')],
                'constraints': [models.UniqueConstraint(fields=('clinic', 'uid', 'number'), name='finding_review_numbered'), models.CheckConstraint(condition=models.Q(('decision__in', ['accepted', 'rejected', 'moved', 'added', 'withdrawn'])), name='finding_review_decision_known'), models.CheckConstraint(condition=models.Q(models.Q(('decision__in', ['added', 'withdrawn']), ('finding__isnull', True)), models.Q(('decision__in', ['accepted', 'rejected', 'moved', 'withdrawn']), ('finding__isnull', False)), _connector='OR'), name='finding_review_added_iff_no_ai_row'), models.CheckConstraint(condition=models.Q(models.Q(('decision', 'rejected'), models.Q(('reject_reason', ''), _negated=True)), models.Q(models.Q(('decision', 'rejected'), _negated=True), ('reject_reason', ''), ('reject_text', '')), _connector='OR'), name='finding_review_reason_iff_rejected'), models.CheckConstraint(condition=models.Q(('height__gt', 0), ('width__gt', 0), ('x__gte', 0), ('y__gte', 0)), name='finding_review_box_has_area')],
            },
        ),
        migrations.AddField(
            model_name='reportversion',
            name='reviewed_findings',
            field=models.JSONField(blank=True, help_text='What was decided about each finding when this was signed', null=True),
        ),
        migrations.RunSQL(enable_row_security(TABLE), disable_row_security(TABLE)),
        migrations.RunSQL(append_only(TABLE), migrations.RunSQL.noop),
        migrations.RunSQL(clinic_target("diagnosis_finding"), migrations.RunSQL.noop),
        migrations.RunSQL(
            clinic_references(
                TABLE, image_id="diagnosis_studyimage", finding_id="diagnosis_finding"
            ),
            migrations.RunSQL.noop,
        ),
    ]
