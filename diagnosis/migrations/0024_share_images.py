"""Second-opinion links show what their sender had looked at."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('diagnosis', '0023_devices'),
    ]

    operations = [
        migrations.AddField(
            model_name='studyshare',
            name='image_ids',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), default=list, editable=False, size=None),
        ),
    ]
