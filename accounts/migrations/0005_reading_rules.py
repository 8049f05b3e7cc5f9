"""Who reads before the AI, who needs a second reader, and what was attested about the use."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


from accounts.row_security import append_only, disable_row_security, enable_row_security

TABLE = "accounts_useattestation"


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_smart_apps'),
    ]

    operations = [
        migrations.AddField(
            model_name='clinic',
            name='read_first',
            field=models.BooleanField(default=False, help_text="Doctors answer for themselves before they are shown the AI's result.", verbose_name='everybody reads before the AI'),
        ),
        migrations.AddField(
            model_name='clinic',
            name='second_reader',
            field=models.CharField(choices=[('never', 'Never'), ('on_request', 'When the first reader asks for one'), ('definite', 'On request, and always when a fracture is reported')], default='never', max_length=10, verbose_name='second reader'),
        ),
        migrations.AddField(
            model_name='membership',
            name='in_training',
            field=models.BooleanField(default=False, verbose_name='in training'),
        ),
        migrations.AddField(
            model_name='membership',
            name='read_first',
            field=models.BooleanField(blank=True, help_text='Unknown: as the clinic says, and always in training.', null=True, verbose_name='reads before the AI'),
        ),
        migrations.CreateModel(
            name='UseAttestation',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('cleared', models.BooleanField()),
                ('statement', models.TextField(blank=True, max_length=2000, verbose_name='statement')),
                ('reference', models.CharField(blank=True, max_length=200, verbose_name='reference')),
                ('attested_name', models.CharField(blank=True, max_length=200, verbose_name='name of who attests')),
                ('attested_on', models.DateField(blank=True, null=True, verbose_name='date')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('clinic', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='attestations', to='accounts.clinic')),
            ],
            options={
                'verbose_name': 'attestation of use',
                'verbose_name_plural': 'attestations of use',
                'ordering': ['-created_at'],
                'constraints': [models.CheckConstraint(condition=models.Q(('cleared', False), models.Q(models.Q(('statement', ''), _negated=True), models.Q(('reference', ''), _negated=True), models.Q(('attested_name', ''), _negated=True), ('attested_on__isnull', False)), _connector='OR'), name='attestation_says_who_and_when')],
            },
        ),
        migrations.RunSQL(enable_row_security(TABLE), disable_row_security(TABLE)),
        migrations.RunSQL(append_only(TABLE), migrations.RunSQL.noop),
    ]
