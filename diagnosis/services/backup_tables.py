"""All rows out of the database at one point in time, and into an empty one.

Reading binds to row-level security like everything the application does: each table is read
clinic by clinic, in one snapshot, while the site runs. Writing is the owner's, into tables that
the migrations of the same release have just made: roles, policies, triggers and constraints are
theirs and are in force again when the rows are in.
"""

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper
from psycopg2 import sql

from fracture_site.common.database import without_limit

MIGRATIONS: Final = "django_migrations"
# A copy must not bring them back to life.
SESSIONS: Final = ("django_session", "usersessions_usersession")


class RowsRefusedError(Exception):
    """The rows do not fit the tables; nothing was changed."""


@dataclass(frozen=True, slots=True)
class TableCopy:
    """The rows of one table in a file: ``sha256`` is of the text before it was packed."""

    name: str
    columns: tuple[str, ...]
    rows: int
    sha256: str


class _Counted(io.RawIOBase):
    """Passes text on to or from a packed file, counts its lines and hashes it."""

    def __init__(self, file: gzip.GzipFile) -> None:
        super().__init__()
        self._file, self._digest = file, hashlib.sha256()
        self.rows = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: Any) -> int:
        self._see(data)
        return self._file.write(data)

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._see(data)
        return data

    def _see(self, data: bytes) -> None:
        self._digest.update(data)
        self.rows += data.count(b"\n")


@contextmanager
def snapshot() -> Iterator[CursorWrapper]:
    """Open a transaction that sees the database as it is now, however long it takes."""
    connection = connections["default"]
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        with without_limit(cursor):
            yield cursor


def tables(cursor: CursorWrapper) -> dict[str, bool]:
    """Return the names of the tables, and whether a wall between clinics stands in each."""
    cursor.execute(
        "SELECT relname, relforcerowsecurity FROM pg_class WHERE relkind = 'r' "
        "AND relnamespace = 'public'::regnamespace ORDER BY relname"
    )
    left_out = {MIGRATIONS, *SESSIONS}
    return {name: wall for name, wall in cursor.fetchall() if name not in left_out}


def migrations(cursor: CursorWrapper) -> list[list[str]]:
    """Return which migrations made the tables."""
    cursor.execute("SELECT app, name FROM django_migrations ORDER BY app, name")
    return [list(row) for row in cursor.fetchall()]


def sequences(cursor: CursorWrapper) -> dict[str, int]:
    """Return how far each sequence has counted."""
    cursor.execute(
        "SELECT sequencename, last_value FROM pg_sequences "
        "WHERE schemaname = 'public' AND last_value IS NOT NULL"
    )
    return dict(cursor.fetchall())


def table_dump(cursor: CursorWrapper, name: str, *, wall: bool, path: Path) -> TableCopy:
    """Write all rows of a table to ``path``."""
    columns = _columns(cursor, name)
    with gzip.open(path, "wb", compresslevel=1) as packed:
        counted = _Counted(packed)
        for clinic, condition in _shares(cursor, wall=wall):
            cursor.execute("SELECT set_config('app.clinic', %s, true)", [clinic])
            query = sql.SQL("COPY (SELECT {} FROM {} {}) TO STDOUT").format(
                _list(columns), sql.Identifier(name), condition
            )
            cursor.copy_expert(query, counted)
    return TableCopy(name, columns, counted.rows, counted.sha256)


def table_check(copy: TableCopy, path: Path) -> bool:
    """Tell whether the file still holds what was written."""
    try:
        with gzip.open(path, "rb") as packed:
            counted = _Counted(packed)
            while counted.read(2**20):
                pass
    except (OSError, EOFError, zlib.error):  # not there, cut short, or not what gzip wrote
        return False
    return (counted.rows, counted.sha256) == (copy.rows, copy.sha256)


def rows_load(copies: Mapping[Path, TableCopy], counted_to: Mapping[str, int]) -> None:
    """Put all rows into the tables, as their owner, in one transaction.

    Raises:
        RowsRefusedError: a file is damaged, or a table is not the one that was copied.
    """
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        walls = tables(cursor)
        with _open_for_loading(cursor, walls):
            cursor.execute(sql.SQL("TRUNCATE {}").format(_list((*walls, *SESSIONS))))
            for path, copy in copies.items():
                _load(cursor, copy, path)
            for name, value in counted_to.items():
                cursor.execute("SELECT setval(%s::regclass, %s)", [f'public."{name}"', value])


def rows_count(cursor: CursorWrapper, name: str, *, wall: bool) -> int:
    """Return how many rows a table has, in all clinics."""
    count = 0
    for clinic, condition in _shares(cursor, wall=wall):
        cursor.execute("SELECT set_config('app.clinic', %s, true)", [clinic])
        cursor.execute(
            sql.SQL("SELECT count(*) FROM {} {}").format(sql.Identifier(name), condition)
        )
        count += cursor.fetchone()[0]
    return count


def _load(cursor: CursorWrapper, copy: TableCopy, path: Path) -> None:
    if copy.columns != _columns(cursor, copy.name):
        raise RowsRefusedError(f"{copy.name} has other columns here")
    query = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(copy.name), _list(copy.columns)
    )
    with gzip.open(path, "rb") as packed:
        counted = _Counted(packed)
        cursor.copy_expert(query, counted)
    if (counted.rows, counted.sha256) != (copy.rows, copy.sha256):
        raise RowsRefusedError(f"the copy of {copy.name} is damaged")


@contextmanager
def _open_for_loading(cursor: CursorWrapper, walls: Mapping[str, bool]) -> Iterator[None]:
    """Let the owner write rows in any order; at the end everything holds again, or nothing was."""
    cursor.execute(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint "
        "WHERE contype = 'f' AND NOT condeferrable AND connamespace = 'public'::regnamespace"
    )
    strict = [(sql.SQL(table), sql.Identifier(name)) for table, name in cursor.fetchall()]
    for table, constraint in strict:
        cursor.execute(
            sql.SQL("ALTER TABLE {} ALTER CONSTRAINT {} DEFERRABLE").format(table, constraint)
        )
    _switch(cursor, walls, "DISABLE TRIGGER USER", "NO FORCE ROW LEVEL SECURITY")
    cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    yield
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for table, constraint in strict:
        cursor.execute(
            sql.SQL("ALTER TABLE {} ALTER CONSTRAINT {} NOT DEFERRABLE").format(table, constraint)
        )
    _switch(cursor, walls, "ENABLE TRIGGER USER", "FORCE ROW LEVEL SECURITY")


def _switch(cursor: CursorWrapper, walls: Mapping[str, bool], triggers: str, security: str) -> None:
    for name, wall in walls.items():
        for change in (triggers, *([security] if wall else [])):
            cursor.execute(
                sql.SQL("ALTER TABLE {} {}").format(sql.Identifier(name), sql.SQL(change))
            )


def _shares(cursor: CursorWrapper, *, wall: bool) -> Iterator[tuple[str, sql.Composable]]:
    """Yield each clinic to stand in, and the condition for the rows that only it shows."""
    if not wall:
        yield "", sql.SQL("")
        return
    cursor.execute("SELECT id::text FROM accounts_clinic ORDER BY id")
    for (clinic,) in cursor.fetchall():
        yield clinic, sql.SQL("WHERE clinic_id = {}").format(sql.Literal(clinic))
    yield "", sql.SQL("WHERE clinic_id IS NULL")


def _columns(cursor: CursorWrapper, table: str) -> tuple[str, ...]:
    cursor.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 "
        "AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
        [f'public."{table}"'],
    )
    return tuple(row[0] for row in cursor.fetchall())


def _list(names: tuple[str, ...]) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)
