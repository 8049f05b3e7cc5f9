"""Strict readers for environment variables.

Every reader fails at start-up with the variable's name and the bad value:
a typo in a deployment file must never become a silent default.
"""

import os
from pathlib import Path

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
