"""The door: sign-in by address and password, what it tells, what it limits and what it records."""

import re

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, User
from accounts.tenancy import clinic_scope
from tests.factories import PASSWORD, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"


def attempt(email: str, password: str = PASSWORD, client: Client | None = None, **extra):
    client = client or Client()
    return client.post(LOGIN, {"login": email, "password": password}, **extra)


def is_in(client: Client) -> bool:
    return client.get(reverse("accounts:tokens")).status_code == 200


def outcomes(clinic_id=None) -> list[tuple[str, str]]:
    with clinic_scope(clinic_id):
        events = AuditEvent.objects.filter(action__startswith="auth.").order_by("id")
        return [(event.action, event.outcome) for event in events]


def test_a_member_signs_in_and_out_and_the_clinic_can_read_it(doctor, sign_in):
    client = sign_in(doctor.user)
    assert is_in(client)
    client.post(reverse("account_logout"))
    assert not is_in(client)
    assert outcomes(doctor.clinic_id) == [("auth.sign_in", "success"), ("auth.sign_out", "success")]


def test_the_address_may_be_written_in_any_case(doctor):
    assert attempt(doctor.user.email.upper()).status_code == 302


def test_a_session_from_before_the_sign_in_is_not_kept(doctor, sign_in):
    client = Client()
    client.get("/invitation/nothing/")
    session = client.session
    session["planted"] = True
    session.save()
    before = session.session_key
    client.cookies["sessionid"] = before
    sign_in(doctor.user, client)
    assert client.cookies["sessionid"].value != before
    assert not Client(cookies={"sessionid": before}).session.get("_auth_user_id")


def test_wrong_passwords_and_unknown_addresses_read_alike(doctor):
    UserFactory(email="ended@x.example", is_active=False)
    pages = set()
    for email in (doctor.user.email, "nobody@x.example", "ended@x.example"):
        answer = attempt(email, "wrong-password-1")
        page = re.sub(r'"X-CSRFToken": "\w+"|value="[^"]*"', "", answer.content.decode())
        pages.add((answer.status_code, page))
    assert len(pages) == 1
    assert outcomes() == [("auth.sign_in", "failed")] * 3


def test_a_failed_attempt_is_recorded_without_the_address(doctor):
    attempt("my-password-by-mistake@x.example", "wrong")
    attempt(doctor.user.email, "wrong")
    assert "mistake" not in str(list(AuditEvent.objects.values()))
    assert AuditEvent.objects.order_by("id").last().target_id == doctor.user_id


def test_an_unverified_address_does_not_open_the_door(doctor):
    EmailAddress.objects.update(verified=False)
    client = Client()
    assert attempt(doctor.user.email, client=client)["Location"].startswith(
        "/accounts/confirm-email"
    )
    assert not is_in(client)


def test_inactive_people_stay_out_and_fall_out(doctor, sign_in):
    client = sign_in(doctor.user)
    doctor.user.is_active = False
    doctor.user.save()
    assert not is_in(client)
    late = Client()
    attempt(doctor.user.email, client=late)
    assert not is_in(late)


class TestLimits:
    def test_after_five_wrong_passwords_the_right_one_is_refused_too(self, doctor):
        for _ in range(5):
            attempt(doctor.user.email, "wrong")
        client = Client()
        attempt(doctor.user.email, client=client)
        assert not is_in(client)

    def test_neither_hosts_nor_addresses_nor_spellings_give_further_attempts(self, doctor):
        email = doctor.user.email
        variants = [
            (email, {"headers": {"host": f"localhost:{port}"}, "REMOTE_ADDR": f"10.0.0.{port}"})
            for port in range(1, 4)
        ] + [
            (email.upper(), {"headers": {"x-forwarded-for": "1.2.3.4"}, "REMOTE_ADDR": "10.0.1.1"}),
            (f"  {email} ", {"headers": {"x-forwarded-for": "1.2.3.5"}, "REMOTE_ADDR": "10.0.1.2"}),
        ]
        for spelling, request in variants:
            assert attempt(spelling, "wrong", **request).status_code == 200
        client = Client()
        attempt(email, client=client, REMOTE_ADDR="10.0.2.1")
        assert not is_in(client)

    def test_one_address_cannot_try_many_people(self):
        tried = [attempt(f"p{n}@x.example", "wrong").content.decode() for n in range(11)]
        assert "Too many" not in tried[0]
        assert "Too many" in tried[-1]

    def test_the_limit_of_one_person_does_not_lock_out_another(self, doctor, admin):
        for _ in range(5):
            attempt(doctor.user.email, "wrong")
        client = Client()
        attempt(admin.user.email, client=client)
        assert is_in(client)


class TestRedirects:
    @pytest.mark.parametrize(
        "target",
        [
            "https://evil.example/",
            "//evil.example/",
            "/\\evil.example/",
            "javascript:alert(1)",
            "https:evil.example",
            "\thttps://evil.example",
        ],
    )
    def test_sign_in_leads_nowhere_else(self, doctor, target):
        client = Client()
        answer = client.post(
            LOGIN, {"login": doctor.user.email, "password": PASSWORD, "next": target}
        )
        assert answer.status_code == 302
        assert answer["Location"] == "/"

    def test_sign_in_leads_back_to_where_it_was_asked(self, doctor):
        answer = Client().get(reverse("accounts:tokens"))
        assert answer["Location"] == f"{LOGIN}?next=/tokens/"
        answer = Client().post(
            answer["Location"],
            {"login": doctor.user.email, "password": PASSWORD, "next": "/tokens/"},
        )
        assert answer["Location"] == "/tokens/"

    def test_the_choice_of_language_leads_nowhere_else(self):
        answer = Client().post("/language/", {"language": "en", "next": "https://evil.example"})
        assert "evil" not in answer["Location"]


class TestPassword:
    def test_a_forgotten_password_is_reset_by_mail_and_ends_sessions(self, doctor, sign_in):
        old = sign_in(doctor.user)
        client = Client()
        client.post(reverse("account_reset_password"), {"email": doctor.user.email})
        (link,) = re.findall(r"http://testserver(\S+)", mail.outbox[-1].body)
        page = client.get(link, follow=True)
        new = "entirely-new-password"
        client.post(page.request["PATH_INFO"], {"password1": new, "password2": new})
        assert not is_in(old)
        fresh = Client()
        attempt(doctor.user.email, new, fresh)
        assert is_in(fresh)
        assert ("auth.password_set", "success") in outcomes()

    def test_asking_for_a_reset_tells_nobody_who_has_an_account(self, doctor):
        answers = set()
        for email in (doctor.user.email, "nobody@x.example"):
            answer = Client().post(reverse("account_reset_password"), {"email": email})
            answers.add((answer.status_code, answer["Location"]))
        assert len(answers) == 1
        assert [len(m.to) for m in mail.outbox] == [1, 1]

    @pytest.mark.parametrize("weak", ["short", "password1234", "123456789012"])
    def test_weak_passwords_are_refused(self, doctor, sign_in, weak):
        client = sign_in(doctor.user)
        client.post(
            reverse("account_change_password"),
            {"oldpassword": PASSWORD, "password1": weak, "password2": weak},
        )
        doctor.user.refresh_from_db()
        assert doctor.user.check_password(PASSWORD)

    def test_a_change_is_recorded_told_and_ends_other_sessions(self, doctor, sign_in):
        other, client = sign_in(doctor.user), sign_in(doctor.user)
        new = "entirely-new-password"
        client.post(
            reverse("account_change_password"),
            {"oldpassword": PASSWORD, "password1": new, "password2": new},
        )
        assert not is_in(other)
        assert mail.outbox[-1].to == [doctor.user.email]
        assert ("auth.password_set", "success") in outcomes(doctor.clinic_id)


def test_a_change_holds_even_when_the_notice_of_it_cannot_be_sent(doctor, sign_in, settings):
    client = sign_in(doctor.user)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    form = {"oldpassword": PASSWORD, "password1": "entirely-new-pw", "password2": "entirely-new-pw"}
    assert client.post(reverse("account_change_password"), form).status_code == 302
    doctor.user.refresh_from_db()
    assert doctor.user.check_password("entirely-new-pw")


def test_people_of_several_clinics_start_in_the_first_by_name(sign_in):
    later = MembershipFactory(clinic__name="Zebra", clinic_admin=True)
    MembershipFactory(clinic__name="Aardvark", user=later.user, clinic_admin=True)
    client = sign_in(User.objects.get(pk=later.user_id))
    assert "Aardvark" in client.get(reverse("accounts:members")).content.decode()
