"""Second opinions by link: what a recipient sees, and everything that must not open."""

import re
from datetime import date, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, Role
from accounts.tenancy import clinic_scope
from diagnosis.models import Patient, ShareComment, StudyShare
from diagnosis.services.shares import share_create, share_revoke
from diagnosis.services.study_results import study_refresh
from diagnosis.storage import object_put
from fracture_site.common.errors import RefusedInputError
from tests.factories import AnalysisFactory, MembershipFactory, PatientFactory, StudyFactory
from tests.factories import StudyImageFactory as ImageFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]
NAMES = ("Canary", "MRN-CANARY", "1950", "QUESTION-CANARY", "ACC-CANARY")


@pytest.fixture
def doctor():
    return MembershipFactory(doctor=True)


@pytest.fixture
def study(doctor):
    patient = PatientFactory(
        clinic=doctor.clinic,
        family_name="Canary",
        record_number="MRN-CANARY",
        birth_date=date(1950, 2, 3),
    )
    study = StudyFactory(
        patient=patient,
        clinical_question="QUESTION-CANARY",
        accession_number="ACC-CANARY",
        body_part="wrist",
    )
    key = object_put(data=b"jpeg", kind="renditions", content_type="image/jpeg")
    AnalysisFactory(image=ImageFactory(study=study, rendition_keys=[key]), succeeded=True)
    with clinic_scope(doctor.clinic_id):
        return study_refresh(study_id=study.pk)


@pytest.fixture
def share(doctor, study):
    def share(**options):
        options = {"days": 7, "images_checked": True} | options
        with clinic_scope(doctor.clinic_id):
            return share_create(actor=doctor.user, study=study, **options)

    return share


def opened(secret: str, client: Client | None = None):
    client = client or Client()
    return client, client.get(reverse("diagnosis:shared-open", args=[secret]), follow=True)


def bare(answer) -> str:
    """The page without the anti-forgery tokens, which differ each time."""
    return re.sub(
        r'(csrfmiddlewaretoken" value="|X-CSRFToken": ")[^"]+', "", answer.content.decode()
    )


def test_a_recipient_sees_the_study_and_nothing_that_names_the_patient(doctor, study, share):
    made, secret = share(question="Is this broken?")
    client, page = opened(secret)
    assert page.status_code == 200
    assert secret not in page.request["PATH_INFO"]
    text = page.content.decode()
    assert "Is this broken?" in text
    assert "Wrist" in text
    for name in NAMES:
        assert name not in text
    picture = client.get(reverse("diagnosis:shared-image", args=[made.pk, 0]))
    assert b"".join(picture.streaming_content) == b"jpeg"
    for wrong in (reverse("diagnosis:shared-image", args=[made.pk, 1]),
                  reverse("diagnosis:shared-image", args=[made.pk, 0]) + "?frame=9"):  # fmt: skip
        assert client.get(wrong).status_code == 404
    with clinic_scope(doctor.clinic_id):
        stored = StudyShare.objects.get()
        assert (stored.opened_count, stored.last_opened_at is None) == (1, False)
        event = AuditEvent.objects.get(action="share.open")
    assert (event.actor, event.patient_id) == (None, study.patient_id)


def test_an_image_that_came_after_the_link_was_made_is_not_shown(study, share):
    made, secret = share()
    late = object_put(data=b"late", kind="renditions", content_type="image/jpeg")
    ImageFactory(study=study, rendition_keys=[late], position=1)
    client, page = opened(secret)
    assert b"1 image" in page.content
    assert client.get(reverse("diagnosis:shared-image", args=[made.pk, 1])).status_code == 404


def test_a_study_without_images_is_not_shared(doctor):
    empty = StudyFactory(patient=PatientFactory(clinic=doctor.clinic))
    with clinic_scope(doctor.clinic_id), pytest.raises(RefusedInputError, match="no_images"):
        share_create(actor=doctor.user, study=empty, days=7, images_checked=True)


def test_a_name_is_shown_only_when_the_sender_chose_it(share):
    _made, secret = share(is_identified=True, images_checked=False)
    assert b"Canary" in opened(secret)[1].content


def test_the_age_of_the_very_old_is_not_told(doctor, study, share):
    with clinic_scope(doctor.clinic_id):
        Patient.objects.update(birth_date=date(1920, 1, 1))
    text = opened(share()[1])[1].content.decode()
    assert "&gt; 89" in text
    assert "106" not in text


def test_every_link_that_does_not_open_reads_the_same(doctor, share):
    def closed(**change):
        made, secret = share()
        client, _page = opened(secret)
        with clinic_scope(doctor.clinic_id):
            StudyShare.objects.filter(pk=made.pk).update(**change)
        return secret, client, made

    now = timezone.now()
    cases = [closed(revoked_at=now), closed(expires_at=now), closed(wrong_passcodes=10)]
    answers = {bare(opened("no-such-secret")[1]), bare(opened("x" * 5000)[1])}
    for secret, client, made in cases:
        link = opened(secret)[1]
        page = client.get(reverse("diagnosis:shared-study", args=[made.pk]))  # was open before
        picture = client.get(reverse("diagnosis:shared-image", args=[made.pk, 0]))
        assert {each.status_code for each in (link, page, picture)} == {404}
        answers |= {bare(link), bare(page), bare(picture)}
    made, _secret = share()
    answers.add(bare(Client().get(reverse("diagnosis:shared-study", args=[made.pk]))))  # id only
    assert len(answers) == 1


def test_a_link_opens_its_own_study_only(doctor, share):
    made, secret = share()
    other, _other_secret = share()
    client, _page = opened(secret)
    assert client.get(reverse("diagnosis:shared-study", args=[other.pk])).status_code == 404
    for path in (
        reverse("diagnosis:study-detail", args=[made.study_id]),
        reverse("diagnosis:worklist"),
    ):
        assert client.get(path).status_code == 302  # to sign-in


def test_the_link_of_an_inactive_clinic_is_closed(doctor, share):
    _made, secret = share()
    client, page = opened(secret)
    doctor.clinic.is_active = False
    doctor.clinic.save()
    assert client.get(page.request["PATH_INFO"]).status_code == 404


def test_a_passcode_guards_pictures_too_and_ten_wrong_ones_end_the_link(doctor, share):
    made, secret = share(passcode="correct horse")
    client, page = opened(secret)
    address, picture = (
        page.request["PATH_INFO"],
        reverse("diagnosis:shared-image", args=[made.pk, 0]),
    )
    assert b"Wrist" not in page.content
    assert client.get(picture).status_code == 404
    assert client.post(address, {"passcode": "wrong"}).status_code == 422
    assert client.post(address, {"passcode": "correct horse"}, follow=True).status_code == 200
    assert b"".join(client.get(picture).streaming_content) == b"jpeg"
    with clinic_scope(doctor.clinic_id):
        assert StudyShare.objects.get().wrong_passcodes == 1
        StudyShare.objects.update(wrong_passcodes=9)
    guesser, _page = opened(secret)
    guesser.post(address, {"passcode": "wrong"})
    assert guesser.post(address, {"passcode": "correct horse"}).status_code == 404
    with clinic_scope(doctor.clinic_id):
        denied = AuditEvent.objects.filter(action="share.open", outcome="denied").count()
    assert denied == 2


def test_guessing_is_slowed_down(share):
    _made, secret = share(passcode="correct horse")
    client = Client()
    statuses = [
        client.get(reverse("diagnosis:shared-open", args=[f"guess-{n}"])).status_code
        for n in range(35)
    ]
    assert statuses[0] == 404
    assert statuses[-1] == 429
    assert client.get(reverse("diagnosis:shared-open", args=[secret])).status_code == 429


def test_an_opinion_is_stored_shown_to_the_clinic_and_escaped(client, doctor, study, share):
    _made, secret = share()
    recipient, page = opened(secret)
    address = page.request["PATH_INFO"]
    assert recipient.post(address, {"author_name": " ", "text": "x"}).status_code == 422
    body = {"author_name": "Dr. <b>Else</b>", "text": "<script>alert(1)</script> broken"}
    assert recipient.post(address, body).status_code == 302
    client.force_login(doctor.user)
    text = client.get(reverse("diagnosis:study-shares", args=[study.pk])).content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; broken" in text
    assert "<b>Else" not in text
    reading_only = share(may_comment=False)
    recipient, page = opened(reading_only[1])
    recipient.post(page.request["PATH_INFO"], body)
    with clinic_scope(doctor.clinic_id):
        assert ShareComment.objects.count() == 1
        assert AuditEvent.objects.filter(action="share.comment").count() == 1


def test_a_link_is_made_and_shown_once_and_revoked_at_once(client, doctor, study):
    client.force_login(doctor.user)
    address = reverse("diagnosis:study-shares", args=[study.pk])
    refused = client.post(address, {"days": 7})
    assert refused.status_code == 422
    assert b"burned into" in refused.content
    assert client.post(address, {"days": 99, "images_checked": "on"}).status_code == 422
    short = {"days": 7, "images_checked": "on", "passcode": "12345"}
    assert client.post(address, short).status_code == 422
    made = client.post(address, {"days": 7, "images_checked": "on"}).content.decode()
    secret = re.search(r"/second-opinion/([\w-]{40,})/", made)[1]
    assert secret not in client.get(address).content.decode()
    with clinic_scope(doctor.clinic_id), connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(s)::text FROM diagnosis_studyshare s")
        assert secret not in cursor.fetchone()[0]
        share = StudyShare.objects.get()
        assert share.expires_at < timezone.now() + timedelta(days=7, minutes=1)
    recipient, page = opened(secret)
    assert page.status_code == 200
    client.post(reverse("diagnosis:share-revoke", args=[share.pk]))
    assert recipient.get(page.request["PATH_INFO"]).status_code == 404
    with clinic_scope(doctor.clinic_id):
        share_revoke(actor=doctor.user, share=StudyShare.objects.get())
        actions = AuditEvent.objects.filter(action__startswith="share.").order_by("id")
        assert list(actions.values_list("action", flat=True)) == [
            "share.create", "share.open", "share.revoke",
        ]  # fmt: skip


def test_only_doctors_of_the_clinic_make_and_revoke_links(client, doctor, study, share):
    made, _secret = share()
    addresses = (
        reverse("diagnosis:study-shares", args=[study.pk]),
        reverse("diagnosis:share-revoke", args=[made.pk]),
    )
    for member, status in (
        (MembershipFactory(doctor=True), 404),
        (MembershipFactory(roles=[Role.TECHNICIAN], clinic=doctor.clinic), 403),
        (MembershipFactory(roles=[Role.CLINIC_ADMIN], clinic=doctor.clinic), 403),
    ):
        client.force_login(member.user)
        for address in addresses:
            answer = client.post(address, {"days": 7, "images_checked": "on"})
            assert answer.status_code == status, address
    with clinic_scope(doctor.clinic_id):
        assert StudyShare.objects.get().revoked_at is None


def test_outside_of_a_clinic_the_lookup_tells_ids_and_nothing_else(share):
    _made, secret = share()
    with clinic_scope(None), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM diagnosis_studyshare")
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT * FROM diagnosis_share_find(%s)", [secret])  # not the hash
        assert cursor.fetchall() == []
