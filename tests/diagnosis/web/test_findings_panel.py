"""The list of findings on the page: decide without a new page, stale, signed, foreign, roles."""

import json
import re
from html import unescape

import pytest
from django.urls import reverse

from accounts.tenancy import clinic_scope
from diagnosis.models import Finding, FindingReview, Study
from diagnosis.services.report_basis import report_basis
from diagnosis.services.reports import report_create, report_sign
from tests.diagnosis.web.test_pages import full_study
from tests.factories import MembershipFactory

pytestmark = pytest.mark.django_db
HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def doctor():
    return MembershipFactory(doctor=True)


@pytest.fixture
def signed_in(client, doctor):
    client.force_login(doctor.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.fixture
def image(doctor):
    return full_study(doctor.clinic)


def the_finding(doctor) -> Finding:
    with clinic_scope(doctor.clinic_id):
        return Finding.objects.get()


def url(finding: Finding, what: str) -> str:
    return reverse("diagnosis:finding-action", args=[finding.pk, what])


def told(response) -> dict:
    page = response.content.decode()
    return json.loads(unescape(re.search(r'data-told="([^"]*)"', page)[1]))


def test_the_page_and_the_part_tell_the_viewer_the_same(signed_in, doctor, image):
    page = signed_in.get(reverse("diagnosis:study-detail", args=[image.study_id]))
    part = signed_in.get(reverse("diagnosis:findings-panel", args=[image.study_id]))
    finding = the_finding(doctor)
    assert told(page) == told(part) == {
        str(image.pk): [
            {
                "id": str(finding.pk), "source": "ai", "state": "proposed",
                "box": {"x": 10.0, "y": 20.0, "width": 30.0, "height": 40.0},
                "probability": 0.9, "certainty": "definite", "label": "",
            }
        ]
    }  # fmt: skip


def test_decisions_come_back_as_the_new_list(signed_in, doctor, image):
    finding = the_finding(doctor)
    accepted = signed_in.post(url(finding, "accept"), {"revision": 0}, **HTMX)
    assert b"<html" not in accepted.content
    assert told(accepted)[str(image.pk)][0]["state"] == "accepted"
    changed = signed_in.post(
        url(finding, "change"), {"revision": 1, "bone": "radius", "laterality": "left"}, **HTMX
    )
    assert told(changed)[str(image.pk)][0]["label"] == "Left radius"
    box = {"x": 1, "y": 2, "width": 50, "height": 60}
    moved = signed_in.post(url(finding, "change"), {"revision": 2, **box}, **HTMX)
    assert told(moved)[str(image.pk)][0]["box"] == box
    rejected = signed_in.post(
        url(finding, "reject"), {"revision": 3, "reason": "growth_plate"}, **HTMX
    )
    assert b"Growth plate" in rejected.content
    undone = signed_in.post(url(finding, "undo"), {"revision": 4}, **HTMX)
    assert told(undone)[str(image.pk)][0]["state"] == "proposed"
    added = signed_in.post(
        reverse("diagnosis:finding-add", args=[image.study_id]),
        {"image": str(image.pk), **box},
        **HTMX,
    )
    assert [each["source"] for each in told(added)[str(image.pk)]] == ["ai", "doctor"]


@pytest.mark.parametrize(
    ("what", "data", "words"),
    [
        ("accept", {"revision": 7}, b"in between"),
        ("accept", {}, b"in between"),
        ("accept", {"revision": "x" * 5000}, b"in between"),
        ("reject", {"revision": 0}, b"Say why"),
        ("change", {"revision": 0, "bone": "nose"}, b"listed values"),
        ("change", {"revision": 0, "x": "left", "y": 1, "width": 2, "height": 3}, b"Draw a box"),
        ("change", {"revision": 0, "x": 9e9, "y": 1, "width": 2, "height": 3}, b"Draw a box"),
        ("undo", {"revision": 0}, b"Nothing was decided"),
    ],
)
def test_what_cannot_be_done_is_said_in_the_list(signed_in, doctor, image, what, data, words):
    response = signed_in.post(url(the_finding(doctor), what), data, **HTMX)
    assert response.status_code == 422
    assert words in response.content or words in response.content.replace(b"\n", b" ")
    assert told(response)[str(image.pk)][0]["state"] == "proposed"
    with clinic_scope(doctor.clinic_id):
        assert not FindingReview.objects.exists()


def test_without_javascript_the_page_is_loaded_again(signed_in, doctor, image):
    finding = the_finding(doctor)
    back = reverse("diagnosis:study-detail", args=[image.study_id])
    assert signed_in.post(url(finding, "accept"), {"revision": 0})["Location"] == back
    assert signed_in.post(url(finding, "accept"), {"revision": 0})["Location"] == back
    assert b"in between" in signed_in.get(back).content


def test_a_form_that_had_read_the_study_has_read_the_decision_too(signed_in, doctor, image):
    finding = the_finding(doctor)
    with clinic_scope(doctor.clinic_id):
        seen = report_basis(Study.objects.get())
    known = signed_in.post(url(finding, "accept"), {"revision": 0, "basis": seen}, **HTMX)
    with clinic_scope(doctor.clinic_id):
        now = report_basis(Study.objects.get())
    assert now != seen
    assert f'id="id_basis" value="{now}"' in known.content.decode()
    stale = signed_in.post(
        url(finding, "reject"), {"revision": 1, "reason": "other", "basis": seen}, **HTMX
    )
    assert "id_basis" not in re.sub(r'hx-include="#id_basis"', "", stale.content.decode())


def test_a_signed_report_closes_the_list(signed_in, doctor, image):
    with clinic_scope(doctor.clinic_id):
        report = report_create(actor=doctor.user, study=Study.objects.get())
        report_sign(actor=doctor.user, report=report)
    page = signed_in.get(reverse("diagnosis:study-detail", args=[image.study_id]))
    assert b"data-finding-draw" not in page.content
    refused = signed_in.post(url(the_finding(doctor), "accept"), {"revision": 0}, **HTMX)
    assert refused.status_code == 422
    assert b"Open an amendment" in refused.content


def test_who_only_looks_gets_no_buttons_and_is_refused(client, doctor, image):
    technician = MembershipFactory(technician=True, clinic=doctor.clinic)
    client.force_login(
        technician.user, backend="allauth.account.auth_backends.AuthenticationBackend"
    )
    page = client.get(reverse("diagnosis:study-detail", args=[image.study_id])).content
    assert b"data-told" in page
    assert b"data-finding-open" not in page
    refused = client.post(url(the_finding(doctor), "accept"), {"revision": 0}, **HTMX)
    assert refused.status_code == 403


def test_another_clinic_gets_404(client, doctor, image):
    stranger = MembershipFactory(doctor=True)
    client.force_login(stranger.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    finding = the_finding(doctor)
    for address in (
        url(finding, "accept"),
        url(finding, "undo"),
        reverse("diagnosis:finding-add", args=[image.study_id]),
    ):
        assert client.post(address, {"revision": 0, "image": str(image.pk)}).status_code == 404
    panel = reverse("diagnosis:findings-panel", args=[image.study_id])
    assert client.get(panel).status_code == 404


def test_unknown_decisions_are_404(signed_in, doctor, image):
    assert signed_in.post(url(the_finding(doctor), "explode")).status_code == 404
