"""The walls around orders and HL7 senders, and how a listener finds out whose message it has."""

from django.db import migrations

from accounts.row_security import (
    LOOKUP_ROLE,
    allow_lookup,
    application_role,
    disable_row_security,
    enable_row_security,
)

TABLES = ("diagnosis_order", "diagnosis_hl7sender", "diagnosis_hl7message")
# table, column, the table it points to
EDGES = (
    ("diagnosis_order", "study_id", "diagnosis_study"),
    ("diagnosis_hl7message", "sender_id", "diagnosis_hl7sender"),
)

# A message names its sender, not its clinic. The caller learns two ids, and only when name and
# network or certificate fit; with several fits it learns all of them and refuses.
FIND = f"""
    CREATE FUNCTION diagnosis_hl7_sender_find(
        p_application text, p_facility text, p_address inet, p_certificate text
    )
    RETURNS TABLE (sender_id uuid, clinic_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT s.id, s.clinic_id FROM public.diagnosis_hl7sender s
        WHERE s.is_active
          AND s.sending_application = p_application AND s.sending_facility = p_facility
          AND (s.certificate_sha256 = '' OR s.certificate_sha256 = p_certificate)
          AND (cardinality(s.networks) = 0 OR EXISTS (
              SELECT FROM unnest(s.networks) AS network WHERE p_address <<= network::cidr
          ))
    $$;
    REVOKE ALL ON FUNCTION diagnosis_hl7_sender_find(text, text, inet, text) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION diagnosis_hl7_sender_find(text, text, inet, text)
        TO {application_role()};
    ALTER FUNCTION diagnosis_hl7_sender_find(text, text, inet, text) OWNER TO {LOOKUP_ROLE};
"""  # noqa: S608 - names come from settings


def _reference(table: str, column: str, target: str) -> tuple[str, str]:
    name = f"{table}_{column}_in_clinic"
    return (
        f"ALTER TABLE {table} ADD CONSTRAINT {name} "
        f"FOREIGN KEY (clinic_id, {column}) REFERENCES {target} (clinic_id, id)",
        f"ALTER TABLE {table} DROP CONSTRAINT {name}",
    )


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0011_orders_and_hl7_senders")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE diagnosis_hl7sender "
            "ADD CONSTRAINT diagnosis_hl7sender_in_clinic UNIQUE (clinic_id, id)",
            "ALTER TABLE diagnosis_hl7sender DROP CONSTRAINT diagnosis_hl7sender_in_clinic",
        ),
        *(migrations.RunSQL(*_reference(*edge)) for edge in EDGES),
        *(
            migrations.RunSQL(enable_row_security(table), disable_row_security(table))
            for table in TABLES
        ),
        migrations.RunSQL(
            allow_lookup(
                "diagnosis_hl7sender",
                columns=(
                    "id, clinic_id, is_active, sending_application, sending_facility, "
                    "networks, certificate_sha256"
                ),
            )
        ),
        migrations.RunSQL(
            FIND, "DROP FUNCTION diagnosis_hl7_sender_find(text, text, inet, text)"
        ),
    ]
