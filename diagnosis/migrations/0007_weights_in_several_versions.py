"""The same weights with other thresholds or calibration are another version."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0006_report_verification")]

    operations = [
        migrations.AlterField(
            "modelversion", "sha256", models.CharField(db_index=True, max_length=64)
        ),
    ]
