"""Patients by birth date, to find records of one person."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_break_glass_and_clinic_names'),
        ('diagnosis', '0020_model_recalls_are_delivered'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='patient',
            index=models.Index(condition=models.Q(('merged_into__isnull', True)), fields=['clinic', 'birth_date'], name='patient_born'),
        ),
    ]
