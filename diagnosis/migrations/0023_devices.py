"""Devices: who may send images in, the wall around them, and how the listener recognises one."""

import django.db.models.deletion
import uuid
from django.db import migrations, models

from accounts.row_security import (
    LOOKUP_ROLE,
    allow_lookup,
    application_role,
    clinic_target,
    disable_row_security,
    enable_row_security,
)

# A connection names its device, not its clinic. The caller learns two ids, and only when title and
# certificate fit, or title and address of a device that has no certificate.
FIND = f"""
    CREATE FUNCTION diagnosis_device_find(p_ae_title text, p_address inet, p_certificate text)
    RETURNS TABLE (device_id uuid, clinic_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT d.id, d.clinic_id FROM public.diagnosis_device d
        WHERE d.is_enabled AND d.ae_title = p_ae_title
          AND d.certificate_sha256 = p_certificate
          AND (d.address IS NULL OR d.address = p_address)
    $$;
    REVOKE ALL ON FUNCTION diagnosis_device_find(text, inet, text) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION diagnosis_device_find(text, inet, text) TO {application_role()};
    ALTER FUNCTION diagnosis_device_find(text, inet, text) OWNER TO {LOOKUP_ROLE};
"""  # noqa: S608 - names come from settings


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_break_glass_and_clinic_names'),
        ('diagnosis', '0022_dicom_of_images'),
    ]

    operations = [
        migrations.AddField(
            model_name='study',
            name='study_date',
            field=models.DateField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='study',
            name='study_time',
            field=models.TimeField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name='Device',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('name', models.CharField(max_length=100, verbose_name='name')),
                ('ae_title', models.CharField(max_length=16, verbose_name='its AE title')),
                ('address', models.GenericIPAddressField(blank=True, null=True, unpack_ipv4=True, verbose_name='IP address')),
                ('certificate_sha256', models.CharField(blank=True, max_length=64, verbose_name='SHA-256 of its certificate')),
                ('is_enabled', models.BooleanField(default=True, verbose_name='in use')),
                ('last_seen_at', models.DateTimeField(blank=True, null=True)),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.clinic')),
                ('membership', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.membership')),
            ],
            options={
                'verbose_name': 'device',
                'verbose_name_plural': 'devices',
                'ordering': ['name', 'id'],
                'constraints': [models.UniqueConstraint(fields=('clinic', 'name'), name='device_name_once'), models.UniqueConstraint(condition=models.Q(('certificate_sha256', ''), _negated=True), fields=('ae_title', 'certificate_sha256'), name='device_certificate_once'), models.UniqueConstraint(condition=models.Q(('certificate_sha256', '')), fields=('ae_title', 'address'), name='device_address_once'), models.CheckConstraint(condition=models.Q(models.Q(('certificate_sha256', ''), _negated=True), ('address__isnull', False), _connector='OR'), name='device_is_recognisable')],
            },
        ),
        migrations.RunSQL(
            enable_row_security("diagnosis_device"), disable_row_security("diagnosis_device")
        ),
        migrations.RunSQL(clinic_target("diagnosis_device"), migrations.RunSQL.noop),
        migrations.RunSQL(
            allow_lookup(
                "diagnosis_device",
                columns="id, clinic_id, ae_title, address, certificate_sha256, is_enabled",
            ),
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(FIND, "DROP FUNCTION diagnosis_device_find(text, inet, text)"),
    ]
