"""Another clinic's study by every DICOMweb route; the routes come from the URLconf."""

import re

import pytest

from accounts.models import ApiToken, Role
from accounts.tenancy import clinic_scope
from diagnosis.api.dicomweb.urls import urlpatterns
from diagnosis.interop.dicom_identity import image_uid, series_uid, study_uid
from diagnosis.models import StudyImage
from tests.factories import MembershipFactory
from tests.interop.test_dicomweb import client_of
from tests.support.dicom_studies import dicom, study_with

pytestmark = pytest.mark.django_db
ROUTES = [
    (str(route.pattern), method)
    for route in urlpatterns
    for method, action in route.callback.actions.items()
    if method in {"get", "post"} and action != "store"
]


def world(clinic_member):
    """A study of the member's clinic with what every route needs to name it."""
    made = study_with(dicom(1), member=clinic_member)
    with clinic_scope(clinic_member.clinic_id):
        image = StudyImage.objects.select_related("study").get()
        return {
            "study": study_uid(image.study),
            "series": series_uid(image.study, image),
            "instance": image_uid(image),
            "frames": "1",
            "tag": "7FE00010",
        }, made


def filled(pattern: str, names: dict) -> str:
    return "/api/dicomweb/" + re.sub(r"<str:(\w+)>", lambda found: names[found[1]], pattern)


def body_of(response) -> bytes:
    """Read an answer to its end; what is not read keeps its file open."""
    return b"".join(response.streaming_content) if response.streaming else response.content


def member_of_a_clinic():
    return MembershipFactory(roles=[Role.TECHNICIAN, Role.DOCTOR])


def test_every_dicomweb_route_opens_to_the_clinic_and_to_no_other():
    own = member_of_a_clinic()
    names, _made = world(own)
    web, stranger = client_of(own), client_of(member_of_a_clinic())
    assert len(ROUTES) >= 19
    for pattern, method in ROUTES:
        address = filled(pattern, names)
        opened = getattr(web, method)(address, headers={"Accept": "*/*"})
        assert opened.status_code == 200, address
        assert body_of(opened), address
        refused = getattr(stranger, method)(address, headers={"Accept": "*/*"})
        told = body_of(refused)
        if refused.status_code == 200:  # a search: it finds nothing
            assert told == b"[]", address
        else:
            assert refused.status_code == 404, address
        for name in ("study", "series", "instance"):
            if f"<str:{name}>" not in pattern:
                assert names[name].encode() not in told


def test_storing_into_a_foreign_clinics_study_makes_an_own_one():
    own, other = member_of_a_clinic(), member_of_a_clinic()
    names, made = world(own)
    body = b"--X\r\nContent-Type: application/dicom\r\n\r\n" + dicom(2) + b"\r\n--X--\r\n"
    kind = 'multipart/related; type="application/dicom"; boundary=X'
    for path in ("studies", f"studies/{names['study']}"):
        client_of(other).post(f"/api/dicomweb/{path}", body, content_type=kind)
    with clinic_scope(own.clinic_id):
        assert StudyImage.objects.count() == len(made.images)


def test_a_reading_token_of_the_clinic_stores_nothing():
    own = member_of_a_clinic()
    web = client_of(own, ApiToken.Scope.READ)
    kind = 'multipart/related; type="application/dicom"; boundary=X'
    body = b"--X\r\nContent-Type: application/dicom\r\n\r\n" + dicom(2) + b"\r\n--X--\r\n"
    assert web.post("/api/dicomweb/studies", body, content_type=kind).status_code == 403
    with clinic_scope(own.clinic_id):
        assert not StudyImage.objects.exists()
