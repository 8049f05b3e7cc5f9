"""Sign-in through a hospital's identity provider: by issuer and subject, never by an address."""

import re

import pytest
from allauth.account.models import EmailAddress
from allauth.core import context
from allauth.socialaccount.helpers import complete_social_login
from allauth.socialaccount.models import SocialAccount, SocialLogin
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages.storage.fallback import FallbackStorage
from django.core import mail
from django.test import Client, RequestFactory

from accounts.auth import MembersOnlySocialAdapter
from accounts.models import Membership, User
from accounts.reauthentication import recently_confirmed
from accounts.services import SESSION_KEY, invitation_create
from accounts.tenancy import clinic_scope
from tests.factories import MembershipFactory

pytestmark = pytest.mark.django_db
INVITED = "invited@hospital.example"


@pytest.fixture(autouse=True)
def provider(settings):
    settings.SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {
            "APPS": [
                {
                    "provider_id": "hospital",
                    "name": "Hospital",
                    "client_id": "c",
                    "secret": "s",
                    "settings": {"server_url": "https://id.hospital.example"},
                }
            ]
        }
    }


def come_from_provider(client: Client, uid: str, email: str, user: User | None = None):
    """Do what the callback does once the provider's signed answer was checked."""
    request = RequestFactory().get("/")
    request.session = client.session

    request.user = user or AnonymousUser()
    request._messages = FallbackStorage(request)
    login = SocialLogin(
        user=User(email=email),
        account=SocialAccount(provider="hospital", uid=uid, extra_data={"name": "Nora Neu"}),
        email_addresses=[EmailAddress(email=email, verified=True, primary=True)],
    )
    login.state = {}
    with context.request_context(request):
        answer = complete_social_login(request, login)
    request.session.save()
    return request, answer


def open_invitation(admin) -> Client:
    with clinic_scope(admin.clinic_id):
        invitation_create(
            actor=admin.user, clinic_id=admin.clinic_id, email=INVITED, roles=["doctor"]
        )
    client = Client()
    client.get(re.search(r"/invitation/\S+", mail.outbox[-1].body)[0])
    return client


def test_an_address_alone_never_opens_an_account(doctor):
    request, _answer = come_from_provider(Client(), "attacker", doctor.user.email)
    assert not request.user.is_authenticated
    assert not SocialAccount.objects.exists()


def test_nobody_gets_an_account_without_an_invitation(db):
    request, answer = come_from_provider(Client(), "somebody", "somebody@x.example")
    assert not request.user.is_authenticated
    assert b"nvitation" in answer.content
    assert not User.objects.exists()


def test_a_connected_identity_signs_in_whatever_its_address_is_now(doctor):
    SocialAccount.objects.create(user=doctor.user, provider="hospital", uid="known")
    request, _answer = come_from_provider(Client(), "known", "changed@x.example")
    assert request.user == doctor.user
    doctor.user.refresh_from_db()
    assert doctor.user.email != "changed@x.example"


def test_an_invitation_binds_the_identity_to_the_invited_address(admin):
    request, _answer = come_from_provider(open_invitation(admin), "new", "other@x.example")
    member = Membership.objects.get(user__email=INVITED)
    assert request.user == member.user
    assert (member.clinic, member.roles) == (admin.clinic, ["doctor"])
    assert SocialAccount.objects.get().uid == "new"
    assert EmailAddress.objects.filter(user=member.user, email=INVITED, verified=True).exists()
    assert not EmailAddress.objects.filter(email="other@x.example").exists()


def test_an_invitation_does_not_bind_a_strange_identity_to_an_existing_person(admin, stranger):
    User.objects.filter(pk=stranger.user_id).update(email=INVITED)
    request, _answer = come_from_provider(open_invitation(admin), "attacker", INVITED)
    assert not request.user.is_authenticated
    assert not SocialAccount.objects.exists()


def test_confirming_through_the_provider_while_signed_in_keeps_the_clinic(admin, stranger):
    MembershipFactory(user=admin.user, clinic=stranger.clinic)
    SocialAccount.objects.create(user=admin.user, provider="hospital", uid="known")
    for clinic in (admin.clinic, stranger.clinic):
        client = Client()
        client.force_login(admin.user)
        session = client.session
        session[SESSION_KEY] = str(clinic.pk)
        session.save()
        request, _answer = come_from_provider(client, "known", "x@x.example", admin.user)
        assert request.session[SESSION_KEY] == str(clinic.pk)
        assert recently_confirmed(request)


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"name": "Nora Neu"}, "Nora Neu"),
        ({"first_name": "Nora", "last_name": "Neu"}, "Nora Neu"),
        ({}, ""),
        ({"name": "x" * 500}, "x" * 150),
    ],
)
def test_the_name_comes_from_the_provider(rf, claims, name):
    login = SocialLogin(user=User())
    assert MembersOnlySocialAdapter().populate_user(rf.get("/"), login, claims).full_name == name
