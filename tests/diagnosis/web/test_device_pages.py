"""Pages of devices."""

import pytest
from django.urls import reverse

from accounts.models import Membership, Role
from accounts.tenancy import clinic_scope
from diagnosis.models import Device
from diagnosis.services.devices import device_find
from tests.factories import DeviceFactory, MembershipFactory

pytestmark = pytest.mark.django_db
FORM = {"name": "Room 1", "ae_title": "XRAY1", "address": "10.0.0.7", "is_enabled": "on"}


@pytest.fixture
def admin(client):
    member = MembershipFactory(roles=[Role.CLINIC_ADMIN])
    client.force_login(member.user)
    return member


def page(name: str, *args) -> str:
    return reverse(f"diagnosis:{name}", args=args)


def found(title="XRAY1", address="10.0.0.7", certificate=""):
    return device_find(ae_title=title, address=address, certificate_sha256=certificate)


def test_a_device_is_a_technician_that_cannot_sign_in(client, admin):
    assert client.post(page("device-create"), FORM).status_code == 302

    device_id, clinic_id = found()
    assert clinic_id == admin.clinic_id
    with clinic_scope(clinic_id):
        device = Device.objects.select_related("membership__user").get(pk=device_id)
    assert device.membership.roles == [Role.TECHNICIAN]
    assert not device.membership.user.has_usable_password()
    assert found(address="10.0.0.8") is None
    assert found(title="XRAY2") is None
    assert found(certificate="a" * 64) is None
    assert "Room 1" in client.get(page("devices")).content.decode()


def test_a_device_that_is_switched_off_loses_its_rights(client, admin):
    client.post(page("device-create"), FORM)
    device_id, _clinic = found()

    client.post(page("device-edit", device_id), FORM | {"is_enabled": ""})

    assert found() is None
    assert not Membership.objects.get(clinic=admin.clinic, roles=[Role.TECHNICIAN]).is_active


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"address": ""}, "fingerprint of its certificate, or its IP"),
        ({"ae_title": "back\\slash"}, "AE title has 1 to 16"),
        ({"certificate_sha256": "xyz"}, "64 hexadecimal digits of the fingerprint"),
        ({"name": ""}, "This field is required"),
    ],
)
def test_what_cannot_work_is_said(client, admin, change, words):
    response = client.post(page("device-create"), FORM | change)
    assert response.status_code == 422
    assert words in response.content.decode()


def test_two_clinics_cannot_have_the_same_machine(client, admin):
    DeviceFactory(ae_title="XRAY1", address="10.0.0.7")
    response = client.post(page("device-create"), FORM)
    assert response.status_code == 422
    assert "in use with the same certificate or address" in response.content.decode()


def test_a_foreign_device_is_404(client, admin):
    assert client.get(page("device-edit", DeviceFactory().pk)).status_code == 404


def test_doctors_manage_no_devices(client, admin):
    client.force_login(MembershipFactory(clinic=admin.clinic, roles=[Role.DOCTOR]).user)
    assert client.get(page("devices")).status_code == 403
