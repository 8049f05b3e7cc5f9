"""A clinic that asks everybody for a second factor: without one there is no way to a patient."""

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Clinic
from accounts.services import clinic_update
from accounts.tenancy import clinic_scope
from fracture_site.common.errors import DomainError
from tests.factories import ApiTokenFactory, MembershipFactory, StudyFactory

pytestmark = pytest.mark.django_db
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture
def strict(doctor):
    Clinic.objects.filter(pk=doctor.clinic_id).update(second_factor_required=True)
    return doctor


def test_without_a_second_factor_no_route_tells_of_a_patient(strict, sign_in):
    study = StudyFactory(patient__clinic=strict.clinic, patient__family_name="Wallflower")
    client = sign_in(strict.user)
    for address in ("/", f"/studies/{study.pk}/", "/patients/", "/tokens/", "/clinic/"):
        assert client.get(address)["Location"] == reverse("mfa_index"), address
    answer = client.get("/api/v1/studies/")
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_required")
    answer = client.get("/fhir/R4/Patient")
    assert answer.status_code == 403
    page = client.get(reverse("mfa_index"))
    assert page.status_code == 200
    assert b"asks for a second factor" in page.content


def test_what_is_tried_without_one_stays_in_the_trail(strict, sign_in):
    client = sign_in(strict.user)
    client.post("/patients/new/", {"record_number": "1", "family_name": "X"})
    event = AuditEvent.objects.get(actor=strict.user, outcome="denied")
    assert event.action == "clinic.enter"


def test_a_part_of_a_page_leads_there_as_a_whole(strict, sign_in):
    answer = sign_in(strict.user).get("/worklist/news/", headers={"HX-Request": "true"})
    assert answer.headers["HX-Redirect"] == reverse("mfa_index")


def test_it_opens_with_a_code_and_not_with_spare_codes_alone(strict, sign_in):
    client = sign_in(strict.user)
    RecoveryCodes.activate(strict.user)
    assert client.get("/").status_code == 302
    totp.TOTP.activate(strict.user, SECRET)
    assert client.get("/").status_code == 200


def test_it_counts_from_the_next_request_and_for_this_clinic_alone(doctor, sign_in):
    client = sign_in(doctor.user)
    assert client.get("/").status_code == 200
    Clinic.objects.filter(pk=doctor.clinic_id).update(second_factor_required=True)
    assert client.get("/").status_code == 302
    assert sign_in(MembershipFactory().user).get("/").status_code == 200


def test_a_programs_token_goes_on(strict):
    token = ApiTokenFactory(membership=strict)
    client = Client(headers={"Authorization": f"Token {token.secret}"})
    assert client.get("/api/v1/studies/").status_code == 200


def test_who_asks_everybody_for_one_needs_one_first(admin):
    with clinic_scope(admin.clinic_id):
        with pytest.raises(DomainError) as refused:
            clinic_update(actor=admin.user, clinic=admin.clinic, second_factor_required=True)
        assert refused.value.code == "second_factor_missing"
        totp.TOTP.activate(admin.user, SECRET)
        clinic_update(actor=admin.user, clinic=admin.clinic, second_factor_required=True)
    admin.clinic.refresh_from_db()
    assert admin.clinic.second_factor_required


def test_the_page_says_why_it_is_not_saved(admin, sign_in):
    client = sign_in(admin.user)
    clinic = admin.clinic
    answer = client.post("/clinic/", {
        "name": clinic.name, "time_zone": "UTC", "language": "en", "second_reader": "never",
        "second_factor_required": "on",
    })  # fmt: skip
    assert b"Set up a second factor of your own first" in answer.content
