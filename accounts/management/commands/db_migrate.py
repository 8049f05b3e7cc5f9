"""Prepare the database roles and migrate, as the owner of the tables."""

import time
from typing import Any, Final

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.db.utils import OperationalError, ProgrammingError
from psycopg2 import errorcodes, sql

from accounts.row_security import LOOKUP_ROLE

LOCK_TIMEOUT: Final = "5s"
LOCK_PAUSE_S: Final = 2.0
LOCK_ATTEMPTS: Final = 10


class Command(BaseCommand):
    """Safe to run again; needs DATABASE_OWNER_URL (a role that may create roles)."""

    help = "Create the application and lookup roles, grant them their rights, and migrate"

    def handle(self, *_args: Any, **options: Any) -> None:
        """Create what is missing, then migrate."""
        application, owner = (connections[a].settings_dict["USER"] for a in ("default", "owner"))
        if application == owner:
            raise CommandError(
                "DATABASE_URL and DATABASE_OWNER_URL name the same role. Row-level security does "
                "not protect against the owner: set DATABASE_OWNER_URL to the role that owns the "
                "tables and DATABASE_URL to the application role, which this command creates."
            )
        try:
            self._prepare_roles(application, connections["default"].settings_dict["PASSWORD"])
        except ProgrammingError as error:
            raise CommandError(
                f"The owner role could not create roles or grant rights ({error}). Give it "
                "CREATEROLE, or run the statements of deploy/roles.sql once as a superuser."
            ) from error
        self._migrate(options["verbosity"])

    def _migrate(self, verbosity: int) -> None:
        """Migrate a site that is in use: wait for no lock for long, but try again.

        A change of a table that waits behind one long statement makes everybody wait behind it.
        Each migration is a transaction, so what is left is done by the next attempt.
        """
        for left in reversed(range(LOCK_ATTEMPTS)):
            try:
                with connections["owner"].cursor() as cursor:
                    cursor.execute("SELECT set_config('lock_timeout', %s, false)", [LOCK_TIMEOUT])
                call_command("migrate", database="owner", verbosity=verbosity, interactive=False)
            except OperationalError as error:
                if getattr(error.__cause__, "pgcode", None) != errorcodes.LOCK_NOT_AVAILABLE:
                    raise
                if not left:
                    raise CommandError(
                        "A table was in use the whole time. What was migrated stays; run this "
                        "again when long reports or backups are done."
                    ) from error
                self.stderr.write("A table is in use; trying again.")
                time.sleep(LOCK_PAUSE_S)
            else:
                return

    def _prepare_roles(self, application: str, password: str) -> None:
        """Create the roles and the default rights for tables still to come."""
        app, lookup = sql.Identifier(application), sql.Identifier(LOOKUP_ROLE)
        with connections["owner"].cursor() as cursor:
            cursor.execute("SELECT rolname FROM pg_roles WHERE rolname IN %s",
                           [(application, LOOKUP_ROLE)])  # fmt: skip
            existing = {row[0] for row in cursor.fetchall()}
            if application not in existing:
                cursor.execute(
                    sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD {}").format(
                        app, sql.Literal(password)
                    )
                )
            if LOOKUP_ROLE not in existing:
                cursor.execute(sql.SQL("CREATE ROLE {} NOLOGIN NOBYPASSRLS").format(lookup))
                cursor.execute(
                    sql.SQL("GRANT {} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE").format(lookup)
                )
            cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}, {}").format(app, lookup))
            # ALTER FUNCTION … OWNER TO needs this of the new owner.
            cursor.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(lookup))
            for what, rights in (
                ("TABLES", "SELECT, INSERT, UPDATE, DELETE"),
                ("SEQUENCES", "USAGE, SELECT"),
            ):
                cursor.execute(
                    sql.SQL(
                        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {} ON {} TO {}"
                    ).format(sql.SQL(rights), sql.SQL(what), app)
                )
            if settings.DB_PGBOUNCER:
                self._limit(cursor, application)
            cursor.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
            cursor.execute(
                sql.SQL(
                    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO {}"
                ).format(app)
            )

    def _limit(self, cursor: Any, application: str) -> None:
        """Give the role the limits that its sessions cannot bring along through a pooling proxy."""
        wanted = {f"{name}={value}ms" for name, value in settings.DATABASE_LIMITS_MS.items()}
        cursor.execute("SELECT coalesce(rolconfig, '{}') FROM pg_roles WHERE rolname = %s",
                       [application])  # fmt: skip
        for setting in sorted(wanted - set(cursor.fetchone()[0])):
            name, value = setting.split("=")
            cursor.execute(
                sql.SQL("ALTER ROLE {} SET {} = {}").format(
                    sql.Identifier(application), sql.Identifier(name), sql.Literal(value)
                )
            )
