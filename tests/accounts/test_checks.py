"""System checks: each way a deployment can be wrong has an id."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.db import connections

from accounts.checks import application_role_is_bound_by_row_security, limits_of_attempts_hold
from tests.support.database import ROOT, database_url


@pytest.mark.django_db
def test_the_application_role_passes():
    assert application_role_is_bound_by_row_security(databases=["default"]) == []
    assert application_role_is_bound_by_row_security(databases=None) == []


@pytest.mark.django_db(databases=["default", "owner"])
def test_the_owner_of_the_tables_does_not(monkeypatch):
    monkeypatch.setattr(
        "accounts.checks.connections", {"default": connections.create_connection("owner")}
    )
    (found,) = application_role_is_bound_by_row_security(databases=["default"])
    assert found.id == "accounts.E001"


class TestStart:
    """Web processes and workers check once, before they serve anybody."""

    WEB = [sys.executable, "-c", "import fracture_site.wsgi"]
    WORKER = [sys.executable, "-m", "celery", "-A", "fracture_site", "worker", "--pool=solo",
              "--loglevel=WARNING", "--without-gossip", "--without-mingle"]  # fmt: skip
    MANAGE = [sys.executable, "manage.py", "check"]

    def start(self, command: list[str], url: str) -> subprocess.CompletedProcess[str]:
        settings_module = {"DJANGO_SETTINGS_MODULE": "fracture_site.settings.test"}
        env = os.environ | settings_module | {"DATABASE_URL": url}
        return subprocess.run(
            command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False
        )

    @pytest.fixture
    def owner_url(self, db) -> str:
        return os.environ["DATABASE_OWNER_URL"].rpartition("/")[0] + (
            f"/{connections['default'].settings_dict['NAME']}"
        )

    @pytest.mark.parametrize("command", [WEB, WORKER], ids=["web", "worker"])
    def test_is_refused_to_the_owner(self, owner_url, command):
        ended = self.start(command, owner_url)
        assert ended.returncode not in {0, None}
        assert "accounts.E001" in ended.stderr
        assert "DATABASE_OWNER_URL" in ended.stderr

    def test_is_allowed_to_the_application_role(self, db):
        ended = self.start(self.WEB, database_url())
        assert ended.returncode == 0, ended.stderr

    def test_does_not_need_the_database(self):
        """The process must live to say that the database does not."""
        ended = self.start(self.WEB, "postgresql://nobody:x@127.0.0.1:1/nothing")
        assert ended.returncode == 0, ended.stderr
        assert "not checked" in ended.stdout + ended.stderr

    def test_of_a_command_is_not_checked(self, owner_url):
        assert self.start(self.MANAGE, owner_url).returncode == 0


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, []),
        ({"CACHES": {"default": {"BACKEND": "x.locmem.LocMemCache"}}}, ["accounts.E002"]),
        ({"SECURE_PROXY_SSL_HEADER": ("X", "https")}, ["accounts.W003"]),
        (
            {"SECURE_PROXY_SSL_HEADER": ("X", "https"), "ALLAUTH_TRUSTED_PROXY_COUNT": 1},
            [],
        ),
        ({"MFA_TOTP_INSECURE_BYPASS_CODE": "000000"}, ["accounts.E004"]),
    ],
)
def test_limits_of_attempts(monkeypatch, changes, wanted):
    names = ("CACHES", "SECURE_PROXY_SSL_HEADER", "ALLAUTH_TRUSTED_PROXY_COUNT")
    values = {name: getattr(settings, name) for name in names} | changes
    monkeypatch.setattr("accounts.checks.settings", SimpleNamespace(**values))
    assert [found.id for found in limits_of_attempts_hold()] == wanted
