"""System checks: each way a deployment can be wrong has an id."""

from types import SimpleNamespace

import pytest
from django.conf import settings
from django.db import connections

from accounts.checks import application_role_is_bound_by_row_security, limits_of_attempts_hold


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
