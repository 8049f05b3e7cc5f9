"""Memberships that end by themselves; equal names of clinics."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_audit_is_append_only")]

    operations = [
        migrations.AlterField(
            model_name="clinic",
            name="name",
            field=models.CharField(max_length=200, verbose_name="name"),
        ),
        migrations.AddField(
            model_name="membership",
            name="expires_at",
            field=models.DateTimeField(
                blank=True, null=True, verbose_name="break-glass access until"
            ),
        ),
    ]
