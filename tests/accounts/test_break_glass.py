"""Break-glass access: for hours, with a reason, seen by the clinic, and then over everywhere."""

from datetime import timedelta

import pytest
import time_machine
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, Invitation, Membership, Role, User
from accounts.policy import Action, ActionDeniedError, allowed_actions
from accounts.selectors import membership_current, membership_list, token_find
from accounts.services import (
    invitation_accept,
    invitation_create,
    member_break_glass,
    member_deactivate,
    member_grant,
    member_override,
    member_reactivate,
    member_update,
    token_create,
)
from accounts.tenancy import clinic_scope
from diagnosis.models import Patient
from fracture_site.common.errors import ConflictError, DomainError
from tests.factories import ApiTokenFactory, MembershipFactory, PatientFactory, UserFactory

pytestmark = pytest.mark.django_db
PAGE = "/admin/accounts/membership/break-glass/"


@pytest.fixture
def root(db) -> User:
    return UserFactory(is_staff=True, is_superuser=True)


@pytest.fixture
def open_glass(root, admin):
    """Return a function that opens the clinic of ``admin`` to the site administrator."""

    def open_glass(**changes) -> Membership:
        wanted = {"roles": [Role.DOCTOR], "reason": "incident", "hours": 2, "user": root}
        return member_break_glass(actor=root, clinic_id=admin.clinic_id, **wanted | changes)

    return open_glass


def later(**delta):
    return time_machine.travel(timezone.now() + timedelta(**delta), tick=False)


def events(clinic_id, **filters) -> list[AuditEvent]:
    with clinic_scope(clinic_id):
        return list(AuditEvent.objects.filter(clinic_id=clinic_id, **filters))


def test_it_ends_by_itself_everywhere(open_glass, root, admin):
    PatientFactory(clinic=admin.clinic)
    token = ApiTokenFactory(membership=open_glass())

    def doors() -> list[bool]:
        with clinic_scope(admin.clinic_id):
            return [
                bool(allowed_actions(user=root, clinic_id=admin.clinic_id)),
                Patient.objects.for_user(root).exists(),
                membership_list(user=root).exists(),
                membership_current(user=root, clinic_id=admin.clinic_id) is not None,
                token_find(secret=token.secret) is not None,
            ]

    assert doors() == [True] * 5
    with later(hours=1, minutes=59):
        assert doors() == [True] * 5
    with later(hours=2, seconds=1):
        assert doors() == [False] * 5


def test_a_page_that_is_open_ends_with_it(open_glass, root):
    open_glass()
    client = Client()
    client.force_login(root)
    assert client.get("/patients/").status_code == 200
    Membership.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert client.get("/patients/").status_code == 403


def test_the_clinic_sees_who_until_when_and_why(open_glass, root, admin):
    member = open_glass()
    (event,) = events(admin.clinic_id, action="member.break_glass")
    assert (event.actor, event.target_id) == (root, member.pk)
    assert event.details == {
        "user": str(root.pk), "roles": ["doctor"], "reason": "incident", "hours": 2,
    }  # fmt: skip
    client = Client()
    client.force_login(admin.user)
    page = client.get(reverse("accounts:members")).content.decode()
    assert root.email in page
    assert "Break-glass access until" in page
    Membership.objects.filter(pk=member.pk).update(expires_at=timezone.now())
    page = client.get(reverse("accounts:members")).content.decode()
    assert "Break-glass access until" not in page
    assert "Former member" in page


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"reason": ""}, "break_glass_invalid"),
        ({"reason": "curiosity"}, "break_glass_invalid"),
        ({"hours": 0}, "break_glass_invalid"),
        ({"hours": 5}, "break_glass_invalid"),
        ({"hours": -1}, "break_glass_invalid"),
        ({"roles": []}, "roles_invalid"),
        ({"roles": ["clinic_admin"]}, "roles_invalid"),
        ({"roles": ["doctor", "clinic_admin"]}, "roles_invalid"),
    ],
)
def test_without_reason_for_long_or_to_manage_it_is_refused(open_glass, changes, code):
    with pytest.raises(DomainError, match=code):
        open_glass(**changes)
    assert Membership.objects.count() == 1


def test_nobody_but_site_administrators_opens_it(admin, doctor, stranger):
    for actor in (admin.user, doctor.user, stranger.user):
        with pytest.raises(PermissionDenied):
            member_break_glass(
                actor=actor, user=actor, clinic_id=admin.clinic_id,
                roles=["doctor"], reason="incident", hours=1,
            )  # fmt: skip


def test_a_member_is_not_shortened(open_glass, doctor):
    with pytest.raises(ConflictError, match="already_member"):
        open_glass(user=doctor.user)
    doctor.refresh_from_db()
    assert doctor.expires_at is None


def test_renewing_is_audited_again_and_brings_no_key_back(open_glass, admin):
    token = ApiTokenFactory(membership=open_glass())
    with later(hours=3):
        member = open_glass(roles=[Role.TECHNICIAN], hours=1)
        assert member.is_in_force
        assert token_find(secret=token.secret) is None
    assert len(events(admin.clinic_id, action="member.break_glass")) == 2
    assert Membership.objects.filter(user=member.user).count() == 1


def test_a_site_administrator_has_no_way_to_make_it_last(open_glass, root, admin):
    member = open_glass()
    with pytest.raises(ConflictError, match="own_membership"):
        member_grant(actor=root, user=root, clinic_id=member.clinic_id, roles=["doctor"])
    with pytest.raises(ConflictError, match="own_membership"):
        member_override(actor=root, membership=member, roles=list(Role), is_active=True)
    with clinic_scope(admin.clinic_id):
        for change in (
            lambda: member_reactivate(actor=root, membership=member),
            lambda: member_update(actor=root, membership=member, roles=list(Role)),
            lambda: invitation_create(
                actor=root, clinic_id=admin.clinic_id, email="me@x.example", roles=["doctor"]
            ),
        ):
            with pytest.raises(ActionDeniedError):
                change()
        token_create(actor=root, membership=member, name="For ever", scope="write")
    with later(hours=5):
        assert not allowed_actions(user=root, clinic_id=admin.clinic_id)
    assert (
        member_override(actor=root, membership=member, roles=["doctor"], is_active=False).is_active
        is False
    )


def test_the_clinic_ends_it_early_or_makes_it_a_membership(open_glass, root, admin):
    member = open_glass()
    token = ApiTokenFactory(membership=member)
    with clinic_scope(admin.clinic_id):
        member_deactivate(actor=admin.user, membership=member)
        assert not allowed_actions(user=root, clinic_id=admin.clinic_id)
        member_reactivate(actor=admin.user, membership=member)
        assert token_find(secret=token.secret) is None
    with later(days=1):
        assert Action.REPORT_SIGN in allowed_actions(user=root, clinic_id=admin.clinic_id)


def test_it_does_not_count_as_the_administrator_that_a_clinic_needs(open_glass, admin):
    member = open_glass()
    with clinic_scope(admin.clinic_id):
        member_update(actor=admin.user, membership=member, roles=[Role.CLINIC_ADMIN])
        with pytest.raises(ConflictError, match="last_clinic_admin"):
            member_deactivate(actor=admin.user, membership=admin)


class TestForm:
    @pytest.fixture
    def client(self, root) -> Client:
        client = Client()
        client.force_login(root)
        return client

    def form(self, root, admin, **changes):
        wanted = {"person": root.pk, "clinic": admin.clinic_id, "roles": ["doctor"],
                  "reason": "incident", "hours": 1}  # fmt: skip
        return wanted | changes

    def test_is_reached_from_the_list_and_opens_access(self, client, root, admin):
        assert PAGE in client.get("/admin/accounts/membership/").content.decode()
        assert client.get(PAGE).status_code == 200
        assert client.post(PAGE, self.form(root, admin)).status_code == 302
        member = Membership.objects.get(user=root)
        assert timedelta(minutes=50) < member.expires_at - timezone.now() <= timedelta(hours=1)

    @pytest.mark.parametrize("changes", [{"reason": ""}, {"hours": 5}, {"roles": ["clinic_admin"]}])
    def test_tells_what_is_wrong(self, client, root, admin, changes):
        answer = client.post(PAGE, self.form(root, admin, **changes))
        assert answer.status_code == 200
        assert "errorlist" in answer.content.decode()
        assert not Membership.objects.filter(user=root).exists()

    def test_is_no_way_in_for_members(self, root, admin):
        client = Client()
        client.force_login(admin.user)
        answer = client.post(PAGE, self.form(root, admin), follow=True)
        assert answer.status_code == 403
        assert not Membership.objects.filter(user=root).exists()

    def test_the_lasting_form_refuses_oneself_and_sets_no_end(self, client, root, admin, doctor):
        form = {"user": root.pk, "clinic": admin.clinic_id, "roles": ["doctor"]}
        assert client.post("/admin/accounts/membership/add/", form).status_code == 409
        assert not Membership.objects.filter(user=root).exists()
        url = f"/admin/accounts/membership/{doctor.pk}/change/"
        client.post(url, {"roles": ["doctor"], "is_active": "on", "expires_at_0": "2030-01-01"})
        doctor.refresh_from_db()
        assert doctor.expires_at is None


def test_an_invitation_stays_open_while_the_glass_is_broken(open_glass, root, admin):
    with clinic_scope(admin.clinic_id):
        invitation = invitation_create(
            actor=admin.user, clinic_id=admin.clinic_id, email=root.email, roles=["technician"]
        )
    open_glass()
    with pytest.raises(ConflictError, match="already_member"):
        invitation_accept(user=root, invitation_id=invitation.pk)
    assert Invitation.objects.get().accepted_at is None
    with later(hours=3):
        member = invitation_accept(user=root, invitation_id=invitation.pk)
    assert (member.roles, member.expires_at) == (["technician"], None)


def test_an_ended_membership_of_another_clinic_moves_nobody(open_glass, root, stranger):
    open_glass()
    other = MembershipFactory(user=root, clinic=stranger.clinic)
    with later(hours=3):
        assert membership_current(user=root, clinic_id=None) == other
