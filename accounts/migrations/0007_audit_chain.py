"""The audit trail becomes a chain per clinic; what is there already is sealed as it is."""

import django.utils.timezone
from django.db import migrations, models

from accounts.audit_chain import chain_seal
from accounts.row_security import LOOKUP_ROLE, allow_lookup, application_role

TABLE = "accounts_auditevent"
WAITING = "accounts_audit_waiting()"


def _guards() -> str:
    return f"""
        DROP TRIGGER {TABLE}_immutable ON {TABLE};
        CREATE TRIGGER {TABLE}_immutable BEFORE DELETE ON {TABLE}
            FOR EACH ROW EXECUTE FUNCTION {TABLE}_refuse();
        -- Sealing is the one change: a place and a digest where there was neither, and their proof.
        CREATE TRIGGER {TABLE}_sealed_once BEFORE UPDATE ON {TABLE}
            FOR EACH ROW WHEN (
                OLD.place IS NOT NULL OR NEW.place IS NULL
                OR to_jsonb(OLD) - '{{place,digest,proof}}'::text[]
                    IS DISTINCT FROM to_jsonb(NEW) - '{{place,digest,proof}}'::text[]
            ) EXECUTE FUNCTION {TABLE}_refuse();
        CREATE TRIGGER {TABLE}_arrives_open BEFORE INSERT ON {TABLE}
            FOR EACH ROW WHEN (NEW.place IS NOT NULL) EXECUTE FUNCTION {TABLE}_refuse();
        GRANT UPDATE (place, digest, proof) ON {TABLE} TO {application_role()};
        {allow_lookup(TABLE, columns="clinic_id, place")}
        CREATE FUNCTION {WAITING} RETURNS TABLE (waiting_clinic_id uuid)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            SELECT DISTINCT e.clinic_id FROM public.{TABLE} e WHERE e.place IS NULL
        $$;
        REVOKE ALL ON FUNCTION {WAITING} FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION {WAITING} TO {application_role()};
        ALTER FUNCTION {WAITING} OWNER TO {LOOKUP_ROLE};
    """


def seal_what_is_there(apps, schema_editor):
    """Seal clinic by clinic: row-level security binds the owner, too."""
    connection = schema_editor.connection
    events = apps.get_model("accounts", "AuditEvent").objects.using(connection.alias)
    clinics = apps.get_model("accounts", "Clinic").objects.using(connection.alias)
    for clinic_id in [None, *clinics.values_list("pk", flat=True)]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('app.clinic', %s, true)", [str(clinic_id or "")])
        while chain_seal(events, clinic_id, unproven=True):
            pass
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.clinic', '', true)")


class Migration(migrations.Migration):

    dependencies = [("accounts", "0006_languages")]

    operations = [
        migrations.AlterField(
            model_name="auditevent",
            name="at",
            field=models.DateTimeField(
                db_index=True, default=django.utils.timezone.now, editable=False
            ),
        ),
        migrations.AddField(
            model_name="auditevent",
            name="proof",
            field=models.BinaryField(default=bytes, max_length=32),
        ),
        migrations.AddField(
            model_name="auditevent",
            name="place",
            field=models.PositiveBigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="auditevent",
            name="digest",
            field=models.BinaryField(max_length=32, null=True),
        ),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(
                condition=models.Q(("place__isnull", True)),
                fields=["clinic", "id"],
                name="audit_waiting",
            ),
        ),
        migrations.AddConstraint(
            model_name="auditevent",
            constraint=models.UniqueConstraint(
                condition=models.Q(("place__isnull", False)),
                fields=("clinic", "place"),
                name="audit_place_once",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="auditevent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("digest__isnull", True), ("place__isnull", True)),
                    models.Q(("digest__isnull", False), ("place__gte", 1)),
                    _connector="OR",
                ),
                name="audit_place_with_digest",
            ),
        ),
        migrations.RunSQL(_guards(), reverse_sql=migrations.RunSQL.noop),
        migrations.RunPython(seal_what_is_there, migrations.RunPython.noop),
    ]
