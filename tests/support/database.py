"""The test database: made and emptied as its owner, used as the application role."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from psycopg2 import sql

# Rows that migrations wrote and that every test may rely on.
KEPT_TABLES = ("django_migrations", "django_content_type", "auth_permission")
ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def test_database(worker: str) -> Iterator[None]:
    """Create, migrate and finally drop a database; both aliases point to it meanwhile."""
    original = connections["owner"].settings_dict["NAME"]
    name = f"test_{original}{worker and '_' + worker}"
    template = f"template_{original}_{_schema_fingerprint()}"
    with _maintenance(original) as cursor:
        cursor.execute("SELECT pg_advisory_lock(823642)")  # parallel test processes take turns
        cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'template_%%_%%'")
        existing = {row[0] for row in cursor.fetchall()}
        if template not in existing:
            for old in existing:
                cursor.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(old)))
            _create(cursor, template, "template0")
            _point_to(template)
            try:
                call_command("db_migrate", verbosity=0)
            except BaseException:
                _close_all()
                cursor.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(template)))
                raise
            _close_all()
        _create(cursor, name, template)
    _point_to(name)
    _assert_application_role()
    try:
        yield
    finally:
        _close_all()
        _point_to(original)
        # A browser test that failed can leave a thread of the live server behind, still connected.
        end_sessions = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = %s AND usename = current_user"
        )
        with connections["default"].cursor() as cursor:
            cursor.execute(end_sessions, [name])
        with _maintenance(original) as cursor:
            cursor.execute(end_sessions, [name])
            cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def empty_all_tables() -> None:
    """Remove every row that a test committed.

    The application role may not truncate, and some tables refuse even their owner by a trigger:
    the owner switches those off for this one transaction.
    """
    with psycopg2.connect(**_owner_parameters()) as owner, owner.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '15s'")
        cursor.execute(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner "
            "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' "
            "AND r.rolname = current_user AND c.relname <> ALL(%s)",
            [list(KEPT_TABLES)],
        )
        tables = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            "SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger "
            "WHERE NOT tgisinternal AND tgrelid::regclass::text = ANY(%s)",
            [tables],
        )
        guarded = [row[0] for row in cursor.fetchall()]
        for table in guarded:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")  # regclass quotes itself
        cursor.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY")
        for table in guarded:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    owner.close()


def vacuum(*tables: str) -> None:
    """Tell the planner what a test has committed, and let indexes be read without the tables."""
    owner = psycopg2.connect(**_owner_parameters())
    owner.autocommit = True
    with owner.cursor() as cursor:
        for table in tables:
            cursor.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(table)))
    owner.close()


def database_url() -> str:
    """Return the URL of the test database for the application role (for child processes)."""
    found = connections["default"].settings_dict
    host = str(found["HOST"]).replace("/", "%2F")
    port = f":{found['PORT']}" if found["PORT"] else ""
    return f"postgresql://{found['USER']}:{found['PASSWORD']}@{host}{port}/{found['NAME']}"


def _schema_fingerprint() -> str:
    """Return a name for everything that decides how an empty database looks."""
    digest = hashlib.sha256()
    for folder in ("accounts", "diagnosis"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "migrations" in path.parts or path.name in {"row_security.py", "db_migrate.py"}:
                digest.update(path.read_bytes())
    digest.update((ROOT / "requirements.txt").read_bytes())
    digest.update(str(settings.DATABASES["default"]).encode())
    return digest.hexdigest()[:12]


def _create(cursor: Any, name: str, template: str) -> None:
    cursor.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
            sql.Identifier(name), sql.Identifier(template)
        )
    )


def _point_to(name: str) -> None:
    for alias in ("default", "owner"):
        connections[alias].close()
        connections[alias].settings_dict["NAME"] = name
        settings.DATABASES[alias]["NAME"] = name


def _close_all() -> None:
    for found in connections.all(initialized_only=True):
        found.close()


@contextmanager
def _maintenance(database: str) -> Iterator[Any]:
    """Open a cursor of the owner outside of the test database, without a transaction."""
    owner = psycopg2.connect(**_owner_parameters() | {"dbname": database})
    owner.autocommit = True
    try:
        with owner.cursor() as cursor:
            yield cursor
    finally:
        owner.close()


def _owner_parameters() -> dict[str, Any]:
    parameters = connections["owner"].get_connection_params()
    return {
        k: v for k, v in parameters.items() if k not in {"cursor_factory", "server_side_binding"}
    }


def _assert_application_role() -> None:
    """A test that runs as owner or superuser would prove nothing about row-level security."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolname, rolsuper OR rolbypassrls OR rolcreaterole, "
            "(SELECT count(*) FROM pg_class WHERE relowner = pg_roles.oid) "
            "FROM pg_roles WHERE rolname = current_user"
        )
        role, powerful, owned = cursor.fetchone()
    connection.close()
    if powerful or owned:
        pytest.exit(f"Tests must connect as the application role; {role} may do too much.", 4)
