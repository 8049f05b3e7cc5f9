"""API tokens: shown once, stored as a hash, ended at once."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiToken, AuditEvent
from accounts.policy import ActionDeniedError
from accounts.selectors import token_find
from accounts.services import member_deactivate, member_reactivate, token_create, token_revoke
from accounts.tenancy import clinic_scope
from fracture_site.common.errors import DomainError
from tests.factories import ApiTokenFactory, MembershipFactory

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.accounts.urls")]


def make(member, **fields):
    with clinic_scope(member.clinic_id):
        return token_create(
            **{"actor": member.user, "membership": member, "name": "PACS", "scope": "write"}
            | fields
        )


def works(secret: str, method: str = "get") -> bool:
    answer = getattr(Client(), method)("/api/test/ok", headers={"Authorization": f"Token {secret}"})
    assert answer.status_code in {200, 401, 403}
    return answer.status_code == 200


def test_the_secret_is_long_random_and_not_stored(doctor):
    token, secret = make(doctor)
    assert re.fullmatch(r"fs_[A-Za-z0-9_-]{43}", secret)
    stored = ApiToken.objects.filter(pk=token.pk).values().get()
    assert secret not in str(stored)
    assert stored["prefix"] == secret[:8]
    assert token_find(secret=secret) == token
    assert make(doctor)[1] != secret


def test_making_and_ending_is_audited_without_the_secret(doctor):
    token, secret = make(doctor)
    with clinic_scope(doctor.clinic_id):
        token_revoke(actor=doctor.user, token=token)
        token_revoke(actor=doctor.user, token=token)
        events = AuditEvent.objects.filter(target_id=token.pk).order_by("id")
        assert [e.action for e in events] == ["token.create", "token.revoke"]
        assert secret not in str(list(events.values()))


def test_a_token_works_until_it_is_revoked(doctor):
    token, secret = make(doctor)
    assert works(secret)
    assert works(secret, "post")
    with clinic_scope(doctor.clinic_id):
        token_revoke(actor=doctor.user, token=token)
    assert not works(secret)


def test_a_token_works_until_it_expires(doctor):
    _token, secret = make(doctor, expires_at=timezone.now() + timedelta(days=1))
    assert works(secret)
    with time_machine.travel(timezone.now() + timedelta(days=1, seconds=1)):
        assert not works(secret)


@pytest.mark.parametrize("ended", ["membership", "user", "clinic"])
def test_a_token_ends_with_membership_person_or_clinic(doctor, ended):
    _token, secret = make(doctor)
    row = {"membership": doctor, "user": doctor.user, "clinic": doctor.clinic}[ended]
    row.is_active = False
    row.save()
    assert not works(secret)


def test_a_member_who_comes_back_does_not_bring_old_tokens_back(doctor, admin):
    _token, secret = make(doctor)
    with clinic_scope(doctor.clinic_id):
        member_deactivate(actor=admin.user, membership=doctor)
        member_reactivate(actor=admin.user, membership=doctor)
    assert not works(secret)


@pytest.mark.parametrize("secret", ["", "fs_", "x" * 5000, "fs_ü\u0000", "Token fs_1"])
def test_nonsense_is_refused(secret):
    assert not works(secret.encode().decode("latin-1"))


def test_a_read_token_cannot_write(doctor):
    _token, secret = make(doctor, scope="read")
    assert works(secret)
    assert not works(secret, "post")


def test_nobody_makes_a_token_for_somebody_else(doctor, admin):
    with pytest.raises(ActionDeniedError):
        make(doctor, actor=admin.user)


def test_a_former_member_makes_none(doctor):
    doctor.is_active = False
    doctor.save()
    with pytest.raises(ActionDeniedError):
        make(doctor)


@pytest.mark.parametrize(
    "wrong",
    [{"name": " "}, {"scope": "admin"}, {"expires_at": timezone.now() - timedelta(seconds=1)}],
)
def test_a_token_needs_a_name_a_known_scope_and_a_future(doctor, wrong):
    with pytest.raises(DomainError, match="token_invalid"):
        make(doctor, **wrong)


def test_owner_and_administrator_may_end_a_token_and_others_may_not(doctor, admin, stranger):
    colleague = MembershipFactory(clinic=doctor.clinic, technician=True)
    token, secret = make(doctor)
    with clinic_scope(doctor.clinic_id):
        for other in (colleague, stranger):
            with pytest.raises(ActionDeniedError):
                token_revoke(actor=other.user, token=token)
    assert works(secret)
    with clinic_scope(doctor.clinic_id):
        token_revoke(actor=admin.user, token=token)
    assert not works(secret)


def test_use_is_noted_at_most_once_a_minute(doctor):
    token, secret = make(doctor)
    begin = timezone.now()
    noted = []
    for seconds in (0, 30, 59, 61):
        with time_machine.travel(begin + timedelta(seconds=seconds), tick=False):
            works(secret)
        token.refresh_from_db()
        noted.append(token.last_used_at)
    assert noted[0] == noted[1] == noted[2] == begin
    assert noted[3] == begin + timedelta(seconds=61)


class TestPage:
    def test_the_secret_is_shown_once(self, sign_in, doctor):
        client = sign_in(doctor.user)
        answer = client.post(reverse("accounts:tokens"), {"name": "PACS", "scope": "read"})
        (secret,) = re.findall(r"fs_[A-Za-z0-9_-]{43}", answer.content.decode())
        assert works(secret)
        assert answer["Cache-Control"].startswith("max-age=0")
        again = client.get(reverse("accounts:tokens")).content.decode()
        assert secret not in again
        assert secret[:8] in again

    def test_members_see_their_own_and_administrators_all_of_the_clinic(
        self, sign_in, doctor, admin, stranger
    ):
        ApiTokenFactory(membership=doctor, name="Of the doctor")
        ApiTokenFactory(membership=admin, name="Of the admin")
        ApiTokenFactory(membership=stranger, name="Of the stranger")
        url = reverse("accounts:tokens")
        seen = sign_in(doctor.user).get(url).content.decode()
        assert "Of the doctor" in seen
        assert "Of the admin" not in seen
        seen = sign_in(admin.user).get(url).content.decode()
        assert "Of the doctor" in seen
        assert "Of the stranger" not in seen

    def test_tokens_of_others_and_of_other_clinics_are_not_found(
        self, sign_in, doctor, admin, stranger
    ):
        for member, token in ((doctor, admin), (admin, stranger)):
            foreign = ApiTokenFactory(membership=token)
            answer = sign_in(member.user).post(reverse("accounts:token-revoke", args=[foreign.pk]))
            assert answer.status_code == 404
            assert works(foreign.secret)

    def test_an_older_session_must_confirm_first_and_then_goes_on(self, sign_in, doctor):
        client = sign_in(doctor.user)
        with time_machine.travel(timezone.now() + timedelta(minutes=3)):
            answer = client.post(reverse("accounts:tokens"), {"name": "Late", "scope": "read"})
            assert answer.status_code == 302
            assert reverse("account_reauthenticate") in answer["Location"]
            assert not ApiToken.objects.exists()
            answer = client.post(answer["Location"], {"password": "correct-horse-battery"})
            assert "fs_" in answer.content.decode()
        assert ApiToken.objects.get().name == "Late"

    def test_a_member_ends_a_token_on_the_page(self, sign_in, doctor):
        token = ApiTokenFactory(membership=doctor)
        url = reverse("accounts:token-revoke", args=[token.pk])
        page = sign_in(doctor.user).post(url, follow=True).content.decode()
        assert "Revoked" in page
        assert not works(token.secret)

    def test_a_day_that_is_over_is_told_in_the_form(self, sign_in, doctor):
        form = {"name": "PACS", "scope": "read", "expires_on": "2020-01-01"}
        answer = sign_in(doctor.user).post(reverse("accounts:tokens"), form)
        assert answer.status_code == 400
        assert "expired already" in answer.content.decode()
        assert not ApiToken.objects.exists()
