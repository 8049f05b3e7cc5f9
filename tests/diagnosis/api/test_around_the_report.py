"""Discrepancies, recalls, macros, annotations and key images over the API."""

from io import BytesIO

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from accounts.models import Role
from diagnosis.models import Study
from diagnosis.services.first_reads import first_read_give
from tests.diagnosis.api.conftest import API, person
from tests.factories import AnnotationFactory, TextMacroFactory

pytestmark = pytest.mark.django_db
LINE = {"kind": "length", "points": [[10, 20], [110, 20]]}


def code(response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def picture() -> SimpleUploadedFile:
    stream = BytesIO()
    Image.new("RGB", (40, 30), "white").save(stream, "PNG")
    return SimpleUploadedFile("Example Ada.png", stream.getvalue())


def test_a_discrepancy_goes_its_way_to_the_end(doctor, world):
    post, address = doctor.client.post, f"{API}discrepancies/{world.discrepancy.pk}/"
    assert code(post(f"{address}resolve/", {"resolution": "x"})) == (409, "not_rated")
    assert code(post(f"{address}rate/", {"severity": "unrated"})) == (422, "severity_unknown")
    rated = post(f"{address}rate/", {"severity": "major"}).json()
    assert (rated["severity"], rated["recall"]) == ("major", str(world.recall.pk))
    assert code(post(f"{address}resolve/", {"resolution": "x"})) == (409, "recall_open")

    recall = f"{API}recalls/{world.recall.pk}/"
    assert code(post(f"{recall}close/", {"outcome": "informed"})) == (409, "no_contact")
    contact = {"contacted_at": "2026-01-01T09:00:00Z", "way": "phone", "result": "reached"}
    future = contact | {"contacted_at": "2999-01-01T00:00:00Z"}
    assert code(post(f"{recall}contacts/", future)) == (422, "contact_unusable")
    noted = post(f"{recall}contacts/", contact).json()
    assert [each["way"] for each in noted["contacts"]] == ["phone"]
    assert post(f"{recall}close/", {"outcome": "returns"}).json()["outcome"] == "returns"
    assert code(post(f"{recall}contacts/", contact)) == (409, "recall_closed")

    done = post(f"{address}resolve/", {"resolution": "Report amended."}).json()
    assert (done["resolution"], done["resolved_by"]["id"]) == (
        "Report amended.", str(doctor.user.pk),
    )  # fmt: skip
    assert code(post(f"{address}rate/", {"severity": "minor"})) == (409, "already_resolved")
    get = doctor.client.get
    assert get(f"{API}discrepancies/?open=true").json()["results"] == []
    assert len(get(f"{API}discrepancies/?open=false&kind=preliminary").json()["results"]) == 1
    assert get(f"{API}recalls/?open=true").json()["results"] == []


def test_who_reads_first_gets_none_of_an_unanswered_study(world, clinic, in_clinic):
    learner = person(clinic, Role.DOCTOR)
    learner.membership.in_training = True
    learner.membership.save()
    get = learner.client.get
    for path in ("discrepancies", "recalls"):
        assert get(f"{API}{path}/").json()["results"] == []
    assert get(f"{API}discrepancies/{world.discrepancy.pk}/").status_code == 404
    assert code(get(f"{API}studies/{world.study.pk}/preliminary/")) == (409, "first_read_missing")
    with in_clinic():
        first_read_give(actor=learner.user, study=world.study, answer="no")
    assert len(get(f"{API}discrepancies/").json()["results"]) == 1
    assert get(f"{API}studies/{world.study.pk}/preliminary/").json() == []


def test_a_preliminary_answer_is_given_until_the_report(doctor, world, in_clinic):
    address = f"{API}studies/{world.study.pk}/preliminary/"
    given = doctor.client.post(address, {"answer": "no", "note": "First look"})
    assert given.status_code == 201
    [row] = doctor.client.get(address).json()
    assert (row["answer"], row["note"], row["author"]["id"]) == (
        "no", "First look", str(doctor.user.pk),
    )  # fmt: skip
    assert code(doctor.client.post(address, {"answer": "perhaps"})) == (400, "invalid")
    with in_clinic():
        Study.objects.update(status="reported")
    assert code(doctor.client.post(address, {"answer": "no"})) == (409, "already_signed")


def test_macros_are_ones_own_or_the_clinics(doctor, everything, clinic, world):
    post, get = doctor.client.post, doctor.client.get
    saved = post(f"{API}macros/", {"name": ".Knee", "text": "Nothing seen."})
    assert saved.status_code == 201
    assert (saved.json()["name"], saved.json()["for_clinic"]) == ("knee", False)
    again = post(f"{API}macros/", {"name": "knee", "text": "Effusion."}).json()
    assert (again["id"], again["text"]) == (saved.json()["id"], "Effusion.")
    assert code(post(f"{API}macros/", {"name": "a b", "text": "x"})) == (422, "macro_name")
    assert {row["name"] for row in get(f"{API}macros/").json()["results"]} == {
        "knee", world.macro.name,
    }  # fmt: skip
    own = f"{API}macros/{again['id']}/"
    assert everything.client.get(own).status_code == 404
    assert everything.client.delete(own).status_code == 404
    theirs = TextMacroFactory(clinic=clinic, owner=everything.user, name="hip")
    assert get(f"{API}macros/{theirs.pk}/").status_code == 404
    assert doctor.client.delete(f"{API}macros/{world.macro.pk}/").status_code == 403
    assert doctor.client.delete(own).status_code == 204
    assert get(own).status_code == 404


def test_marks_are_their_readers_alone_and_never_overwritten_unread(doctor, everything, world):
    client, study = doctor.client, f"{API}studies/{world.study.pk}/annotations/"
    drawn = client.post(f"{API}images/{world.image.pk}/annotations/", LINE)
    assert (drawn.status_code, drawn["ETag"]) == (201, '"1"')
    address = f"{API}annotations/{drawn.json()['id']}/"
    moved = LINE | {"points": [[0, 0], [50, 50]]}
    assert client.put(address, moved).status_code == 428
    assert client.put(address, moved, HTTP_IF_MATCH='"1"').json()["revision"] == 2
    stale = client.put(address, LINE | {"points": [[1, 1], [2, 2]]}, HTTP_IF_MATCH='"1"')
    assert (code(stale), stale.json()["revision"]) == ((412, "annotation_changed"), 2)
    assert code(client.delete(address, HTTP_IF_MATCH='"1"')) == (412, "annotation_changed")
    three = LINE | {"points": [[1, 1], [2, 2], [3, 3]]}
    wrong = client.post(f"{API}images/{world.image.pk}/annotations/", three)
    assert code(wrong) == (422, "annotation_invalid")

    theirs = AnnotationFactory(image=world.image, author=everything.user)
    listed = {row["id"] for row in client.get(study).json()}
    assert listed == {drawn.json()["id"], str(world.annotation.pk)}
    foreign = f"{API}annotations/{theirs.pk}/"
    assert client.put(foreign, LINE, HTTP_IF_MATCH='"1"').status_code == 404
    assert client.delete(foreign, HTTP_IF_MATCH='"1"').status_code == 404
    assert client.delete(address, HTTP_IF_MATCH='"2"').status_code == 204
    assert len(client.get(study).json()) == 1


def test_key_images_are_kept_shown_and_removed(doctor, world):
    address = f"{API}images/{world.image.pk}/key-images/"
    kept = doctor.client.post(address, {"file": picture(), "caption": "Line"}, format="multipart")
    assert kept.status_code == 201, kept.content
    told = kept.json()
    assert (told["caption"], told["width"], told["height"]) == ("Line", 40, 30)
    assert "Ada" not in kept.content.decode()
    bytes_of = doctor.client.get(f"{API}key-images/{told['id']}/file/")
    assert bytes_of.received.startswith(b"\x89PNG")
    listed = doctor.client.get(f"{API}studies/{world.study.pk}/key-images/").json()
    assert {row["id"] for row in listed} == {told["id"], str(world.keyimage.pk)}
    text = SimpleUploadedFile("x.png", b"no picture")
    refused = doctor.client.post(address, {"file": text}, format="multipart")
    assert code(refused) == (422, "not_an_image")
    assert doctor.client.delete(f"{API}key-images/{told['id']}/").status_code == 204
    assert doctor.client.get(f"{API}key-images/{told['id']}/").status_code == 404
