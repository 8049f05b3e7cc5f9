"""Deployment checks with ids and hints."""

from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections


@register(Tags.database)
def application_role_is_bound_by_row_security(**kwargs: Any) -> list[CheckMessage]:
    """Refuse a connection that row-level security would not bind."""
    if "default" not in (kwargs.get("databases") or ()):
        return []
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT rolsuper OR rolbypassrls, EXISTS (SELECT FROM pg_tables WHERE "
            "schemaname = 'public' AND tableowner = current_user) "
            "FROM pg_roles WHERE rolname = current_user"
        )
        bypasses, owns = cursor.fetchone()
    if not (bypasses or owns):
        return []
    return [
        Error(
            "The application connects as a role that row-level security does not bind.",
            hint="Set DATABASE_URL to the application role and DATABASE_OWNER_URL to the owner, "
            "then run manage.py db_migrate.",
            id="accounts.E001",
        )
    ]
