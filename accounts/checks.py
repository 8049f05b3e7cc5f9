"""Deployment checks with ids and hints."""

import logging
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connections

logger = logging.getLogger(__name__)


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


def refuse_unbound_role() -> None:
    """Let no web process or worker start as a role that row-level security does not bind.

    While the database does not answer nothing can be read from it either: the process starts,
    or it could not even say so.

    Raises:
        ImproperlyConfigured: the role owns tables, is a superuser or bypasses the policies.
    """
    try:
        found = application_role_is_bound_by_row_security(databases=["default"])
    except OperationalError:
        logger.warning("the database role is not checked: no database")
        return
    finally:
        connections["default"].close()
    for error in found:
        raise ImproperlyConfigured(f"{error.id}: {error.msg} {error.hint}")


@register(Tags.security, deploy=True)
def limits_of_attempts_hold(**_kwargs: Any) -> list[CheckMessage]:
    """Refuse what would make the limits of sign-in attempts useless, or lock everybody out."""
    found: list[CheckMessage] = []
    backend = settings.CACHES["default"]["BACKEND"]
    if "locmem" in backend or "dummy" in backend:
        found.append(
            Error(
                "Attempts to sign in are counted in each process by itself.",
                hint="Set REDIS_URL: all processes must count together.",
                id="accounts.E002",
            )
        )
    if settings.SECURE_PROXY_SSL_HEADER and not settings.ALLAUTH_TRUSTED_PROXY_COUNT:
        found.append(
            CheckWarning(
                "Behind the proxy all people seem to come from one address, and share its limit.",
                hint="Set TRUSTED_PROXY_COUNT to the number of proxies in front of the site.",
                id="accounts.W003",
            )
        )
    if getattr(settings, "MFA_TOTP_INSECURE_BYPASS_CODE", None):
        found.append(
            Error(
                "MFA_TOTP_INSECURE_BYPASS_CODE opens every second factor.",
                hint="Remove it.",
                id="accounts.E004",
            )
        )
    return found
