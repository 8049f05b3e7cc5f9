"""Every route of the site, walked: what opens to nobody, and to people without a clinic."""

import re
from collections.abc import Iterator
from uuid import UUID

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, resolve

from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
# Opens to everybody, on purpose.
PUBLIC = {
    "healthz",
    "metrics",
    "readyz",
    "account_login",
    "account_signup",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key",
    "account_reset_password_from_key_done",
    "account_confirm_email",
    "account_email_verification_sent",
    "account_inactive",
    "socialaccount_login_cancelled",
    "socialaccount_login_error",
    "mfa_login_webauthn",
    "javascript-catalog",
    "schema",
    "docs",
    "redoc",
    "report-verify",
    "fhir-metadata",
    "smart-configuration",
    "manifest",
    "service-worker",
    "offline",
}
# Signed in is enough: a person's own account, and the site's administration for staff.
OWN_ACCOUNT = re.compile(r"^/(accounts|admin)/")
PLACEHOLDER = UUID("00000000-0000-4000-8000-000000000000")


def walk(patterns, prefix: str = "/") -> Iterator[tuple[str, str]]:
    for entry in patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from walk(entry.url_patterns, path)
        elif isinstance(entry, URLPattern):
            yield entry.name or "", concrete(path)


def concrete(path: str) -> str:
    path = re.sub(r"<uuid:\w+>", str(PLACEHOLDER), path)
    path = re.sub(r"<int:\w+>|<\w+:\w*number\w*>", "1", path)
    path = re.sub(
        r"<(\w+:)?\w+>|\(\?P<\w+>.*?\)(?=[/$.])|\(\?P<\w+>[^)]*\)", str(PLACEHOLDER), path
    )
    return re.sub(r"\\[AZ]|[\^?]|\$$|\\(?=[./])", "", path)


def routes() -> list[tuple[str, str]]:
    return sorted({(path, name) for name, path in walk(get_resolver().url_patterns)})


def opens(client: Client, path: str) -> list[str]:
    return [
        method
        for method in ("get", "post", "put", "patch", "delete")
        if 200 <= getattr(client, method)(path).status_code < 300
    ]


def test_the_walk_finds_the_site():
    found = {name for _path, name in routes()}
    assert {"members", "worklist", "account_login", "study-detail", "index"} <= found
    assert len(found) > 80
    for path, name in routes():
        if name != "app_list":  # the admin's own choice of words in its address
            assert resolve(path).url_name in {name, None, "catchall"}, path


def test_nothing_opens_to_nobody_but_the_public_pages():
    client = Client(raise_request_exception=False)
    opened = {name or path for path, name in routes() if opens(client, path)}
    assert opened - PUBLIC == set()


def test_people_without_a_clinic_see_their_own_account_only():
    client = Client(raise_request_exception=False)
    client.force_login(UserFactory())
    opened = set()
    for path, name in routes():
        if not OWN_ACCOUNT.match(path) and name not in PUBLIC and opens(client, path):
            opened.add(name or path)
    assert opened == set()


def test_no_route_fails_on_what_a_stranger_sends():
    client = Client(raise_request_exception=False)
    client.force_login(UserFactory())
    failed = [
        (method, path)
        for path, _name in routes()
        for method in ("get", "post")
        if getattr(client, method)(path).status_code >= 500 and path != "/readyz"
    ]
    assert failed == []
