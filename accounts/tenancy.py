"""The current clinic: one transaction, one clinic, told to PostgreSQL's row-level security.

Both walls read the same value: ``for_user`` filters by it in Python, the
policies of the clinical tables compare each row with ``app.clinic``. It lives
as long as the transaction, so it also holds behind a pooling proxy.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from django.db import connection, transaction

_current: ContextVar[UUID | None] = ContextVar("current_clinic", default=None)


def current_clinic_id() -> UUID | None:
    """Return the clinic that this code acts in, ``None`` outside of any."""
    return _current.get()


@contextmanager
def clinic_scope(clinic_id: UUID | None) -> Iterator[None]:
    """Open a transaction (or savepoint) in which only this clinic's rows exist."""
    outer, nested = _current.get(), connection.in_atomic_block
    with transaction.atomic():
        _tell_database(clinic_id)
        token = _current.set(clinic_id)
        try:
            yield
        finally:
            _current.reset(token)
        # Releasing a savepoint keeps the inner setting; rolling back undoes it by itself,
        # and a transaction that is marked for that takes no more statements.
        if nested and not connection.needs_rollback:
            _tell_database(outer)


def _tell_database(clinic_id: UUID | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('app.clinic', %s, true)", [str(clinic_id) if clinic_id else ""]
        )
