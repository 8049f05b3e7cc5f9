"""Strict readers for environment variables.

Every reader fails at start-up with the variable's name and the bad value:
a typo in a deployment file must never become a silent default.
"""

import json
import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured


def env_str(name: str, default: str | None = None) -> str:
    """Return a variable, or its default; a variable without default is required."""
    value = os.environ.get(name, default)
    if value is None:
        raise ImproperlyConfigured(f"{name} is not set and has no default")
    return value


def env_bool(name: str, *, default: bool) -> bool:
    """Return a flag; only ``true`` and ``false`` (any case) are accepted."""
    value = os.environ.get(name, str(default)).lower()
    if value not in {"true", "false"}:
        raise ImproperlyConfigured(f"{name}={value!r}: expected 'true' or 'false'")
    return value == "true"


def env_int(name: str, *, default: int, minimum: int = 0) -> int:
    """Return a whole number that is at least ``minimum``."""
    raw = os.environ.get(name, str(default))
    try:
        value = int(raw)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}={raw!r}: expected a whole number") from error
    if value < minimum:
        raise ImproperlyConfigured(f"{name}={value}: must be at least {minimum}")
    return value


def env_list(name: str, *, default: str = "") -> list[str]:
    """Return comma-separated values without blanks."""
    return [item.strip() for item in os.environ.get(name, default).split(",") if item.strip()]


def env_secret(name: str, default: str | None = None) -> str:
    """Return a secret, read from the file named in ``<name>_FILE`` when set.

    Container platforms mount secrets as files; an unreadable file is an error,
    never a fall-back to the plain variable.
    """
    secret_file = os.environ.get(f"{name}_FILE")
    if not secret_file:
        return env_str(name, default)
    path = Path(secret_file)
    if not path.is_file():
        raise ImproperlyConfigured(f"{name}_FILE={secret_file!r} is not a readable file")
    return path.read_text(encoding="utf-8").strip()


def env_oidc_providers(name: str) -> list[dict[str, Any]]:
    """Return sign-in providers from a JSON list, or none.

    Each is ``{"provider_id", "name", "client_id", "secret", "settings": {"server_url"}}``,
    as django-allauth's ``openid_connect`` provider wants it.
    """
    try:
        providers = json.loads(env_secret(name, "[]"))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: expected a JSON list") from error
    if not isinstance(providers, list) or not all(isinstance(p, dict) for p in providers):
        raise ImproperlyConfigured(f"{name}: expected a JSON list of objects")
    for number, provider in enumerate(providers, start=1):
        place = f"{name}, entry {number}"
        missing = {"provider_id", "name", "client_id", "secret", "settings"} - set(provider)
        if missing:
            raise ImproperlyConfigured(f"{place}: {', '.join(sorted(missing))} missing")
        url = str(provider["settings"].get("server_url", ""))
        if not url.startswith(("https://", "http://localhost", "http://127.0.0.1")):
            raise ImproperlyConfigured(f"{place}: settings.server_url must be https")
        if provider["settings"].get("email_authentication"):
            raise ImproperlyConfigured(f"{place}: nobody is recognised by an address alone")
    return providers
