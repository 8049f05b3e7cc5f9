"""Whose key opens what waits on a device, and what a page tells of it."""

import json
import re
from base64 import urlsafe_b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client

from accounts.device_keys import device_marks
from accounts.models import Role
from tests.factories import MembershipFactory

pytestmark = pytest.mark.django_db
KEY = "/upload-queue/key/"


def signed_in(membership) -> Client:
    client = Client()
    client.force_login(membership.user)
    return client


def told(client: Client) -> dict[str, object]:
    page = client.get("/patients/").content.decode()
    return json.loads(re.search(r'id="queue-identity" type="application/json">(.*?)<', page)[1])


def number(text: str) -> int:
    return int.from_bytes(urlsafe_b64decode(text + "="), "big")


def test_a_page_locks_with_the_public_half_of_the_key_that_opens():
    client = signed_in(MembershipFactory(technician=True))
    page, answer = told(client), client.get(KEY)
    key = answer.json()["key"]
    public = ec.derive_private_key(number(key["d"]), ec.SECP256R1()).public_key().public_numbers()

    assert (public.x, public.y) == (number(key["x"]), number(key["y"]))
    assert page["lock"] == {name: value for name, value in key.items() if name != "d"}
    assert key["d"] not in json.dumps(page)
    assert "no-store" in answer["Cache-Control"]
    assert client.get(KEY).json()["key"] == key  # what was locked last week still opens
    assert {name: page[name] for name in ("person", "clinic")} == {
        name: answer.json()[name] for name in ("person", "clinic")
    }


def test_each_person_and_each_clinic_has_other_marks_and_says_nothing_of_the_id():
    first = MembershipFactory(technician=True)
    colleague = MembershipFactory(technician=True, clinic=first.clinic)
    elsewhere = MembershipFactory(technician=True)
    own, other = (signed_in(each).get(KEY).json() for each in (first, colleague))

    assert own["key"]["d"] != other["key"]["d"]
    assert own["person"] != other["person"]
    assert own["clinic"] != other["clinic"]
    marks = device_marks(user_id=first.user_id, clinic_id=elsewhere.clinic_id)
    assert (marks["person"], marks["clinic"] == own["clinic"]) == (own["person"], False)
    assert first.user.pk.hex[:8] not in json.dumps(own)


def test_who_may_not_upload_gets_no_key_and_no_queue():
    administrator = signed_in(MembershipFactory(roles=[Role.CLINIC_ADMIN]))

    assert administrator.get(KEY).status_code == 403
    assert "queue-identity" not in administrator.get("/clinic/").content.decode()
    assert Client().get(KEY).status_code == 302
