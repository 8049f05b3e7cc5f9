"""Which language people, programs and e-mails are spoken to in, and how it is chosen."""

import pytest
from django.conf import settings
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import translation

from accounts.languages import mail_language
from accounts.models import AuditEvent
from accounts.services import invitation_create
from accounts.tenancy import clinic_scope
from accounts.web.forms import UseForm
from tests.factories import ApiTokenFactory, MembershipFactory

pytestmark = pytest.mark.django_db
SIGN_IN = reverse("account_login")
CHOOSE = reverse("accounts:language-set")


def spoken(client: Client, url: str = SIGN_IN, **headers: str) -> str:
    """Return the start tag of the page."""
    return client.get(url, headers=headers).content.decode().split("<html", 1)[1].split(">", 1)[0]


class TestNobody:
    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            ("es-MX,es;q=0.9", 'lang="es" dir="ltr"'),
            ("de, fr;q=0.8, en;q=0.2", 'lang="fr" dir="ltr"'),
            ("ar-EG", 'lang="ar" dir="rtl"'),
            ("tlh, x-none", 'lang="en" dir="ltr"'),
            ("a" * 5000, 'lang="en" dir="ltr"'),
        ],
    )
    def test_is_spoken_to_as_the_browser_asks(self, client, asked, expected):
        assert expected in spoken(client, accept_language=asked)

    def test_chooses_on_the_sign_in_page_against_the_browser(self, client):
        for asked in ("en", "ar"):
            page = client.get(SIGN_IN, headers={"accept-language": asked}).content.decode()
            for name in ("English", "Español", "Français", "العربيّة"):
                assert f">{name}</button>" in page, "each by its own name, whatever is spoken"
        assert client.post(CHOOSE, {"language": "ar", "next": SIGN_IN})["Location"] == SIGN_IN
        assert 'dir="rtl"' in spoken(client, accept_language="fr")

    def test_is_told_that_an_error_page_is_in_their_language(self, client):
        page = client.get("/nowhere/", headers={"accept-language": "es"}).content.decode()
        assert "Aquí no hay nada, o no es para usted." in page


class TestMember:
    def test_keeps_the_chosen_language_on_every_device(self, doctor):
        client = Client()
        client.force_login(doctor.user)
        client.post(CHOOSE, {"language": "fr", "next": "/"})
        doctor.user.refresh_from_db()
        assert doctor.user.language == "fr"
        elsewhere = Client()
        elsewhere.force_login(doctor.user)
        account = reverse("account_change_password")
        assert 'lang="fr"' in spoken(elsewhere, account, accept_language="ar")
        event = AuditEvent.objects.get(action="auth.account_changed")
        assert (event.actor, event.details["fields"]) == (doctor.user, ["language"])
        client.post(CHOOSE, {"language": "fr", "next": "/"})
        assert AuditEvent.objects.filter(action="auth.account_changed").count() == 1

    @pytest.mark.parametrize("language", ["", "tlh", "../en", "EN"])
    def test_cannot_choose_what_is_not_there(self, client, doctor, language):
        client.force_login(doctor.user)
        assert client.post(CHOOSE, {"language": language, "next": "/"}).status_code == 400
        doctor.user.refresh_from_db()
        assert doctor.user.language == ""

    @pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "\\\\evil"])
    def test_is_led_nowhere_else(self, client, target):
        answer = client.post(CHOOSE, {"language": "es", "next": target})
        assert "evil" not in answer["Location"]

    def test_an_unknown_language_in_the_database_does_not_break_pages(self, client, doctor):
        doctor.user.language = "tlh"
        doctor.user.save()
        client.force_login(doctor.user)
        assert 'lang="es"' in spoken(client, "/", accept_language="es")


def test_a_program_is_answered_in_the_language_it_asks_for_under_the_same_code(doctor):
    doctor.user.language = "ar"
    doctor.user.save()
    token = ApiTokenFactory(membership=doctor)
    url = reverse("api:patient-list")
    headers = {"authorization": f"Token {token.secret}", "accept-language": "es"}
    answer = Client().post(url, {}, headers=headers, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert answer.json()["detail"] == "Faltan campos o son incorrectos; vea «fields»."


def test_a_message_is_in_the_members_language_or_else_in_the_clinics(admin):
    admin.clinic.language = "fr"
    assert mail_language(user=admin.user, clinic=admin.clinic) == "fr"
    admin.user.language = "ar"
    assert mail_language(user=admin.user, clinic=admin.clinic) == "ar"


def test_an_invitation_is_in_the_clinics_language(admin):
    admin.clinic.language = "es"
    admin.clinic.save()
    with clinic_scope(admin.clinic_id), translation.override("ar"):
        invitation_create(
            actor=admin.user, clinic_id=admin.clinic_id, email="new@x.example", roles=["doctor"]
        )
    [message] = mail.outbox
    assert message.subject == f"Invitación a {admin.clinic.name}"
    assert "Sus funciones: Médico" in message.body


@pytest.mark.parametrize("language", [code for code, _name in settings.LANGUAGES])
def test_date_fields_speak_the_form_of_browsers_in_every_language(language):
    with translation.override(language):
        form = UseForm(initial={"attested_on": "2026-11-09"})
        assert 'value="2026-11-09"' in str(form["attested_on"])
        form = UseForm({"statement": "x", "reference": "x", "attested_name": "x",
                        "attested_on": "2026-11-09"})  # fmt: skip
        assert form.is_valid(), form.errors


def test_the_clinic_of_a_new_member_decides_nothing_about_pages(client):
    member = MembershipFactory(doctor=True)
    member.clinic.language = "fr"
    member.clinic.save()
    client.force_login(member.user)
    assert 'lang="en"' in spoken(client, "/", accept_language="en")
