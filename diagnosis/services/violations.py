"""Which database constraint an insert or update ran into, and the answer to a number used twice."""

from django.db import IntegrityError, transaction

from diagnosis.models import Patient, Study
from fracture_site.common.errors import ConflictError


def violated_constraint(error: IntegrityError) -> str:
    """Return the constraint's name, ``""`` when the database did not tell."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None) or ""


def save_with_own_number(
    row: Patient | Study, update_fields: list[str] | None, *, number: str, taken: str
) -> None:
    """Save a row whose field ``number`` no other of its clinic may share.

    Args:
        row: new or changed.
        update_fields: what is written; ``None`` inserts the row.
        number: the field, guarded by the constraint ``<model>_<number>_once_per_clinic``.
        taken: what to tell the person whose number is in use.

    Raises:
        ConflictError: ``<number>_taken``, with the id of the row that has it.
    """
    name = str(row._meta.model_name)
    try:
        with transaction.atomic():
            row.save(force_insert=update_fields is None, update_fields=update_fields)
    except IntegrityError as error:
        if violated_constraint(error) != f"{name}_{number}_once_per_clinic":
            raise
        owner = (
            type(row)
            .objects.filter(clinic_id=row.clinic_id, **{number: getattr(row, number)})
            .values_list("pk", flat=True)
        )
        raise ConflictError(
            f"{number}_taken",
            taken,
            fields={number: taken},
            extra={name: str(owner.first() or "")},
        ) from error
