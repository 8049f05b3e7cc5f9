"""Earlier studies are looked up in and fetched from a real archive, by DIMSE and by DICOMweb."""

import io
from types import SimpleNamespace

import pydicom
import pytest
import requests
from django.urls import reverse

from accounts.models import AuditEvent, Role
from accounts.tenancy import clinic_scope
from diagnosis import tasks
from diagnosis.models import Analysis, Patient, PriorFetch, Study, StudyImage
from diagnosis.selectors import earlier_studies
from diagnosis.selectors.worklist import WorklistTab, worklist_counts
from diagnosis.services.prior_fetches import prior_fetch_request
from diagnosis.services.prior_lookups import priors_look_up
from diagnosis.services.receiving import image_receive
from diagnosis.storage import object_read
from fracture_site.common.errors import ConflictError
from ml.data.synthetic import to_dicom
from tests.factories import (
    DestinationFactory,
    DeviceFactory,
    MembershipFactory,
    PatientFactory,
    StudyFactory,
)
from tests.support.dicom_studies import dicom, pixels
from tests.support.listener import Listener

pytestmark = pytest.mark.django_db
ADA = {"PatientID": "MRN-7", "PatientName": "Lovelace^Ada", "PatientBirthDate": "19151210"}
OLD = "1.2.826.0.1.3680043.8.498.77"
KINDS = ["dicom_cstore", "dicom_stow"]


def put(orthanc, *files: bytes) -> None:
    for data in files:
        assert requests.post(f"{orthanc.url}/instances", data=data, timeout=30).ok


def earlier(seed: int, **attributes) -> bytes:
    return dicom(
        seed,
        **{
            **ADA, "StudyInstanceUID": OLD, "SeriesInstanceUID": f"{OLD}.1",
            "StudyDate": "20240305", "StudyDescription": "Wrist left", **attributes,
        },
    )  # fmt: skip


def world(orthanc, kind: str = "dicom_cstore", **options) -> SimpleNamespace:
    """A clinic with an archive, a doctor, and a study of Ada's from today."""
    member = MembershipFactory(roles=[Role.DOCTOR])
    patient = PatientFactory(
        clinic=member.clinic, record_number="MRN-7", family_name="Lovelace", given_name="Ada",
        birth_date="1915-12-10",
    )  # fmt: skip
    address = (
        {"host": "127.0.0.1", "port": orthanc.dicom_port}
        if kind == "dicom_cstore"
        else {"host": "", "port": None, "url": orthanc.dicomweb}
    )
    source = DestinationFactory(
        clinic=member.clinic, kind=kind, finds_priors=True, options=options,
        calling_ae_title="FRACTURE_SITE", **address,
    )  # fmt: skip
    study = StudyFactory(patient=patient)
    return SimpleNamespace(member=member, patient=patient, source=source, study=study)


def look(made):
    with clinic_scope(made.member.clinic_id):
        study = Study.objects.select_related("patient").get(pk=made.study.pk)
        [answer] = priors_look_up(actor=made.member.user, study=study)
    return answer


def fetch(made, *, uid: str = OLD, confirmed=()) -> PriorFetch:
    with clinic_scope(made.member.clinic_id):
        asked = prior_fetch_request(
            actor=made.member.user, study=made.study, source=made.source, study_uid=uid,
            confirmed=confirmed,
        )  # fmt: skip
    tasks.run_next_prior_fetch()
    return again(made, asked)


def again(made, asked: PriorFetch) -> PriorFetch:
    with clinic_scope(made.member.clinic_id):
        return PriorFetch.objects.select_related("prior").get(pk=asked.pk)


def images(made) -> list[StudyImage]:
    with clinic_scope(made.member.clinic_id):
        return list(StudyImage.objects.select_related("study__patient").order_by("position"))


@pytest.mark.parametrize("kind", KINDS)
def test_an_earlier_study_is_found_fetched_and_compared_with_and_is_nobodys_work(orthanc, kind):
    made = world(orthanc, kind)
    put(orthanc, earlier(1), earlier(2), earlier(3, PatientID="OTHER", StudyInstanceUID="1.2.9"))

    answer = look(made)
    [prior] = answer.priors
    assert (answer.code, prior.differences, str(prior.examined_on)) == ("", (), "2024-03-05")
    assert (prior.found.uid, prior.found.description) == (OLD, "Wrist left")
    done = fetch(made)

    assert (done.status, done.expected, done.done, done.skipped) == ("succeeded", 2, 2, {})
    stored = images(made)
    assert {image.study_id for image in stored} == {done.prior_id}
    files = [pydicom.dcmread(io.BytesIO(object_read(image.original_key))) for image in stored]
    assert {str(file.StudyInstanceUID) for file in files} == {OLD}
    with clinic_scope(made.member.clinic_id):
        user = made.member.user
        assert (done.prior.status, done.prior.fetched_from_id) == ("prior", made.source.pk)
        assert done.prior.patient_id == made.patient.pk
        assert Analysis.objects.count() == 0
        counts = worklist_counts(user=user)
        assert {counts[tab] for tab in WorklistTab.values} <= {0, 1}
        assert counts["all"] == 1  # the study of today
        assert [row.pk for row in earlier_studies(user=user, study=made.study)] == [done.prior_id]
        actions = list(AuditEvent.objects.values_list("action", flat=True))
        assert {"prior.look_up", "prior.request", "prior.succeeded", "image.upload"} <= set(actions)
        told = str(list(AuditEvent.objects.values_list("details", flat=True)))
        assert "Lovelace" not in told
        assert "MRN-7" not in told
    assert look(made).priors[0].is_complete


@pytest.mark.parametrize("kind", KINDS)
def test_fetching_again_brings_what_is_new_and_nothing_twice(orthanc, kind):
    made = world(orthanc, kind)
    put(orthanc, earlier(1))
    first = fetch(made)
    put(orthanc, earlier(2))

    second = fetch(made)

    assert first.prior_id == second.prior_id
    assert (second.status, second.expected, second.done) == ("succeeded", 2, 2)
    assert len(images(made)) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_another_person_under_the_number_is_shown_and_never_filed(orthanc, kind):
    made = world(orthanc, kind)
    put(orthanc, earlier(1, PatientName="Byron^Anne", PatientBirthDate="18990517"))

    [prior] = look(made).priors
    assert prior.is_other_person
    assert {"birth_date", "name"} <= set(prior.differences)
    assert (prior.family_name, str(prior.born)) == ("Byron", "1899-05-17")
    done = fetch(made, confirmed=["name", "unproven", "sex"])

    assert (done.status, done.error_code) == ("failed", "prior_wrong_patient")
    assert images(made) == []


def test_another_name_is_fetched_only_after_somebody_has_confirmed_it(orthanc):
    made = world(orthanc)
    put(orthanc, earlier(1, PatientName="Byron^Ada"))
    [prior] = look(made).priors
    assert (prior.differences, prior.is_other_person) == (("name",), False)

    assert fetch(made).error_code == "prior_wrong_patient"
    assert images(made) == []
    assert fetch(made, confirmed=["name"]).status == "succeeded"

    with clinic_scope(made.member.clinic_id):  # ours stays as it is
        assert Patient.objects.get().family_name == "Lovelace"
        details = AuditEvent.objects.filter(action="prior.request").latest("at").details
    assert details["confirmed"] == ["name"]


def test_one_foreign_image_within_the_study_is_left_out_and_told(orthanc):
    """By the DIMSE query the study is Ada's; one of its files names somebody else."""
    made = world(orthanc)
    put(orthanc, earlier(1))
    with clinic_scope(made.member.clinic_id):
        asked = prior_fetch_request(
            actor=made.member.user, study=made.study, source=made.source, study_uid=OLD
        )
    from diagnosis.services.prior_images import prior_image_receive

    foreign = earlier(2, PatientID="OTHER")
    with pytest.raises(ConflictError, match="wrong_patient"):
        prior_image_receive(clinic_id=made.member.clinic_id, fetch_id=asked.pk, data=foreign)

    assert again(made, asked).skipped == {"wrong_patient": 1}
    assert images(made) == []


@pytest.mark.parametrize("kind", KINDS)
def test_other_kinds_of_studies_are_counted_and_not_fetched(orthanc, kind):
    made = world(orthanc, kind)
    ct = to_dicom(
        pixels(5), modality="CT",
        attributes={**ADA, "StudyInstanceUID": OLD, "SOPClassUID": pydicom.uid.CTImageStorage},
    )  # fmt: skip
    put(orthanc, ct)

    answer = look(made)
    assert (answer.priors, answer.others) == ((), 1)
    assert fetch(made).error_code == "prior_no_radiographs"
    assert fetch(made, uid="1.2.3.4").error_code == "prior_gone"


def test_a_study_that_is_too_large_is_refused_before_it_is_fetched(orthanc, settings):
    made = world(orthanc)
    put(orthanc, earlier(1), earlier(2))
    settings.STUDY_MAX_IMAGES = 1
    assert fetch(made).error_code == "prior_too_many"

    settings.STUDY_MAX_IMAGES, settings.PRIOR_MAX_BYTES = 60, 1
    done = fetch(made)
    assert (done.status, done.done, done.skipped) == ("succeeded", 1, {"too_much": 1})


def test_an_archive_that_is_down_is_told_and_tried_again(orthanc):
    made = world(orthanc)
    with clinic_scope(made.member.clinic_id):
        type(made.source).objects.update(port=1)
    made.source.port = 1
    assert look(made).code == "peer_unreachable"

    waiting = fetch(made)

    assert (waiting.status, waiting.error_code) == ("queued", "peer_unreachable")
    with clinic_scope(made.member.clinic_id):
        type(made.source).objects.update(port=orthanc.dicom_port)
        PriorFetch.objects.update(due_at=waiting.created_at)
    put(orthanc, earlier(1))
    tasks.run_next_prior_fetch()
    assert again(made, waiting).status == "succeeded"


def test_addresses_in_private_networks_are_not_called(orthanc, settings):
    made = world(orthanc, "dicom_stow")
    settings.DELIVERY_PRIVATE_NETWORKS = []
    assert look(made).code == "address_not_allowed"
    assert fetch(made).error_code == "address_not_allowed"


def test_without_a_birth_date_the_issuer_ties_number_and_person(orthanc):
    made = world(orthanc, issuer="HOSPITAL")
    put(orthanc, earlier(1, PatientBirthDate="", IssuerOfPatientID="Hospital"))
    assert look(made).priors[0].differences == ()
    assert fetch(made).status == "succeeded"

    other = world(orthanc, issuer="ELSEWHERE")
    assert look(other).priors[0].is_other_person


def test_another_clinic_sees_nothing_of_it(orthanc, client):
    made = world(orthanc)
    put(orthanc, earlier(1))
    done = fetch(made)
    stranger = MembershipFactory(roles=[Role.DOCTOR])
    client.force_login(stranger.user)

    for name, pk, method in (
        ("priors-look-up", made.study.pk, "post"),
        ("prior-fetch-new", made.study.pk, "post"),
        ("prior-fetch", done.pk, "get"),
        ("study-detail", done.prior_id, "get"),
    ):
        assert getattr(client, method)(reverse(f"diagnosis:{name}", args=[pk])).status_code == 404
    with clinic_scope(stranger.clinic_id):
        assert PriorFetch.objects.count() == Study.objects.count() == 0


def test_a_source_of_another_clinic_is_not_found(orthanc, client):
    made, other = world(orthanc), world(orthanc)
    client.force_login(made.member.user)
    form = {"source": str(other.source.pk), "study_uid": OLD}
    page = reverse("diagnosis:prior-fetch-new", args=[made.study.pk])
    assert client.post(page, form).status_code == 404


def test_the_page_finds_fetches_and_offers_to_compare(orthanc, client):
    made = world(orthanc)
    put(orthanc, earlier(1, StudyDescription="<b>Wrist</b>"))
    client.force_login(made.member.user)
    page = client.get(reverse("diagnosis:study-detail", args=[made.study.pk])).content.decode()
    assert "Look in PACS" in page

    found = client.post(reverse("diagnosis:priors-look-up", args=[made.study.pk])).content.decode()
    assert "&lt;b&gt;Wrist&lt;/b&gt;" in found
    assert OLD in found
    form = {"source": str(made.source.pk), "study_uid": OLD}
    asked = client.post(reverse("diagnosis:prior-fetch-new", args=[made.study.pk]), form)
    assert "every 2s" in asked.content.decode()
    tasks.run_next_prior_fetch()
    with clinic_scope(made.member.clinic_id):
        done = PriorFetch.objects.get()
    shown = client.get(reverse("diagnosis:prior-fetch", args=[done.pk])).content.decode()

    assert "data-compare-with" in shown
    assert "every 2s" not in shown
    prior = client.get(reverse("diagnosis:study-detail", args=[done.prior_id])).content.decode()
    assert "fetched to be compared with" in prior
    views = client.get(reverse("diagnosis:study-views", args=[done.prior_id])).json()
    assert (views["date"], len(views["images"])) == ("2024-03-05", 1)


def test_what_a_machine_sends_is_read_also_when_it_was_fetched_before(orthanc):
    made = world(orthanc)
    put(orthanc, earlier(1))
    done = fetch(made)
    device = DeviceFactory(
        membership=MembershipFactory(clinic=made.member.clinic, roles=[Role.TECHNICIAN])
    )

    image_receive(
        actor=device.membership.user, clinic_id=made.member.clinic_id, data=orthanc.files()[0]
    )

    with clinic_scope(made.member.clinic_id):
        study = Study.objects.get(pk=done.prior_id)
        assert (study.fetched_from_id, study.status) == (None, "queued")
        assert Analysis.objects.count() == 1
    assert look(made).priors[0].is_complete
    with clinic_scope(made.member.clinic_id), pytest.raises(ConflictError, match="study_is_here"):
        prior_fetch_request(
            actor=made.member.user, study=made.study, source=made.source, study_uid=OLD
        )


@pytest.mark.django_db(transaction=True)
def test_an_archive_sends_to_our_listener_on_request(orthanc):
    made = world(orthanc, retrieve="move")
    DeviceFactory(
        membership=MembershipFactory(clinic=made.member.clinic, roles=[Role.TECHNICIAN]),
        ae_title="ORTHANC",
    )
    put(orthanc, earlier(1), earlier(2))
    listener = Listener().start()
    try:
        us = ["FRACTURE_SITE", "127.0.0.1", listener.port]
        assert requests.put(f"{orthanc.url}/modalities/us", json=us, timeout=30).ok
        done = fetch(made)
    finally:
        listener.stop()
        requests.delete(f"{orthanc.url}/modalities/us", timeout=30)

    assert (done.status, done.done, done.skipped) == ("succeeded", 2, {})
    assert {image.study_id for image in images(made)} == {done.prior_id}
    with clinic_scope(made.member.clinic_id):
        assert Analysis.objects.count() == 0
        assert done.prior.status == "prior"
