"""Site administrators let systems send HL7 messages, and stop them, in the admin."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.tenancy import clinic_scope
from diagnosis.models import Hl7Sender
from tests.factories import MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(db) -> Client:
    client = Client()
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    return client


def page() -> str:
    return reverse("admin:diagnosis_hl7sender_changelist")


def form(member, **changes) -> dict:
    return {
        "membership": str(member.pk), "sending_application": "RIS", "networks": "10.0.0.0/8",
        **changes,
    }  # fmt: skip


def sender(member) -> Hl7Sender:
    with clinic_scope(member.clinic_id):
        return Hl7Sender.objects.get()


def test_senders_of_all_clinics_are_added_listed_and_stopped(root):
    one, two = MembershipFactory(), MembershipFactory()
    assert root.post(page(), form(one)).status_code == 302
    assert root.post(page(), form(two, procedures='{"XR": {"side": "left"}}')).status_code == 302

    text = root.get(page()).content.decode()
    assert one.clinic.name in text
    assert two.clinic.name in text
    assert sender(two).procedures == {"XR": {"side": "left"}}
    stop = f"{one.clinic_id}/{sender(one).pk}"
    assert root.post(page(), {"stop": stop}).status_code == 302
    assert (sender(one).is_active, sender(two).is_active) == (False, True)


@pytest.mark.parametrize(
    "changes",
    [{"networks": ""}, {"networks": "nonsense"}, {"certificate_sha256": "12"},
     {"procedures": "{"}, {"procedures": '{"XR": {"side": "up"}}'}],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_a_sentence(root, changes):
    member = MembershipFactory()
    answer = root.post(page(), form(member, **changes))
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    with clinic_scope(member.clinic_id):
        assert not Hl7Sender.objects.exists()


def test_members_of_clinics_and_wrong_ids_find_nothing(root):
    assert root.post(page(), {"stop": "1/2"}).status_code == 404
    client = Client()
    client.force_login(MembershipFactory().user)
    assert client.get(page(), follow=True).status_code == 403
