"""The findings of a study over the API: list, decide, add, and what stands in the way."""

import pytest

from accounts.models import Role
from diagnosis.models import FindingReview
from tests.diagnosis.api.conftest import API, person
from tests.diagnosis.api.routes import PASSWORD
from tests.factories import StudyImageFactory

pytestmark = pytest.mark.django_db


def address(world, what: str = "") -> str:
    return f"{API}findings/{world.finding.pk}/{what}"


def test_the_list_shows_proposal_decision_and_added_ones(doctor, world):
    url = f"{API}studies/{world.study.pk}/findings/"
    [proposed] = doctor.client.get(url).json()
    assert (proposed["state"], proposed["source"], proposed["revision"]) == ("proposed", "ai", 0)
    assert proposed["ai"]["box"] == proposed["box"] == [10.0, 20.0, 30.0, 40.0]
    assert proposed["review"] is None
    added = doctor.client.post(
        url, {"image": str(world.image.pk), "box": [1, 2, 30, 40], "bone": "radius"}
    )
    assert added.status_code == 201
    assert added.headers["Location"].endswith(f"/findings/{added.json()['id']}/")
    assert [row["source"] for row in doctor.client.get(url).json()] == ["ai", "doctor"]
    assert added.json()["description"]["bone"] == "radius"


def test_each_decision_names_the_revision_that_was_read(doctor, world):
    missing = doctor.client.post(address(world, "accept/"))
    assert (missing.status_code, missing.json()["code"]) == (428, "precondition_required")
    accepted = doctor.client.post(address(world, "accept/"), HTTP_IF_MATCH='"0"')
    assert (accepted.json()["state"], accepted.headers["ETag"]) == ("accepted", '"1"')
    stale = doctor.client.post(
        address(world, "reject/"), {"reason": "artefact"}, HTTP_IF_MATCH='"0"'
    )
    assert (stale.status_code, stale.json()["code"]) == (412, "finding_changed")
    assert stale.json()["revision"] == 1
    moved = doctor.client.patch(
        address(world), {"box": [5, 6, 70, 80], "bone": "ulna"}, HTTP_IF_MATCH='W/"1"'
    )
    assert (moved.json()["state"], moved.json()["box"]) == ("moved", [5.0, 6.0, 70.0, 80.0])
    undone = doctor.client.post(address(world, "undo/"), HTTP_IF_MATCH='"2"')
    assert undone.json()["state"] == "proposed"
    history = doctor.client.get(address(world)).json()["history"]
    assert [each["decision"] for each in history] == ["accepted", "moved", "withdrawn"]
    assert {each["author"]["id"] for each in history} == {str(doctor.user.pk)}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"box": [1, 2, 3]}, 400),
        ({"box": "x"}, 400),
        ({"bone": "nose"}, 400),
        ({"box": [1e6, 1e6, 5, 5]}, 422),
        ({"box": [1, 2, -3, 4]}, 422),
    ],
)
def test_bad_values_are_refused_and_nothing_is_stored(doctor, world, in_clinic, body, status):
    assert doctor.client.patch(address(world), body, HTTP_IF_MATCH='"0"').status_code == status
    with in_clinic():
        assert not FindingReview.objects.exists()


def test_an_image_of_another_study_is_not_found(doctor, world):
    other = StudyImageFactory(study__patient=world.patient)
    response = doctor.client.post(
        f"{API}studies/{world.study.pk}/findings/", {"image": str(other.pk), "box": [1, 2, 9, 9]}
    )
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_a_signed_report_closes_the_findings(doctor, world):
    report = f"{API}reports/{world.report.pk}/"
    assert doctor.client.post(f"{report}sign/", {"password": PASSWORD}).status_code == 200
    refused = doctor.client.post(address(world, "accept/"), HTTP_IF_MATCH='"0"')
    assert (refused.status_code, refused.json()["code"]) == (409, "report_signed")
    assert refused.json()["report"] == str(world.report.pk)
    doctor.client.post(f"{report}amend/", {"reason": "Looked again"})
    assert doctor.client.post(address(world, "accept/"), HTTP_IF_MATCH='"0"').status_code == 200


def test_who_may_read_may_not_therefore_decide(clinic, world):
    technician = person(clinic, Role.TECHNICIAN)
    assert technician.client.get(address(world)).status_code == 200
    for what in ("accept/", "undo/"):
        response = technician.client.post(address(world, what), HTTP_IF_MATCH='"0"')
        assert (response.status_code, response.json()["code"]) == (403, "permission_denied")


def test_a_repeated_request_decides_once(doctor, world, in_clinic):
    for _time in range(2):
        response = doctor.client.post(
            address(world, "accept/"), HTTP_IF_MATCH='"0"', HTTP_IDEMPOTENCY_KEY="accept-1"
        )
        assert response.status_code == 200
    with in_clinic():
        assert FindingReview.objects.count() == 1
