"""Site operations: reached through the normal sign-in by staff alone, audited, never clinical."""

import pytest
from allauth.mfa.totp.internal import auth as totp
from django.contrib import admin as django_admin
from django.core import mail
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import NoReverseMatch, reverse

from accounts.models import AuditEvent, Clinic, Invitation, Membership, User
from accounts.selectors import token_find
from accounts.services import clinic_create, member_grant, member_override, token_override_revoke
from accounts.tenancy import clinic_scope
from fracture_site.common.errors import ConflictError
from tests.factories import (
    PASSWORD,
    ApiTokenFactory,
    ClinicFactory,
    MembershipFactory,
    PatientFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db
OURS = ["clinic", "user", "membership", "invitation", "apitoken", "auditevent"]


@pytest.fixture
def root(db) -> User:
    return UserFactory(is_staff=True, is_superuser=True, email="root@site.example")


@pytest.fixture
def client(root) -> Client:
    client = Client()
    client.force_login(root)
    return client


def events(clinic_id=None, **filters):
    with clinic_scope(clinic_id):
        return list(AuditEvent.objects.filter(clinic_id=clinic_id, **filters))


class TestDoor:
    def test_its_sign_in_is_the_normal_one(self):
        answer = Client().get("/admin/", follow=True)
        assert answer.redirect_chain[-1][0].startswith("/accounts/login/?next=")
        answer = Client().post("/admin/login/", {"username": "root@site.example"})
        assert answer["Location"].startswith("/accounts/login/")

    def test_members_of_clinics_stay_out(self, admin):
        client = Client()
        client.force_login(admin.user)
        for url in ("/admin/", "/admin/login/", *(f"/admin/accounts/{n}/" for n in OURS)):
            assert client.get(url, follow=True).status_code == 403

    def test_the_second_factor_is_asked_for(self, root):
        totp.TOTP.activate(root, "A" * 32)
        client = Client()
        form = {"login": root.email, "password": PASSWORD, "next": "/admin/"}
        client.post("/accounts/login/", form)
        assert client.get("/admin/").status_code == 302

    def test_its_other_doors_are_the_normal_ones_too(self, client):
        assert client.get("/admin/password_change/")["Location"] == "/accounts/password/change/"
        client.post("/admin/logout/")
        assert client.get("/admin/").status_code == 302
        assert events(action="auth.sign_out")


class TestPages:
    @pytest.mark.parametrize("name", OURS)
    def test_every_list_and_row_opens(self, client, doctor, name):
        invited = {"clinic": doctor.clinic, "email": "a@b.example", "roles": ["doctor"]}
        Invitation.objects.create(
            **invited, token_hash="x", invited_by=doctor.user, expires_at="2030-01-01T00:00Z"
        )
        ApiTokenFactory(membership=doctor)
        AuditEvent.objects.create(action="auth.test")
        assert client.get(f"/admin/accounts/{name}/").status_code == 200
        model = next(m for m in django_admin.site._registry if m._meta.model_name == name)
        row = model.objects.first()
        page = client.get(f"/admin/accounts/{name}/{row.pk}/change/")
        assert page.status_code == 200
        assert "token_hash" not in page.content.decode()

    def test_nothing_can_be_deleted(self, client, doctor):
        for name, pk in (("user", doctor.user_id), ("clinic", doctor.clinic_id)):
            assert client.post(f"/admin/accounts/{name}/{pk}/delete/").status_code == 403

    def test_what_decides_who_may_sign_in_is_not_offered(self):
        for path in ("account_emailaddress", "mfa_authenticator", "socialaccount_socialapp"):
            with pytest.raises(NoReverseMatch):
                reverse(f"admin:{path}_changelist")

    def test_the_trail_of_clinics_is_not_shown(self, client, doctor):
        with clinic_scope(doctor.clinic_id):
            AuditEvent.objects.create(action="clinical.event", clinic=doctor.clinic)
        AuditEvent.objects.create(action="site.event")
        page = client.get("/admin/accounts/auditevent/").content.decode()
        assert "site.event" in page
        assert "clinical.event" not in page

    def test_no_page_shows_a_patient(self, client, doctor):
        PatientFactory(clinic=doctor.clinic, family_name="Kanarienvogel", record_number="KANARIE")
        for model in django_admin.site._registry:
            meta = model._meta
            answer = client.get(
                reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist"), {"q": "kanari"}
            )
            text = answer.content.decode().replace('value="kanari"', "")
            assert "Kanarienvogel" not in text, meta.label
            assert "KANARIE" not in text, meta.label


class TestChanges:
    new = {"name": "New clinic", "time_zone": "UTC",
           "admin_email": "boss@new.example"}  # fmt: skip

    def test_a_new_clinic_invites_its_first_administrator(self, client, root):
        assert client.post("/admin/accounts/clinic/add/", self.new).status_code == 302
        clinic = Clinic.objects.get(name="New clinic")
        invitation = Invitation.objects.get(clinic=clinic)
        assert (invitation.email, invitation.roles) == ("boss@new.example", ["clinic_admin"])
        assert mail.outbox[-1].to == ["boss@new.example"]
        (event,) = events(clinic.pk, action="clinic.create")
        assert event.actor == root

    def test_a_second_clinic_of_a_name_is_refused(self, client, root):
        ClinicFactory(name="new CLINIC")
        answer = client.post("/admin/accounts/clinic/add/", self.new)
        assert "of this name already" in answer.content.decode()
        with pytest.raises(ConflictError, match="clinic_name_taken"):
            clinic_create(actor=root, name=" New clinic ", admin_email="a@b.example")
        assert Clinic.objects.count() == 1

    def test_without_mail_there_is_no_clinic(self, client, settings):
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
        assert client.post("/admin/accounts/clinic/add/", self.new).status_code == 503
        assert not Clinic.objects.filter(name="New clinic").exists()

    def test_a_person_is_placed_in_a_clinic_and_the_clinic_can_read_it(self, client, root):
        clinic, person = ClinicFactory(), UserFactory()
        form = {"user": person.pk, "clinic": clinic.pk, "roles": ["doctor"]}
        assert client.post("/admin/accounts/membership/add/", form).status_code == 302
        member = Membership.objects.get(user=person)
        (event,) = events(clinic.pk, action="member.grant")
        assert (event.actor, event.target_id) == (root, member.pk)
        assert client.post("/admin/accounts/membership/add/", form).status_code in {200, 409}
        assert Membership.objects.count() == 1

    def test_ending_a_membership_ends_its_tokens(self, client, doctor):
        token = ApiTokenFactory(membership=doctor)
        url = f"/admin/accounts/membership/{doctor.pk}/change/"
        assert client.post(url, {"roles": ["doctor"]}).status_code == 302
        doctor.refresh_from_db()
        assert not doctor.is_active
        token.refresh_from_db()
        assert token.revoked_at
        assert events(doctor.clinic_id, action="member.override")

    def test_an_account_is_switched_off_and_that_is_audited(self, client, doctor):
        url = f"/admin/accounts/user/{doctor.user_id}/change/"
        client.post(url, {"full_name": "X", "title": "", "email": "evil@x.example"})
        user = User.objects.get(pk=doctor.user_id)
        assert (user.is_active, user.email) == (False, doctor.user.email)
        (event,) = events(action="admin.user.change")
        assert "is_active" in event.details["fields"]

    def test_nobody_locks_themself_out(self, client, root):
        client.post(f"/admin/accounts/user/{root.pk}/change/", {"full_name": "X"})
        root.refresh_from_db()
        assert root.is_active
        assert root.is_staff

    def test_tokens_are_revoked(self, client, doctor):
        token = ApiTokenFactory(membership=doctor)
        form = {"action": "revoke", "_selected_action": [token.pk]}
        client.post("/admin/accounts/apitoken/", form)
        assert token_find(secret=token.secret) is None
        assert events(doctor.clinic_id, action="token.revoke")

    def test_a_lost_phone_is_helped_and_its_owner_told(self, client, doctor):
        totp.TOTP.activate(doctor.user, "A" * 32)
        form = {"action": "remove_second_factors", "_selected_action": [doctor.user_id]}
        client.post("/admin/accounts/user/", form)
        assert not doctor.user.authenticator_set.exists()
        assert mail.outbox[-1].to == [doctor.user.email]
        assert events(action="admin.user.remove_second_factors")


def test_a_site_administrator_without_membership_sees_no_clinical_page(client, doctor):
    PatientFactory(clinic=doctor.clinic, family_name="Kanarienvogel")
    for url in ("/", "/patients/", "/tokens/", "/clinic/members/", "/api/v1/patients/"):
        answer = client.get(url)
        assert answer.status_code in {302, 403, 404}, url
        assert "Kanarienvogel" not in answer.content.decode()


def test_a_site_administrator_with_a_membership_is_an_ordinary_member(client, root):
    MembershipFactory(user=root, technician=True)
    assert client.get("/tokens/").status_code == 200
    assert client.get("/clinic/members/").status_code == 403


def test_the_services_of_site_administrators_refuse_everybody_else(admin, doctor):
    token, former = ApiTokenFactory(membership=doctor), UserFactory(is_staff=True, is_active=False)
    for actor in (admin.user, former):
        for service, arguments in (
            (clinic_create, {"name": "Mine", "admin_email": "a@b.example"}),
            (member_grant, {"user": actor, "clinic_id": ClinicFactory().pk, "roles": ["doctor"]}),
            (member_override, {"membership": doctor, "roles": ["doctor"], "is_active": False}),
            (token_override_revoke, {"token": token}),
        ):
            with pytest.raises(PermissionDenied):
                service(actor=actor, **arguments)
    assert token_find(secret=token.secret) == token
    assert not mail.outbox
