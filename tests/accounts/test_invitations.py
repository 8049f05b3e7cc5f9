"""Invitations: the link proves the address, works once, and tells a stranger nothing."""

import re
import threading
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, Invitation, Membership, Role, User
from accounts.policy import ActionDeniedError
from accounts.services import invitation_accept, invitation_create, invitation_revoke
from accounts.tenancy import clinic_scope
from fracture_site.common.errors import ConflictError, DomainError, UnavailableError
from tests.factories import PASSWORD, MembershipFactory, PatientFactory, UserFactory

pytestmark = pytest.mark.django_db
ACCEPT = "/invitation/"
NEW = "new.person@hospital.example"


def invite(admin, email=NEW, roles=(Role.DOCTOR,)) -> str:
    """Invite and return the path in the mail."""
    mail.outbox.clear()
    with clinic_scope(admin.clinic_id):
        invitation_create(
            actor=admin.user, clinic_id=admin.clinic_id, email=email, roles=list(roles)
        )
    (message,) = mail.outbox
    assert message.to == [email.strip().lower()]
    (link,) = re.findall(r"http\S+", message.body)
    return link.removeprefix("http://127.0.0.1:8000")


def sign_up(client: Client, **changes):
    form = {"full_name": "Nora Neu", "title": "Dr.", "password1": PASSWORD, "password2": PASSWORD}
    return client.post(reverse("account_signup"), form | changes)


def members(email: str) -> list[Membership]:
    return list(Membership.objects.filter(user__email=email, is_active=True))


class TestNewPerson:
    def test_link_sign_up_work(self, admin):
        client = Client()
        answer = client.get(invite(admin), follow=True)
        assert admin.clinic.name in answer.content.decode()
        assert NEW in client.get(reverse("account_signup")).content.decode()
        assert sign_up(client).status_code == 302
        (member,) = members(NEW)
        assert member.clinic == admin.clinic
        assert member.roles == ["doctor"]
        assert member.user.display_name == "Dr. Nora Neu"
        address = EmailAddress.objects.get(user=member.user)
        assert (address.email, address.verified, address.primary) == (NEW, True, True)
        assert client.get(reverse("accounts:tokens")).status_code == 200

    def test_the_address_cannot_be_changed_in_the_form(self, admin):
        client = Client()
        client.get(invite(admin))
        client.get(reverse("account_signup") + "?email=evil@else.example")
        assert sign_up(client, email="evil@else.example").status_code == 302
        assert not User.objects.filter(email="evil@else.example").exists()
        assert members(NEW)

    def test_nobody_signs_up_without_an_invitation(self):
        client = Client()
        assert "invitation" in client.get(reverse("account_signup")).content.decode().lower()
        sign_up(client, email="evil@else.example")
        assert not User.objects.exists()

    def test_an_invitation_that_ends_meanwhile_closes_the_form(self, admin):
        client = Client()
        client.get(invite(admin))
        Invitation.objects.update(revoked_at=timezone.now())
        sign_up(client)
        assert not User.objects.filter(email=NEW).exists()

    def test_looking_at_the_link_does_not_use_it_up(self, admin):
        link = invite(admin)
        for _ in range(3):  # mail scanners
            Client().get(link)
            Client().head(link)
        client = Client()
        client.get(link)
        sign_up(client)
        assert members(NEW)

    def test_the_secret_leaves_the_address_bar(self, admin):
        answer = Client().get(invite(admin))
        assert answer.status_code == 302
        assert answer["Location"] == ACCEPT


class TestExistingPerson:
    def test_signs_in_with_the_link_open_and_accepts(self, admin, stranger, sign_in):
        client = Client()
        page = client.get(invite(admin, stranger.user.email), follow=True).content.decode()
        assert "Sign in" in page
        sign_in(stranger.user, client)
        assert client.post(ACCEPT).status_code == 302
        assert {m.clinic for m in members(stranger.user.email)} == {admin.clinic, stranger.clinic}
        settings = client.get(reverse("accounts:tokens")).content.decode()
        assert admin.clinic.name in settings

    def test_gets_no_second_account(self, admin, stranger):
        client = Client()
        client.get(invite(admin, stranger.user.email))
        sign_up(client)
        assert User.objects.filter(email=stranger.user.email).count() == 1
        assert len(members(stranger.user.email)) == 1

    def test_a_verified_second_address_counts_and_an_unverified_does_not(self, admin, stranger):
        EmailAddress.objects.create(user=stranger.user, email="two@x.example", verified=True)
        EmailAddress.objects.create(user=stranger.user, email="three@x.example", verified=False)
        for email, accepted in (("two@x.example", True), ("three@x.example", False)):
            invite(admin, email)
            invitation = Invitation.objects.get(email=email)
            Membership.objects.filter(user=stranger.user, clinic=admin.clinic).delete()
            if accepted:
                invitation_accept(user=stranger.user, invitation_id=invitation.pk)
            else:
                with pytest.raises(DomainError, match="invitation_invalid"):
                    invitation_accept(user=stranger.user, invitation_id=invitation.pk)

    def test_a_former_member_comes_back_with_the_new_roles(self, admin):
        former = MembershipFactory(clinic=admin.clinic, doctor=True, is_active=False)
        invite(admin, former.user.email, [Role.TECHNICIAN])
        invitation_accept(user=former.user, invitation_id=Invitation.objects.get().pk)
        former.refresh_from_db()
        assert (former.is_active, former.roles) == (True, ["technician"])

    def test_an_old_invitation_does_not_change_the_roles_of_a_member(self, admin):
        """Neither up (a demoted administrator's old link) nor down."""
        for kept, promised in (([Role.DOCTOR], Role.CLINIC_ADMIN), (list(Role), Role.TECHNICIAN)):
            person = UserFactory()
            invite(admin, person.email, [promised])
            member = MembershipFactory(clinic=admin.clinic, user=person, roles=kept)
            invitation = Invitation.objects.get(email=person.email)
            assert invitation_accept(user=person, invitation_id=invitation.pk) == member
            member.refresh_from_db()
            assert member.roles == kept
            with pytest.raises(DomainError, match="invitation_invalid"):
                invitation_accept(user=person, invitation_id=invitation.pk)


class TestHostile:
    def unusable(self, kind: str, admin, client: Client) -> str:
        link = invite(admin)
        match kind:
            case "unknown":
                return f"/invitation/{'x' * 43}/"
            case "expired":
                Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
            case "used":
                Invitation.objects.update(accepted_at=timezone.now())
            case "revoked":
                Invitation.objects.update(revoked_at=timezone.now())
            case "replaced":
                invite(admin)
            case "closed clinic":
                admin.clinic.is_active = False
                admin.clinic.save()
            case "foreign":
                client.force_login(UserFactory())
        return link

    def test_every_unusable_link_answers_alike(self, admin):
        answers = set()
        for kind in (
            "unknown",
            "expired",
            "used",
            "revoked",
            "replaced",
            "foreign",
            "closed clinic",
        ):
            client = Client()
            link = self.unusable(kind, admin, client)
            first = client.get(link)
            page = client.get(ACCEPT)
            text = page.content.decode()
            body = re.search(r"<main.*?</main>", text, re.DOTALL)
            assert body, kind
            answers.add((first.status_code, first["Location"], page.status_code, body[0]))
            assert client.post(ACCEPT).status_code == 404
            assert admin.clinic.name not in text
            assert NEW not in text
        assert len(answers) == 1
        assert not members(NEW)

    def test_an_invitation_is_used_once(self, admin):
        invite(admin)
        first, second = UserFactory(email=NEW), UserFactory()
        EmailAddress.objects.filter(user=second).update(email="x@y.example")
        pk = Invitation.objects.get().pk
        invitation_accept(user=first, invitation_id=pk)
        for user in (first, second):
            with pytest.raises(DomainError, match="invitation_invalid"):
                invitation_accept(user=user, invitation_id=pk)
        with pytest.raises(DomainError, match="invitation_invalid"):
            invitation_accept(user=first, invitation_id=uuid4())

    def test_a_week_later_the_link_is_dead(self, admin):
        link = invite(admin)
        with time_machine.travel(timezone.now() + timedelta(days=7, seconds=1)):
            assert Client().get(link, follow=True).status_code == 404
        with time_machine.travel(timezone.now() + timedelta(days=6, hours=23)):
            assert Client().get(link, follow=True).status_code == 200

    def test_the_link_names_the_configured_site_whatever_the_request_says(
        self, admin, sign_in, settings
    ):
        settings.ALLOWED_HOSTS = ["*"]
        sign_in(admin.user).post(
            reverse("accounts:members"),
            {"email": NEW, "roles": ["doctor"]},
            headers={"host": "evil.example"},
        )
        (message,) = mail.outbox
        assert "http://127.0.0.1:8000/invitation/" in message.body
        assert "evil.example" not in message.body


class TestInviting:
    def test_only_administrators_of_the_clinic_invite(self, admin, doctor, stranger):
        for other in (doctor, stranger):
            with clinic_scope(admin.clinic_id), pytest.raises(ActionDeniedError):
                invitation_create(
                    actor=other.user, clinic_id=admin.clinic_id, email=NEW, roles=["doctor"]
                )
        assert not mail.outbox

    def test_a_new_invitation_replaces_the_former_one_whatever_the_case(self, admin):
        first, second = invite(admin, NEW), invite(admin, f" {NEW.upper()} ")
        assert Client().get(first, follow=True).status_code == 404
        assert Client().get(second, follow=True).status_code == 200

    def test_a_member_is_not_invited_again(self, admin, doctor):
        with clinic_scope(admin.clinic_id), pytest.raises(ConflictError, match="already_member"):
            invitation_create(
                actor=admin.user,
                clinic_id=admin.clinic_id,
                email=doctor.user.email.upper(),
                roles=["doctor"],
            )

    @pytest.mark.parametrize("roles", [[], ["root"], ["doctor", "root"]])
    def test_roles_must_be_known(self, admin, roles):
        with clinic_scope(admin.clinic_id), pytest.raises(DomainError, match="roles_invalid"):
            invitation_create(actor=admin.user, clinic_id=admin.clinic_id, email=NEW, roles=roles)

    def test_nothing_is_stored_when_the_mail_cannot_be_sent(self, admin, settings):
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
        with clinic_scope(admin.clinic_id):
            with pytest.raises(UnavailableError, match="mail_unavailable"):
                invitation_create(
                    actor=admin.user, clinic_id=admin.clinic_id, email=NEW, roles=["doctor"]
                )
            assert not Invitation.objects.exists()
            assert not AuditEvent.objects.filter(action="invitation.create").exists()

    def test_mail_and_trail_hold_neither_patients_nor_secrets(self, admin):
        PatientFactory(clinic=admin.clinic, family_name="Kanarienvogel")
        link = invite(admin)
        secret = link.split("/")[2]
        assert "Kanarienvogel" not in mail.outbox[0].body
        assert Invitation.objects.get().token_hash != secret
        with clinic_scope(admin.clinic_id):
            trail = str(list(AuditEvent.objects.values()))
        assert secret not in trail
        assert NEW not in trail

    def test_revoking_is_audited_once(self, admin, doctor):
        link = invite(admin)
        invitation = Invitation.objects.get()
        with clinic_scope(admin.clinic_id):
            with pytest.raises(ActionDeniedError):
                invitation_revoke(actor=doctor.user, invitation=invitation)
            invitation_revoke(actor=admin.user, invitation=invitation)
            invitation_revoke(actor=admin.user, invitation=invitation)
            assert AuditEvent.objects.filter(action="invitation.revoke").count() == 1
        assert Client().get(link, follow=True).status_code == 404

    def test_an_administrator_revokes_on_the_page(self, admin, sign_in):
        link = invite(admin)
        url = reverse("accounts:invitation-revoke", args=[Invitation.objects.get().pk])
        page = sign_in(admin.user).post(url, follow=True).content.decode()
        assert NEW not in page
        assert Client().get(link, follow=True).status_code == 404

    @pytest.mark.django_db(transaction=True)
    def test_two_clicks_at_once_accept_once(self, admin):
        invite(admin)
        person, pk = UserFactory(email=NEW), Invitation.objects.get().pk
        both, outcomes = threading.Barrier(2), []

        def accept():
            both.wait(timeout=10)
            try:
                invitation_accept(user=person, invitation_id=pk)
                outcomes.append("accepted")
            except DomainError as error:
                outcomes.append(error.code)
            finally:
                connection.close()

        threads = [threading.Thread(target=accept) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        assert sorted(outcomes) == ["accepted", "invitation_invalid"]
        assert len(members(NEW)) == 1
