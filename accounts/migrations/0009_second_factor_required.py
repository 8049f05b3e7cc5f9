"""A clinic may ask everybody for a second factor."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0008_smart_services"),
    ]

    operations = [
        migrations.AddField(
            model_name="clinic",
            name="second_factor_required",
            field=models.BooleanField(
                default=False,
                help_text="Whoever has none reaches only the page that sets one up.",
                verbose_name="everybody needs a second factor",
            ),
        ),
    ]
