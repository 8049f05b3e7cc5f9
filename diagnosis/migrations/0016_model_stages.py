"""Several active versions with disjoint coverage, shadow versions, and the log of changes."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q

from accounts.row_security import append_only

# Older rows were made for these; their files are registered again by ``model_sync``.
MODALITIES = "ARRAY['CR', 'DX', 'SC', 'RG', 'photo']::varchar(16)[]"


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("diagnosis", "0015_worklist"),
    ]

    operations = [
        migrations.AddField(
            "modelversion",
            "stage",
            models.CharField(
                choices=[
                    ("registered", "Not in use"),
                    ("shadow", "Shadow"),
                    ("active", "Active"),
                ],
                default="registered",
                max_length=10,
            ),
        ),
        migrations.AddField(
            "modelversion",
            "card",
            models.TextField(
                blank=True,
                default="",
                help_text="Markdown, never trusted",
                verbose_name="model card",
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            "modelversion",
            "modalities",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=16),
                default=list,
                help_text="DICOM modalities; photo is a picture file that names none",
                size=None,
            ),
        ),
        migrations.AddField(
            "modelversion",
            "body_regions",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=12),
                blank=True,
                default=list,
                help_text="Body parts of the request; empty covers all",
                size=None,
            ),
        ),
        migrations.AddField(
            "modelversion",
            "age_min",
            models.PositiveSmallIntegerField(blank=True, help_text="Years, included", null=True),
        ),
        migrations.AddField(
            "modelversion",
            "age_max",
            models.PositiveSmallIntegerField(blank=True, help_text="Years, included", null=True),
        ),
        migrations.AddField(
            "modelversion", "recalled_at", models.DateTimeField(blank=True, null=True)
        ),
        migrations.RunSQL(
            f"UPDATE diagnosis_modelversion SET modalities = {MODALITIES}, "
            "stage = CASE WHEN is_active THEN 'active' ELSE 'registered' END",
            migrations.RunSQL.noop,
        ),
        migrations.RemoveConstraint("modelversion", "model_version_one_active"),
        migrations.RemoveField("modelversion", "is_active"),
        migrations.AddConstraint(
            "modelversion",
            models.UniqueConstraint(
                condition=Q(stage="active"),
                fields=("name",),
                name="model_version_one_active_a_name",
            ),
        ),
        migrations.AddConstraint(
            "modelversion",
            models.CheckConstraint(
                condition=Q(stage__in=["registered", "shadow", "active"]),
                name="model_version_stage_known",
            ),
        ),
        migrations.AddConstraint(
            "modelversion",
            models.CheckConstraint(
                condition=Q(recalled_at__isnull=True) | Q(stage="registered"),
                name="model_version_recalled_is_out_of_use",
            ),
        ),
        migrations.AddConstraint(
            "modelversion",
            models.CheckConstraint(
                condition=Q(age_min__isnull=True)
                | Q(age_max__isnull=True)
                | Q(age_min__lte=F("age_max")),
                name="model_version_ages_ordered",
            ),
        ),
        migrations.CreateModel(
            name="ModelChange",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("register", "Registered"),
                            ("shadow", "Shadow started"),
                            ("unshadow", "Shadow ended"),
                            ("activate", "Activated"),
                            ("rollback", "Rolled back"),
                            ("recall", "Recalled"),
                        ],
                        max_length=10,
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=500)),
                (
                    "replaced",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(), blank=True, default=list, size=None
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "actor",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "model_version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="changes",
                        to="diagnosis.modelversion",
                    ),
                ),
                (
                    "undoes",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="undone_by",
                        to="diagnosis.modelchange",
                    ),
                ),
            ],
            options={
                "verbose_name": "model change",
                "verbose_name_plural": "model changes",
                "ordering": ["-id"],
            },
        ),
        migrations.RunSQL(append_only("diagnosis_modelchange"), migrations.RunSQL.noop),
    ]
