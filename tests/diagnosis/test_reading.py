import pytest
from django.core.cache import cache
from redis.exceptions import ConnectionError as RedisConnectionError

from accounts.models import AuditEvent
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis.services.reading import image_open, study_open
from tests.factories import MembershipFactory, PatientFactory, StudyFactory, StudyImageFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]  # an empty cache


@pytest.fixture
def doctor():
    member = MembershipFactory(doctor=True)
    with clinic_scope(member.clinic_id):
        yield member


@pytest.fixture
def image(doctor):
    study = StudyFactory(patient=PatientFactory(clinic=doctor.clinic))
    return StudyImageFactory(study=study)


@pytest.fixture
def look(django_capture_on_commit_callbacks):
    def look(member, image, what):
        with django_capture_on_commit_callbacks(execute=True):
            image_open(actor=member.user, image=image, what=what)

    return look


def events(**conditions):
    return AuditEvent.objects.filter(**conditions).count()


def test_opening_a_study_is_recorded_for_its_patient(doctor, image):
    study_open(actor=doctor.user, study=image.study)
    event = AuditEvent.objects.get(action="study.open")
    assert (event.actor, event.target_id) == (doctor.user, image.study_id)
    assert event.patient_id == image.study.patient_id


def test_the_same_picture_is_recorded_once_for_each_person_and_kind(doctor, image, look):
    colleague = MembershipFactory(clinic=doctor.clinic, doctor=True)
    for member in (doctor, colleague):
        for what in ("rendition", "heatmap", "thumbnail") * 3:
            look(member, image, what)
    assert events(action="image.open") == 6
    assert events(action="image.open", details__what="rendition", actor=doctor.user) == 1


def test_each_download_of_the_file_is_recorded(doctor, image, look):
    for _ in range(3):
        look(doctor, image, "file")
    assert events(action="image.open", details__what="file") == 3


def test_a_reading_whose_transaction_failed_is_recorded_the_next_time(doctor, image, look):
    image_open(actor=doctor.user, image=image, what="rendition")  # its commit never comes
    look(doctor, image, "rendition")
    assert events(action="image.open") == 2


def test_without_the_cache_every_reading_is_recorded(doctor, image, look, monkeypatch):
    def down(*_args, **_kwargs):
        raise RedisConnectionError

    monkeypatch.setattr(cache, "get", down)
    monkeypatch.setattr(cache, "set", down)
    look(doctor, image, "rendition")
    look(doctor, image, "rendition")
    assert events(action="image.open") == 2


def test_a_stranger_opens_nothing(image):
    stranger = MembershipFactory(doctor=True).user
    with pytest.raises(ActionDeniedError):
        study_open(actor=stranger, study=image.study)
    with pytest.raises(ActionDeniedError):
        image_open(actor=stranger, image=image, what="file")
    assert events() == 0
