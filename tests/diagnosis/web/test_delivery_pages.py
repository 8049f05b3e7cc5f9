"""Pages of destinations and deliveries."""

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role
from accounts.tenancy import clinic_scope
from diagnosis.models import Delivery, Destination
from fracture_site.common.sealing import unseal
from tests.factories import DeliveryFactory, DestinationFactory, MembershipFactory, StudyFactory

pytestmark = pytest.mark.django_db
FORM = {
    "name": "PACS", "kind": "dicom_cstore", "host": "pacs.example", "port": "104",
    "called_ae_title": "PACS", "calling_ae_title": "US", "events": ["report.signed"],
    "contents": ["sr", "pdf"], "is_enabled": "on",
}  # fmt: skip


@pytest.fixture
def admin(client):
    member = MembershipFactory(roles=[Role.CLINIC_ADMIN])
    client.force_login(member.user)
    return member


@pytest.fixture
def doctor(client, admin):
    member = MembershipFactory(clinic=admin.clinic, roles=[Role.DOCTOR])
    client.force_login(member.user)
    return member


def stored(clinic_id) -> Destination:
    with clinic_scope(clinic_id):
        return Destination.objects.get()


def page(name: str, *args) -> str:
    return reverse(f"diagnosis:{name}", args=args)


def test_a_destination_is_set_up_and_its_secrets_are_sealed_and_never_shown(client, admin):
    form = FORM | {"kind": "dicom_stow", "url": "https://pacs.example/dw", "bearer_token": "s3cr"}
    assert client.post(page("destination-create"), form).status_code == 302

    made = stored(admin.clinic_id)
    assert unseal(made.secrets) == {"bearer_token": "s3cr"}
    assert b"s3cr" not in bytes(made.secrets)
    assert "s3cr" not in client.get(page("destination-edit", made.pk)).content.decode()


def test_what_is_left_empty_keeps_the_secret_and_another_address_forgets_it(client, admin):
    form = FORM | {"kind": "dicom_stow", "url": "https://pacs.example/dw", "bearer_token": "s3cr"}
    client.post(page("destination-create"), form)
    made = stored(admin.clinic_id)

    client.post(page("destination-edit", made.pk), form | {"bearer_token": "", "name": "Other"})
    assert unseal(stored(admin.clinic_id).secrets) == {"bearer_token": "s3cr"}

    moved = {"bearer_token": "", "url": "https://evil.example/dw"}
    client.post(page("destination-edit", made.pk), form | moved)
    assert unseal(stored(admin.clinic_id).secrets) == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"host": ""}, "name or address of the machine"),
        ({"port": "70000"}, "65535"),
        ({"called_ae_title": "back\\slash"}, "AE title"),
        ({"events": []}, "Choose when something is sent"),
        ({"kind": "dicom_stow", "url": "ftp://x"}, "begins with https"),
        ({"kind": "dicom_stow", "url": "https://user:pw@x/"}, "begins with https"),
        ({"kind": "webhook"}, "begins with https"),
        ({"kind": "carrier_pigeon"}, "not one of the available choices"),
    ],
)
def test_what_cannot_work_is_said_at_its_field(client, admin, change, words):
    response = client.post(page("destination-create"), FORM | change)
    assert response.status_code == 422
    assert words in response.content.decode()


def test_a_name_is_taken_once(client, admin):
    DestinationFactory(clinic=admin.clinic, name="PACS")
    response = client.post(page("destination-create"), FORM)
    assert response.status_code == 422
    assert "Another destination has this name" in response.content.decode()


def test_the_test_says_what_is_wrong(client, admin):
    made = DestinationFactory(clinic=admin.clinic, port=1)
    response = client.post(page("destination-test", made.pk), follow=True)
    assert "Nobody answers at this address" in response.content.decode()


def test_failed_deliveries_say_why_and_are_sent_again(client, admin, doctor):
    study = StudyFactory(patient__clinic=admin.clinic)
    made = DeliveryFactory(
        study=study, status="failed", error_code="peer_refused", finished_at=timezone.now()
    )
    shown = client.get(page("deliveries")).content.decode()
    assert "did not accept what was sent" in shown
    assert "did not accept" in client.get(page("study-detail", study.pk)).content.decode()

    client.post(page("delivery-again", made.pk))

    with clinic_scope(study.clinic_id):
        assert Delivery.objects.get().status == "queued"


def test_a_foreign_clinics_rows_are_404(client, admin):
    for name, foreign in (
        ("destination-edit", DestinationFactory()),
        ("destination-test", DestinationFactory()),
        ("delivery-again", DeliveryFactory()),
        ("delivery-cancel", DeliveryFactory()),
    ):
        assert client.post(page(name, foreign.pk), FORM).status_code == 404


def test_doctors_see_deliveries_and_no_destinations(client, doctor):
    assert client.get(page("destinations")).status_code == 403
    assert client.get(page("deliveries")).status_code == 200
    assert client.get(page("deliveries") + "?status=failed&destination=x&page=9").status_code == 200
