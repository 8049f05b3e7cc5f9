"""SQL of the second wall: row-level security, the lookup role and append-only tables.

Migrations call these.
"""

from django.db import connections

LOOKUP_ROLE = "fracture_lookup"
_CLINIC = "nullif(current_setting('app.clinic', true), '')::uuid"


def enable_row_security(table: str, *, column: str = "clinic_id") -> str:
    """Bind every role, the owner too, to the rows of the current clinic."""
    return f"""
        ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
        ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
        CREATE POLICY clinic_wall ON {table}
            USING ({column} = {_CLINIC}) WITH CHECK ({column} = {_CLINIC});
    """


def disable_row_security(table: str) -> str:
    """Undo ``enable_row_security``."""
    return f"""
        DROP POLICY IF EXISTS clinic_wall ON {table};
        ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;
        ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;
    """


def allow_lookup(table: str, *, columns: str, update: str = "") -> str:
    """Let the lookup role read named columns (and update some) of all clinics.

    Nobody signs in as that role: it owns the few functions and views that have
    to act before a clinic is known, and those return ids and states only.
    """
    sql = f"""
        GRANT SELECT ({columns}) ON {table} TO {LOOKUP_ROLE};
        CREATE POLICY lookup_read ON {table} FOR SELECT TO {LOOKUP_ROLE} USING (true);
    """
    if update:
        sql += f"""
        GRANT UPDATE ({update}) ON {table} TO {LOOKUP_ROLE};
        CREATE POLICY lookup_write ON {table} FOR UPDATE TO {LOOKUP_ROLE} USING (true);
        """
    return sql


def append_only(table: str, *, when: str = "") -> str:
    """Refuse UPDATE and DELETE of rows (those that match ``when``) and TRUNCATE."""
    condition = f"WHEN ({when})" if when else ""
    return f"""
        CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '{table} is append-only'
                USING ERRCODE = 'integrity_constraint_violation';
        END $$;
        CREATE TRIGGER {table}_immutable BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW {condition} EXECUTE FUNCTION {table}_refuse();
        CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse();
    """


def emptied_when_erased(table: str, *, columns: str, patient: str, generated: str = "") -> str:
    """Let the texts of append-only rows be emptied while their patient is being erased.

    Nothing else of the row may change, and nothing may be written instead. ``patient`` is SQL for
    the patient of the row ``NEW``; ``generated`` are columns that the database works out itself.
    """
    names = [name.strip() for name in columns.split(",")]
    free = [*names, "erased_at", *(name.strip() for name in generated.split(",") if name.strip())]
    rest = f"ARRAY[{', '.join(repr(name) for name in free)}]"
    empty = " AND ".join(f"NEW.{name} = ''" for name in names)
    return f"""
        CREATE OR REPLACE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'UPDATE' THEN
                IF {empty} AND to_jsonb(NEW) - {rest} = to_jsonb(OLD) - {rest} AND EXISTS (
                    SELECT FROM diagnosis_erasure e WHERE e.clinic_id = NEW.clinic_id
                    AND e.status = 'running' AND e.patient_id = ({patient})
                ) THEN
                    RETURN NEW;
                END IF;
            END IF;
            RAISE EXCEPTION '{table} is append-only'
                USING ERRCODE = 'integrity_constraint_violation';
        END $$;
    """


def nothing_after_erasure(table: str, *, study: str) -> str:
    """Refuse new rows of a study whose patient is erased; ``study`` is SQL for it in ``NEW``.

    Whoever was faster than the erasure is seen by it; whoever is slower waits for its lock.
    """
    moment = f"SELECT s.erased_at INTO moment FROM diagnosis_study s WHERE s.id = ({study})"  # noqa: S608 - a migration's own words
    return f"""
        CREATE FUNCTION {table}_not_erased() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            moment timestamptz;
        BEGIN
            {moment} FOR KEY SHARE;
            IF moment IS NOT NULL THEN
                RAISE EXCEPTION 'the patient is erased'
                    USING ERRCODE = 'integrity_constraint_violation',
                          CONSTRAINT = 'nothing_after_erasure';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER {table}_not_erased BEFORE INSERT ON {table}
            FOR EACH ROW EXECUTE FUNCTION {table}_not_erased();
    """


def clinic_references(table: str, **columns: str) -> str:
    """Let ``column="target table"`` point to rows of the own clinic only; for new tables.

    Foreign keys are checked without row-level security; a second key over clinic *and* id
    leaves a reference to another clinic's row no target. The target needs ``clinic_target``.
    """
    return "".join(
        f"""
        ALTER TABLE {table} ADD CONSTRAINT {table}_{column}_in_clinic
            FOREIGN KEY (clinic_id, {column}) REFERENCES {target} (clinic_id, id);
        """
        for column, target in columns.items()
    )


def clinic_target(table: str) -> str:
    """Give a table the key that ``clinic_references`` of others point to."""
    return f"ALTER TABLE {table} ADD CONSTRAINT {table}_in_clinic UNIQUE (clinic_id, id)"


def application_role() -> str:
    """Return the quoted name of the role that web processes and workers connect as."""
    name = str(connections["default"].settings_dict["USER"])
    return connections["default"].ops.quote_name(name)
