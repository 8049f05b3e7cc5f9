"""Who gets what answer on which route: generated over the URLconf.

What people of other clinics get is in ``tests/security/test_tenancy_matrix.py``.
"""

import pytest

from accounts.models import ApiToken, AuditEvent, Role
from diagnosis.models import ResumableUpload
from tests.diagnosis.api.conftest import API, client_of, person, world_of
from tests.diagnosis.api.routes import ROUTES, send
from tests.factories import ClinicFactory, MembershipFactory, PatientFactory, StudyFactory

pytestmark = pytest.mark.django_db
UNSAFE = [route for route in ROUTES if not route.is_safe]


def test_the_routes_are_those_of_the_contract():
    assert {str(route) for route in ROUTES} == {
        "get me",
        "get patient-list",
        "post patient-list",
        "get patient-detail",
        "patch patient-detail",
        "post patient-merge",
        "post patient-unmerge",
        "get retention",
        "put retention",
        "post patient-erase",
        "post patient-hold",
        "post patient-release-hold",
        "post patient-export",
        "get erasure-list",
        "get erasure-detail",
        "post erasure-cancel",
        "post erasure-retry",
        "get export-detail",
        "post export-file",
        "get study-list",
        "post study-list",
        "get study-detail",
        "patch study-detail",
        "post study-images",
        "post study-analyses",
        "post study-move",
        "post study-claim",
        "post study-release",
        "post study-assign",
        "get study-deidentified",
        "get image-detail",
        "get image-file",
        "get image-rendition",
        "get image-thumbnail",
        "get image-heatmap",
        "get image-photo",
        "post image-move",
        "post study-uploads",
        "get upload-detail",
        "patch upload-detail",
        "delete upload-detail",
        "post upload-image",
        "get study-findings",
        "post study-findings",
        "get finding-detail",
        "patch finding-detail",
        "post finding-accept",
        "post finding-reject",
        "post finding-undo",
        "get alert-list",
        "post alert-acknowledge",
        "get report-list",
        "post report-list",
        "get report-detail",
        "patch report-detail",
        "post report-sign",
        "post report-amend",
        "post report-agree",
        "post report-disagree",
        "post report-withdraw",
        "post study-first-read",
        "get study-preliminary",
        "post study-preliminary",
        "get discrepancy-list",
        "get discrepancy-detail",
        "post discrepancy-rate",
        "post discrepancy-resolve",
        "get recall-list",
        "get recall-detail",
        "post recall-contacts",
        "post recall-close",
        "get macro-list",
        "post macro-list",
        "get macro-detail",
        "delete macro-detail",
        "get study-annotations",
        "post image-annotations",
        "put annotation-detail",
        "delete annotation-detail",
        "get study-key-images",
        "post image-key-images",
        "get keyimage-detail",
        "get keyimage-file",
        "delete keyimage-detail",
        "get report-pdf",
        "get destination-list",
        "post destination-list",
        "get destination-detail",
        "patch destination-detail",
        "post destination-test",
        "get delivery-list",
        "get delivery-detail",
        "post delivery-send-again",
        "get dashboard",
        "get model-list",
        "get audit-event-list",
    }


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_nobody_gets_401(route, nobody, world):
    response = send(nobody, route, world)
    assert response.status_code == 401
    assert response.json()["code"] == "not_authenticated"
    assert response.headers["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_wrong_token_gets_401(route, nobody, world):
    response = send(nobody, route, world, HTTP_AUTHORIZATION="Token fs_wrong")
    assert response.status_code == 401
    assert response.json()["code"] == "invalid_token"


@pytest.mark.parametrize("route", UNSAFE, ids=str)
def test_read_token_changes_nothing(route, everything, world):
    client = client_of(everything.membership, ApiToken.Scope.READ)
    response = send(client, route, world)
    assert response.status_code == 403
    assert response.json()["code"] == "permission_denied"


@pytest.mark.parametrize("route", [r for r in ROUTES if r.is_safe], ids=str)
def test_read_token_reads(route, everything, world, in_clinic):
    if route.noun == "upload":  # seen by the person who began it alone
        with in_clinic():
            ResumableUpload.objects.update(owner=everything.user)
    if route.name in {"report-pdf", "study-deidentified"}:
        return  # nothing is signed here, no image is real; see test_reports, test_deidentified
    client = client_of(everything.membership, ApiToken.Scope.READ)
    assert send(client, route, world).status_code == 200


DENIED = [
    ("put retention", Role.DOCTOR, "retention.manage"),
    ("post patient-erase", Role.DOCTOR, "patient.erase"),
    ("post patient-hold", Role.TECHNICIAN, "retention.manage"),
    ("post patient-release-hold", Role.DOCTOR, "retention.manage"),
    ("post patient-export", Role.DOCTOR, "patient.export"),
    ("post erasure-cancel", Role.DOCTOR, "retention.manage"),
    ("post erasure-retry", Role.TECHNICIAN, "patient.erase"),
    ("post export-file", Role.DOCTOR, "patient.export"),
    ("post patient-list", Role.CLINIC_ADMIN, "patient.edit"),
    ("patch patient-detail", Role.CLINIC_ADMIN, "patient.edit"),
    ("post patient-merge", Role.TECHNICIAN, "patient.merge"),
    ("post patient-unmerge", Role.TECHNICIAN, "patient.merge"),
    ("post study-list", Role.CLINIC_ADMIN, "study.edit"),
    ("patch study-detail", Role.CLINIC_ADMIN, "study.edit"),
    ("post study-images", Role.CLINIC_ADMIN, "image.upload"),
    ("post study-uploads", Role.CLINIC_ADMIN, "image.upload"),
    ("patch upload-detail", Role.CLINIC_ADMIN, "image.upload"),
    ("delete upload-detail", Role.CLINIC_ADMIN, "image.upload"),
    ("post upload-image", Role.CLINIC_ADMIN, "image.upload"),
    ("post study-analyses", Role.CLINIC_ADMIN, "analysis.request"),
    ("post study-move", Role.CLINIC_ADMIN, "image.move"),
    ("post study-claim", Role.TECHNICIAN, "study.claim"),
    ("post study-release", Role.TECHNICIAN, "study.claim"),
    ("post study-assign", Role.TECHNICIAN, "study.assign"),
    ("post alert-acknowledge", Role.TECHNICIAN, "study.claim"),
    ("post image-move", Role.CLINIC_ADMIN, "image.move"),
    ("post study-findings", Role.TECHNICIAN, "finding.review"),
    ("patch finding-detail", Role.TECHNICIAN, "finding.review"),
    ("post finding-accept", Role.TECHNICIAN, "finding.review"),
    ("post finding-reject", Role.TECHNICIAN, "finding.review"),
    ("post finding-undo", Role.CLINIC_ADMIN, "finding.review"),
    ("post report-list", Role.TECHNICIAN, "report.write"),
    ("patch report-detail", Role.TECHNICIAN, "report.write"),
    ("post report-sign", Role.TECHNICIAN, "report.sign"),
    ("post report-amend", Role.TECHNICIAN, "report.write"),
    ("get study-deidentified", Role.TECHNICIAN, "study.export"),
    ("post destination-list", Role.DOCTOR, "destination.manage"),
    ("patch destination-detail", Role.DOCTOR, "destination.manage"),
    ("post destination-test", Role.DOCTOR, "destination.manage"),
    ("post delivery-send-again", Role.TECHNICIAN, "delivery.send"),
    ("post report-agree", Role.TECHNICIAN, "report.sign"),
    ("post report-disagree", Role.TECHNICIAN, "report.sign"),
    ("post report-withdraw", Role.TECHNICIAN, "report.sign"),
    ("post study-first-read", Role.TECHNICIAN, "finding.review"),
    ("get audit-event-list", Role.DOCTOR, "audit.view"),
    ("post study-preliminary", Role.TECHNICIAN, "finding.review"),
    ("post discrepancy-rate", Role.TECHNICIAN, "discrepancy.resolve"),
    ("post discrepancy-resolve", Role.TECHNICIAN, "discrepancy.resolve"),
    ("post recall-contacts", Role.CLINIC_ADMIN, "recall.manage"),
    ("post recall-close", Role.CLINIC_ADMIN, "recall.manage"),
    ("post macro-list", Role.DOCTOR, "clinic.settings"),
    ("delete macro-detail", Role.TECHNICIAN, "report.write"),
    ("post image-annotations", Role.CLINIC_ADMIN, "image.annotate"),
    ("put annotation-detail", Role.CLINIC_ADMIN, "image.annotate"),
    ("delete annotation-detail", Role.CLINIC_ADMIN, "image.annotate"),
    ("post image-key-images", Role.TECHNICIAN, "report.write"),
    ("delete keyimage-detail", Role.TECHNICIAN, "report.write"),
    ("get dashboard", Role.TECHNICIAN, "dashboard.view"),
]


def test_every_change_has_a_role_that_may_not():
    assert {str(route) for route in UNSAFE} <= {name for name, _, _ in DENIED}


@pytest.mark.parametrize(("name", "role", "action"), DENIED, ids=[case[0] for case in DENIED])
def test_denied_action_gets_403_and_stays_in_the_audit_trail(
    name, role, action, clinic, world, in_clinic
):
    route = next(route for route in ROUTES if str(route) == name)
    denied = person(clinic, role)
    if route.noun == "upload":  # begun before they lost the role; others' are not seen at all
        with in_clinic():
            ResumableUpload.objects.update(owner=denied.user)
    response = send(denied.client, route, world)
    assert response.status_code == 403, response.content
    assert response.json()["code"] == "permission_denied"
    with in_clinic():
        event = AuditEvent.objects.get(actor=denied.user, outcome=AuditEvent.Outcome.DENIED)
    assert (event.action, event.clinic_id) == (action, clinic.pk)


def test_ids_in_bodies_are_checked_as_those_in_addresses(doctor, world):
    other = ClinicFactory()
    foreign = world_of(other, MembershipFactory(clinic=other).user)
    client = doctor.client
    cases = [
        ("studies/", {"patient": foreign.patient.pk}),
        ("reports/", {"study": foreign.study.pk}),
        (f"patients/{world.patient.pk}/merge/", {"into": foreign.patient.pk}),
        (f"studies/{world.study.pk}/move/", {"patient": foreign.patient.pk}),
        (f"images/{world.image.pk}/move/", {"study": foreign.study.pk}),
    ]
    for path, data in cases:
        response = client.post(API + path, data)
        assert (response.status_code, response.json()["code"]) == (404, "not_found"), path


def test_filters_by_foreign_ids_find_nothing(stranger, world):
    get = stranger.client.get
    assert get(f"{API}studies/?patient={world.patient.pk}").json()["results"] == []
    assert get(f"{API}reports/?study={world.study.pk}").json()["results"] == []


def test_token_acts_in_its_own_clinic_only(doctor, world):
    """A person in two clinics sees with each token the rows of one."""
    other = ClinicFactory()
    second = MembershipFactory(user=doctor.user, clinic=other)
    mine = StudyFactory(patient=PatientFactory(clinic=other))
    listed = client_of(second).get(f"{API}studies/").json()["results"]
    assert [row["id"] for row in listed] == [str(mine.pk)]
    assert client_of(second).get(f"{API}studies/{world.study.pk}/").status_code == 404


def test_session_works_with_csrf_token_only(doctor, world):
    client = type(doctor.client)(enforce_csrf_checks=True)
    client.force_login(doctor.user)
    assert client.get(f"{API}me/").json()["token"] is None
    response = client.post(f"{API}patients/", {"record_number": "1", "family_name": "X"})
    assert (response.status_code, response.json()["code"]) == (403, "permission_denied")


def test_member_who_left_is_out_at_once(doctor, world):
    doctor.membership.is_active = False
    doctor.membership.save()
    assert doctor.client.get(f"{API}studies/").status_code == 401


def test_unknown_addresses_answer_json(doctor, nobody):
    for path in ("nothing/", "patients/1/", "patients", "studies/%00/", "images/x/file/"):
        response = doctor.client.get(API + path)
        assert (response.status_code, response.json()["code"]) == (404, "not_found"), path
        assert nobody.get(API + path).status_code == 401
