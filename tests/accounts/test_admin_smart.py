"""Site administrators register SMART apps and switch them off in the admin."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import ApiToken, AuditEvent
from accounts.smart_models import SmartApp
from accounts.tenancy import clinic_scope
from tests.factories import ApiTokenFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db
FORM = {"name": "Viewer", "redirect_uris": "https://viewer.example/callback\n"}


@pytest.fixture
def root(db) -> Client:
    client = Client()
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    return client


def page(name: str, *args) -> str:
    return reverse(f"admin:accounts_smartapp_{name}", args=args)


def test_an_app_is_registered_shown_and_audited(root):
    assert root.post(page("add"), FORM).status_code == 302

    app = SmartApp.objects.get()
    assert app.redirect_uris == ["https://viewer.example/callback"]
    assert app.client_id in root.get(page("change", app.pk)).content.decode()
    with clinic_scope(None):
        assert [e.action for e in AuditEvent.objects.all()] == ["smart_app.create"]


@pytest.mark.parametrize("address", ["", "http://viewer.example/", "https://viewer.example/#a"])
def test_unsafe_addresses_are_refused_with_a_sentence(root, address):
    answer = root.post(page("add"), FORM | {"redirect_uris": address})
    assert answer.status_code == 200
    assert not SmartApp.objects.exists()


def test_a_stopped_app_loses_its_tokens_and_others_keep_theirs(root):
    app = SmartApp.objects.create(name="Viewer", redirect_uris=["https://viewer.example/"])
    given = ApiTokenFactory(app=app, scope="read", smart_scopes="user/*.read")
    other = ApiTokenFactory()

    chosen = {"action": "stop", "_selected_action": [str(app.pk)]}
    assert root.post(page("changelist"), chosen).status_code == 302

    assert not SmartApp.objects.get().is_active
    ended = set(ApiToken.objects.filter(revoked_at__isnull=False).values_list("pk", flat=True))
    assert ended == {given.pk}
    assert other.pk not in ended


def test_members_of_clinics_stay_out():
    client = Client()
    client.force_login(MembershipFactory().user)
    assert client.get(page("changelist"), follow=True).status_code == 403
