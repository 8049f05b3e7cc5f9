"""Production settings as a deployment gives them, checked in a process of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "DJANGO_SETTINGS_MODULE": "fracture_site.settings.production",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123",
    "ALLOWED_HOSTS": "xray.example",
    "BASE_URL": "https://xray.example",
    "BEHIND_TLS_PROXY": "true",
    "TRUSTED_PROXY_COUNT": "1",
}
SHOW = """
import django, json
from django.conf import settings
django.setup()
names = "SESSION_COOKIE_NAME SESSION_COOKIE_SECURE SESSION_COOKIE_HTTPONLY SESSION_COOKIE_SAMESITE"
names += " SESSION_COOKIE_DOMAIN SESSION_COOKIE_PATH CSRF_COOKIE_NAME CSRF_COOKIE_SECURE DEBUG"
print(json.dumps({name: getattr(settings, name) for name in names.split()}))
"""


def run(*command: str, **changes: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: os.environ[k] for k in ("PATH", "DATABASE_URL", "REDIS_URL") if k in os.environ}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=inherited | GOOD | changes,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def check(**changes: str) -> subprocess.CompletedProcess[str]:
    return run("manage.py", "check", "--deploy", "--fail-level", "WARNING", **changes)


def test_djangos_and_our_own_deployment_checks_find_nothing():
    answer = check()
    assert answer.returncode == 0, answer.stderr
    assert "0 silenced" in answer.stdout


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"TRUSTED_PROXY_COUNT": "0"}, "accounts.W003"),
        ({"SECRET_KEY": "short"}, "security.W009"),
        ({"TLS_ENABLED": "perhaps"}, "TLS_ENABLED"),
        ({"OIDC_PROVIDERS": "[{}]"}, "OIDC_PROVIDERS"),
    ],
)
def test_a_mistake_is_named(changes, told):
    answer = check(**changes)
    assert answer.returncode != 0
    assert told in answer.stdout + answer.stderr


def test_the_cookies_are_bound_to_this_host_over_tls():
    cookies = json.loads(run("-c", SHOW).stdout)
    assert cookies == {
        "SESSION_COOKIE_NAME": "__Host-session",
        "SESSION_COOKIE_SECURE": True,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_DOMAIN": None,
        "SESSION_COOKIE_PATH": "/",
        "CSRF_COOKIE_NAME": "__Host-csrf",
        "CSRF_COOKIE_SECURE": True,
        "DEBUG": False,
    }
