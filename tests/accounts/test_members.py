"""Members: roles, leaving, coming back, and the last administrator."""

import threading

import pytest
from django.db import connection
from django.urls import reverse

from accounts.models import AuditEvent, Membership, Role
from accounts.policy import ActionDeniedError
from accounts.services import member_deactivate, member_reactivate, member_update
from accounts.tenancy import clinic_scope
from fracture_site.common.errors import ConflictError, DomainError
from tests.factories import MembershipFactory

pytestmark = pytest.mark.django_db


def test_new_roles_count_at_once_and_are_audited(admin, doctor):
    with clinic_scope(admin.clinic_id):
        member_update(actor=admin.user, membership=doctor, roles=["technician", "doctor"])
        event = AuditEvent.objects.get(action="member.update")
        assert event.details == {
            "user": str(doctor.user_id),
            "before": ["doctor"],
            "after": ["technician", "doctor"],
        }
        member_update(actor=admin.user, membership=doctor, roles=["doctor", "technician"])
        assert AuditEvent.objects.filter(action="member.update").count() == 1


def test_only_administrators_of_the_clinic_change_members(admin, doctor, stranger):
    for other in (doctor, stranger):
        for change in (member_deactivate, member_reactivate):
            with clinic_scope(admin.clinic_id), pytest.raises(ActionDeniedError):
                change(actor=other.user, membership=doctor)
        with clinic_scope(admin.clinic_id), pytest.raises(ActionDeniedError):
            member_update(actor=other.user, membership=doctor, roles=["clinic_admin"])


@pytest.mark.parametrize("roles", [[], ["root"]])
def test_roles_must_be_known(admin, doctor, roles):
    with clinic_scope(admin.clinic_id), pytest.raises(DomainError, match="roles_invalid"):
        member_update(actor=admin.user, membership=doctor, roles=roles)


def test_the_last_administrator_stays(admin, doctor):
    MembershipFactory(clinic=admin.clinic, clinic_admin=True, is_active=False)
    MembershipFactory(clinic=admin.clinic, clinic_admin=True, user__is_active=False)
    MembershipFactory(clinic_admin=True)
    with clinic_scope(admin.clinic_id):
        with pytest.raises(ConflictError, match="last_clinic_admin"):
            member_deactivate(actor=admin.user, membership=admin)
        with pytest.raises(ConflictError, match="last_clinic_admin"):
            member_update(actor=admin.user, membership=admin, roles=["doctor"])
        member_update(actor=admin.user, membership=doctor, roles=["doctor", "clinic_admin"])
        member_deactivate(actor=admin.user, membership=admin)
    admin.refresh_from_db()
    assert not admin.is_active


@pytest.mark.django_db(transaction=True)
def test_two_administrators_who_end_each_other_at_once_leave_one(admin):
    other = MembershipFactory(clinic=admin.clinic, clinic_admin=True)
    both, outcomes = threading.Barrier(2), []

    def end(actor, member):
        both.wait(timeout=10)
        try:
            with clinic_scope(admin.clinic_id):
                member_deactivate(actor=actor.user, membership=member)
            outcomes.append("ended")
        except (ConflictError, ActionDeniedError):
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=end, args=pair) for pair in ((admin, other), (other, admin))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(outcomes) == ["ended", "refused"]
    assert (
        Membership.objects.filter(roles__contains=[Role.CLINIC_ADMIN], is_active=True).count() == 1
    )


class TestPages:
    def test_an_administrator_invites_changes_and_ends(self, sign_in, admin, doctor, mailoutbox):
        client = sign_in(admin.user)
        url = reverse("accounts:members")
        assert doctor.user.email in client.get(url).content.decode()
        assert client.post(url, {"email": "n@x.example", "roles": ["doctor"]}).status_code == 302
        assert mailoutbox[-1].to == ["n@x.example"]
        page = client.get(url).content.decode()
        assert "n@x.example" in page
        edit = reverse("accounts:member-edit", args=[doctor.pk])
        assert client.post(edit, {"roles": ["technician"]}).status_code == 302
        activity = reverse("accounts:member-activity", args=[doctor.pk])
        client.post(activity, {"active": "no"})
        doctor.refresh_from_db()
        assert (doctor.roles, doctor.is_active) == (["technician"], False)
        assert client.get(edit).status_code == 200
        client.post(activity, {"active": "yes"})
        doctor.refresh_from_db()
        assert doctor.is_active

    def test_refusals_are_told_in_the_form(self, sign_in, admin, doctor):
        client = sign_in(admin.user)
        answer = client.post(
            reverse("accounts:members"), {"email": doctor.user.email, "roles": ["doctor"]}
        )
        assert answer.status_code == 400
        assert "member already" in answer.content.decode()
        answer = client.post(
            reverse("accounts:member-edit", args=[admin.pk]), {"roles": ["doctor"]}
        )
        assert "needs an administrator" in answer.content.decode()
        activity = reverse("accounts:member-activity", args=[admin.pk])
        answer = client.post(activity, {"active": "no"}, follow=True)
        assert "needs an administrator" in answer.content.decode()

    def test_members_of_another_clinic_are_not_found(self, sign_in, admin, stranger):
        client = sign_in(admin.user)
        assert client.get(reverse("accounts:member-edit", args=[stranger.pk])).status_code == 404
        for name in ("member-activity", "invitation-revoke"):
            url = reverse(f"accounts:{name}", args=[stranger.pk])
            assert client.post(url, {"active": "no"}).status_code == 404
        stranger.refresh_from_db()
        assert stranger.is_active

    def test_a_deactivated_member_is_out_with_the_next_click(self, sign_in, admin, doctor):
        client = sign_in(doctor.user)
        assert client.get(reverse("accounts:tokens")).status_code == 200
        with clinic_scope(admin.clinic_id):
            member_deactivate(actor=admin.user, membership=doctor)
        answer = client.get(reverse("accounts:tokens"))
        assert answer.status_code == 403
        assert "not a member" in answer.content.decode()
