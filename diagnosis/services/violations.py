"""Which database constraint an insert or update ran into."""

from django.db import IntegrityError


def violated_constraint(error: IntegrityError) -> str:
    """Return the constraint's name, ``""`` when the database did not tell."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None) or ""
