"""The second wall for references: a row may only point to rows of its own clinic.

Foreign keys are checked without row-level security. A second key over clinic *and* id
leaves a reference to another clinic's row no target.
"""

from django.db import migrations

# table, column, the table it points to
EDGES = (
    ("diagnosis_patient", "merged_into_id", "diagnosis_patient"),
    ("diagnosis_study", "patient_id", "diagnosis_patient"),
    ("diagnosis_study", "merged_from_id", "diagnosis_patient"),
    ("diagnosis_studyimage", "study_id", "diagnosis_study"),
    ("diagnosis_analysis", "image_id", "diagnosis_studyimage"),
    ("diagnosis_finding", "analysis_id", "diagnosis_analysis"),
    ("diagnosis_report", "study_id", "diagnosis_study"),
    ("diagnosis_reportversion", "report_id", "diagnosis_report"),
)
TARGETS = tuple(dict.fromkeys(target for _table, _column, target in EDGES))


def _unique(table: str) -> tuple[str, str]:
    name = f"{table}_in_clinic"
    return (
        f"ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE (clinic_id, id)",
        f"ALTER TABLE {table} DROP CONSTRAINT {name}",
    )


def _reference(table: str, column: str, target: str) -> tuple[str, str]:
    name = f"{table}_{column}_in_clinic"
    # Without the pause of FORCE the owner would see no row, and old ones would go unchecked.
    forth = f"""
        ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;
        ALTER TABLE {target} NO FORCE ROW LEVEL SECURITY;
        ALTER TABLE {table} ADD CONSTRAINT {name}
            FOREIGN KEY (clinic_id, {column}) REFERENCES {target} (clinic_id, id);
        ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
        ALTER TABLE {target} FORCE ROW LEVEL SECURITY;
    """
    return forth, f"ALTER TABLE {table} DROP CONSTRAINT {name}"


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0008_report_basis")]

    operations = [
        *(migrations.RunSQL(*_unique(table)) for table in TARGETS),
        *(migrations.RunSQL(*_reference(*edge)) for edge in EDGES),
    ]
