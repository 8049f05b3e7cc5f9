"""Pages of lists: complete, stable while rows arrive, and equally cheap whatever their length."""

from base64 import b64encode
from itertools import chain

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEvent
from diagnosis.models import Study
from tests.diagnosis.api.conftest import API, world_of
from tests.factories import (
    AnalysisFactory,
    FindingFactory,
    ModelVersionFactory,
    PatientFactory,
    StudyFactory,
    StudyImageFactory,
)

pytestmark = pytest.mark.django_db
URL = f"{API}studies/"


def pages(client, url):
    """Follow ``next`` to the end; one list of ids a page."""
    while url:
        page = client.get(url).json()
        yield [row["id"] for row in page["results"]]
        url = page["next"]


@pytest.fixture
def studies(clinic):
    patient = PatientFactory(clinic=clinic)
    return [str(StudyFactory(patient=patient).pk) for _ in range(7)]


def test_pages_hold_every_row_once_newest_first(doctor, studies):
    found = list(pages(doctor.client, f"{URL}?page_size=3"))
    assert [len(page) for page in found] == [3, 3, 1]
    assert list(chain(*found)) == studies[::-1]


def test_rows_of_the_same_instant_are_all_listed(doctor, studies, in_clinic):
    with in_clinic():
        instant = Study.objects.get(pk=studies[0]).created_at
        Study.objects.update(created_at=instant)
    for size in (1, 2, 3, 10):
        found = list(chain(*pages(doctor.client, f"{URL}?page_size={size}")))
        assert found == sorted(studies), size


def test_new_rows_do_not_shift_the_next_page(doctor, studies, clinic):
    first = doctor.client.get(f"{URL}?page_size=3").json()
    StudyFactory(patient=PatientFactory(clinic=clinic))
    second = doctor.client.get(first["next"]).json()
    assert [row["id"] for row in second["results"]] == studies[::-1][3:6]
    back = doctor.client.get(second["previous"]).json()
    assert [row["id"] for row in back["results"]] == studies[::-1][:3]


def test_filters_hold_on_the_next_page(doctor, studies, in_clinic):
    with in_clinic():
        Study.objects.filter(pk__in=studies[:4]).update(status="failed")
    found = list(chain(*pages(doctor.client, f"{URL}?page_size=2&status=failed")))
    assert found == studies[3::-1]


@pytest.mark.parametrize(("size", "count"), [("5", 5), ("0", 7), ("-1", 7), ("x", 7), ("900", 7)])
def test_page_size_is_bounded(doctor, studies, size, count):
    assert len(doctor.client.get(f"{URL}?page_size={size}").json()["results"]) == count


def cursor(text):
    return b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        "p=yesterday",
        "p=2026-01-01",
        "p=%00",
        "o=x",
        "r=x",
        "p=1",
        "o=-1",
        "p=0001-01-01T00:00%2B23:59",
        "p=" + "9" * 5000,
        "r=",
    ],
)
@pytest.mark.parametrize("path", ["studies/", "audit-events/"])
def test_cursor_of_another_hand_is_refused(everything, studies, path, text):
    response = everything.client.get(API + path, {"cursor": cursor(text)})
    if (path, text) == ("audit-events/", "p=1"):
        assert response.status_code == 200
        return
    assert (response.status_code, response.json()["code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize("raw", ["%", "é", "AA", "\x00"])
def test_cursor_that_is_no_cursor_is_not_a_crash(doctor, studies, raw):
    assert doctor.client.get(URL, {"cursor": raw}).status_code in {200, 400}


def test_far_cursor_is_an_empty_page(everything, studies):
    start = cursor("p=0001-01-01 00:00:00%2B00:00")
    assert everything.client.get(URL, {"cursor": start}).json()["results"] == []
    far = everything.client.get(f"{API}audit-events/", {"cursor": cursor("p=-" + "9" * 30)})
    assert far.json()["results"] == []


def fill(clinic, author, count):
    for _ in range(count):
        world = world_of(clinic, author)
        FindingFactory(analysis=world.analysis)
        AnalysisFactory(image=world.image)


@pytest.mark.parametrize(
    "path", ["patients/", "patients/?q=exa", "studies/", "reports/", "models/", "audit-events/"]
)
def test_lists_need_the_same_queries_for_one_row_and_for_many(everything, clinic, path):
    fill(clinic, everything.user, 1)
    few = queries_of(everything, path)
    fill(clinic, everything.user, 4)
    ModelVersionFactory.create_batch(3)
    assert queries_of(everything, path) == few


def test_study_with_many_images_needs_the_queries_of_one(everything, clinic):
    world = world_of(clinic, everything.user)
    path = f"studies/{world.study.pk}/"
    few = queries_of(everything, path)
    for _ in range(5):
        image = StudyImageFactory(study=world.study)
        FindingFactory.create_batch(2, analysis=AnalysisFactory(image=image, succeeded=True))
    assert len(everything.client.get(API + path).json()["images"]) == 6
    assert queries_of(everything, path) == few


def queries_of(someone, path):
    someone.client.get(API + path)  # the first request of a token notes that it is used
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert someone.client.get(API + path).json()
    return len(captured)


def test_audit_trail_is_filtered(admin, doctor, world):
    doctor.client.get(f"{API}images/{world.image.pk}/file/")
    doctor.client.get(f"{API}reports/{world.report.pk}/")
    rows = admin.client.get(f"{API}audit-events/").json()["results"]
    assert [row["action"] for row in rows] == ["report.open", "image.open"]
    assert rows[0]["patient"] == str(world.patient.pk)
    assert rows[0]["actor"] == {"id": str(doctor.user.pk), "name": doctor.user.display_name}
    assert rows[0]["token"] is not None
    for query in (
        "action=image.open",
        f"target={world.image.pk}",
        f"patient={world.patient.pk}&action=image.open&outcome=success&actor={doctor.user.pk}",
    ):
        found = admin.client.get(f"{API}audit-events/?{query}").json()["results"]
        assert [row["action"] for row in found] == ["image.open"], query
    assert admin.client.get(f"{API}audit-events/?at_before=2020-01-01").json()["results"] == []


def test_audit_trail_names_nobody_but_the_staff(admin, doctor, world):
    doctor.client.get(f"{API}studies/{world.study.pk}/")
    content = admin.client.get(f"{API}audit-events/").content.decode()
    assert world.patient.family_name not in content
    assert world.patient.record_number not in content


def test_models_are_listed_with_their_thresholds(doctor, world):
    [row] = doctor.client.get(f"{API}models/").json()["results"]
    assert row["sha256"] == world.analysis.model_version.sha256
    assert row["thresholds"] == {"suspicion": 0.2, "definite": 0.7}


def test_me_tells_who_is_asking(doctor, admin):
    me = doctor.client.get(f"{API}me/").json()
    assert me["user"]["email"] == doctor.user.email
    assert me["clinic"]["id"] == str(doctor.membership.clinic_id)
    assert me["roles"] == ["doctor"]
    assert "report.sign" in me["allowed_actions"]
    assert me["token"]["scope"] == "write"
    assert "audit.view" in admin.client.get(f"{API}me/").json()["allowed_actions"]
    assert AuditEvent.objects.count() == 0
