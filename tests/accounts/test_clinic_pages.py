"""The clinic's settings and its audit log; who may open the pages of an administrator."""

import datetime

import pytest
import time_machine
from django.db import DatabaseError, transaction
from django.test import Client
from django.urls import reverse

from accounts.audit import audit_record
from accounts.models import AuditEvent, UseAttestation
from accounts.policy import ActionDeniedError
from accounts.services import clinic_update, clinic_use_attest, member_update
from accounts.tenancy import clinic_scope
from fracture_site.common.errors import DomainError
from tests.factories import PASSWORD, ClinicFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db
ADMIN_PAGES = ["clinic-settings", "members", "audit-log"]
SETTINGS = {"name": "New name", "address": "Street 1", "time_zone": "Europe/Berlin",
            "language": "fr", "second_reader": "never"}  # fmt: skip


def events(clinic_id, **filters) -> list[AuditEvent]:
    with clinic_scope(clinic_id):
        return list(AuditEvent.objects.filter(clinic_id=clinic_id, **filters).order_by("id"))


@pytest.mark.parametrize("name", [*ADMIN_PAGES, "tokens"])
class TestDoors:
    def test_an_administrator_comes_in(self, client, admin, name):
        client.force_login(admin.user)
        assert client.get(reverse(f"accounts:{name}")).status_code == 200

    def test_nobody_is_sent_to_sign_in(self, client, name):
        url = reverse(f"accounts:{name}")
        assert client.get(url)["Location"] == f"/accounts/login/?next={url}"

    def test_people_without_clinic_stay_out(self, client, name):
        client.force_login(UserFactory(is_staff=True, is_superuser=True))
        assert client.get(reverse(f"accounts:{name}")).status_code == 403


@pytest.mark.parametrize("name", ADMIN_PAGES)
@pytest.mark.parametrize("role", ["doctor", "technician"])
def test_other_members_are_refused_and_that_is_audited(client, admin, name, role):
    member = MembershipFactory(clinic=admin.clinic, roles=[role])
    client.force_login(member.user)
    assert client.get(reverse(f"accounts:{name}")).status_code == 403
    (event,) = events(admin.clinic_id, outcome="denied")
    assert event.actor == member.user


class TestSettings:
    def test_are_changed_and_the_names_of_the_changes_audited(self, client, admin):
        client.force_login(admin.user)
        assert client.post(reverse("accounts:clinic-settings"), SETTINGS).status_code == 302
        admin.clinic.refresh_from_db()
        assert (admin.clinic.name, admin.clinic.language) == ("New name", "fr")
        (event,) = events(admin.clinic_id, action="clinic.update")
        assert event.details["fields"] == ["name", "address", "time_zone", "language"]
        client.post(reverse("accounts:clinic-settings"), SETTINGS)
        assert len(events(admin.clinic_id, action="clinic.update")) == 1

    def test_the_answer_does_not_tell_which_other_clinics_there_are(self, client, admin):
        ClinicFactory(name="Taken")
        client.force_login(admin.user)
        answer = client.post(reverse("accounts:clinic-settings"), SETTINGS | {"name": "Taken"})
        assert answer.status_code == 302
        admin.clinic.refresh_from_db()
        assert admin.clinic.name == "Taken"

    def test_fields_that_are_not_offered_cannot_be_set(self, client, admin):
        client.force_login(admin.user)
        client.post(
            reverse("accounts:clinic-settings"),
            SETTINGS | {"is_active": "", "id": "1", "created_at": "2000-01-01"},
        )
        created = admin.clinic.created_at
        admin.clinic.refresh_from_db()
        assert (admin.clinic.is_active, admin.clinic.created_at) == (True, created)

    def test_the_service_refuses_others_and_unknown_zones(self, admin, doctor, stranger):
        with clinic_scope(admin.clinic_id):
            for other in (doctor, stranger):
                with pytest.raises(ActionDeniedError):
                    clinic_update(actor=other.user, clinic=admin.clinic, name="Mine")
            with pytest.raises(DomainError, match="language_unknown"):
                clinic_update(actor=admin.user, clinic=admin.clinic, language="tlh")
            with pytest.raises(DomainError, match="time_zone_unknown"):
                clinic_update(actor=admin.user, clinic=admin.clinic, time_zone="Moon/Crater")


class TestIntendedUse:
    url = "/clinic/use/"
    words = {"statement": "Allowed by the ethics board", "reference": "EB 12/2026",
             "attested_name": "Dr. Example", "attested_on": "2026-01-05"}  # fmt: skip

    @pytest.fixture
    def fresh(self, admin) -> Client:
        """Return a session that has just proved who is there."""
        client = Client()
        client.post("/accounts/login/", {"login": admin.user.email, "password": PASSWORD})
        return client

    def test_is_attested_with_words_and_taken_back(self, fresh, admin):
        page = fresh.get("/clinic/").content.decode()
        assert page.count("Research use only. Not a medical device.") == 2
        assert fresh.post(self.url, self.words).status_code == 302
        admin.clinic.refresh_from_db()
        assert admin.clinic.intended_use == "cleared"
        page = fresh.get("/clinic/").content.decode()
        assert "EB 12/2026" in page
        assert "Not a medical device" not in page
        fresh.post(self.url, {"withdraw": "1"})
        fresh.post(self.url, {"withdraw": "1"})
        admin.clinic.refresh_from_db()
        assert admin.clinic.intended_use == "research"
        with clinic_scope(admin.clinic_id):
            assert list(admin.clinic.attestations.values_list("cleared", flat=True)) == [
                False, True,
            ]  # fmt: skip
        assert [e.action for e in events(admin.clinic_id, action__startswith="clinic.use")] == [
            "clinic.use_attest", "clinic.use_withdraw",
        ]  # fmt: skip

    @pytest.mark.parametrize("name", ["statement", "reference", "attested_name", "attested_on"])
    def test_needs_every_word(self, fresh, admin, name):
        for value in ("", " "):
            assert fresh.post(self.url, self.words | {name: value}).status_code == 200
        assert fresh.post(self.url, self.words | {"attested_on": "2999-01-01"}).status_code == 200
        admin.clinic.refresh_from_db()
        assert admin.clinic.intended_use == "research"

    def test_asks_who_is_there(self, client, admin):
        client.force_login(admin.user)
        answer = client.post(self.url, self.words)
        assert "reauthenticate" in answer["Location"]
        admin.clinic.refresh_from_db()
        assert admin.clinic.intended_use == "research"

    def test_nobody_else_attests(self, doctor, stranger, admin):
        values = {**self.words, "attested_on": datetime.date(2026, 1, 5)}
        for other in (doctor, stranger):
            with clinic_scope(admin.clinic_id), pytest.raises(ActionDeniedError):
                clinic_use_attest(actor=other.user, clinic=admin.clinic, **values)

    def test_what_was_attested_is_never_changed(self, fresh, admin):
        fresh.post(self.url, self.words)
        with clinic_scope(admin.clinic_id), pytest.raises(DatabaseError), transaction.atomic():
            UseAttestation.objects.update(reference="other")


class TestReadingRules:
    def test_a_member_in_training_reads_first(self, admin, doctor):
        with clinic_scope(admin.clinic_id):
            member_update(actor=admin.user, membership=doctor, roles=doctor.roles, in_training=True)
            doctor.refresh_from_db()
            assert doctor.reads_first
            member_update(actor=admin.user, membership=doctor, roles=["doctor", "technician"])
            doctor.refresh_from_db()
            assert doctor.in_training
        (event,) = events(admin.clinic_id, action="member.reading")
        assert event.details["in_training"] is True


class TestAuditLog:
    url = "/clinic/audit/"

    @pytest.fixture
    def reader(self, admin) -> Client:
        client = Client()
        client.force_login(admin.user)
        return client

    def record(self, member, action, day=20):
        moment = datetime.datetime(2026, 11, day, 12, tzinfo=datetime.UTC)
        with time_machine.travel(moment, tick=False), clinic_scope(member.clinic_id):
            return audit_record(actor=member.user, action=action, clinic_id=member.clinic_id)

    def shown(self, reader, **query) -> list[str]:
        page = reader.get(self.url, query).content.decode()
        return [a for a in ("one.first", "one.second", "two.third", "far.away") if a in page]

    def test_shows_this_clinic_only(self, reader, admin, stranger):
        self.record(admin, "one.first")
        self.record(stranger, "far.away")
        assert self.shown(reader) == ["one.first"]

    def test_filters_by_action_person_and_day(self, reader, admin, doctor):
        self.record(admin, "one.first", day=1)
        self.record(doctor, "one.second", day=2)
        self.record(doctor, "two.third", day=3)
        assert self.shown(reader, action="one.") == ["one.first", "one.second"]
        assert self.shown(reader, person=str(doctor.pk)) == ["one.second", "two.third"]
        assert self.shown(reader, since="2026-11-02", until="2026-11-02") == ["one.second"]
        assert self.shown(reader, until="2026-11-01", person=str(doctor.pk)) == []

    def test_people_of_another_clinic_cannot_be_asked_for(self, reader, admin, stranger):
        self.record(admin, "one.first")
        answer = reader.get(self.url, {"person": str(stranger.pk)})
        assert answer.status_code == 200
        assert stranger.user.display_name not in answer.content.decode()

    @pytest.mark.parametrize("query", ["before=x", "since=yesterday", "person=1", "action=%00"])
    def test_nonsense_in_the_address_is_harmless(self, reader, query):
        assert reader.get(f"{self.url}?{query}").status_code == 200

    def test_goes_back_page_by_page_without_gaps(self, reader, admin):
        with clinic_scope(admin.clinic_id):
            for number in range(120):
                audit_record(actor=None, action=f"n.{number:03}", clinic_id=admin.clinic_id)
        seen, url = [], f"{self.url}?action=n."
        for _ in range(3):
            answer = reader.get(url)
            seen += [event.action for event in answer.context["events"]]
            url = f"{self.url}?action=n.&before={answer.context['older']}"
        assert seen == [f"n.{number:03}" for number in reversed(range(120))]
        assert answer.context["older"] is None

    def test_opening_it_is_an_event_and_turning_pages_is_not(self, reader, admin):
        reader.get(self.url)
        reader.get(f"{self.url}?before=999999999")
        assert len(events(admin.clinic_id, action="audit.view")) == 1

    def test_a_page_needs_the_same_number_of_queries_for_any_number_of_events(
        self, reader, admin, django_assert_max_num_queries
    ):
        for _ in range(30):
            self.record(admin, "one.first")
        reader.get(self.url)
        with django_assert_max_num_queries(20):
            reader.get(self.url)
