"""Two people, or two clicks, send the same file at the same time."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from accounts.tenancy import clinic_scope
from diagnosis.models import Analysis, StudyImage
from diagnosis.services import uploads
from diagnosis.services.uploads import image_upload
from fracture_site.common.errors import ConflictError
from ml.data.synthetic import synthetic_radiograph, to_png
from tests.factories import MembershipFactory, PatientFactory, StudyFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def member():
    return MembershipFactory(technician=True)


def study_of(member):
    return StudyFactory(patient=PatientFactory(clinic=member.clinic))


def together(monkeypatch, member, studies, files):
    """Upload each file to its study at once: all have looked for duplicates before one stores."""
    barrier = Barrier(len(studies))
    ingest = uploads.ingest_image

    def ingest_then_wait(data, **options):
        image = ingest(data, **options)
        barrier.wait(timeout=30)
        return image

    monkeypatch.setattr(uploads, "ingest_image", ingest_then_wait)

    def one(study, data):
        try:
            with clinic_scope(member.clinic_id):
                return image_upload(actor=member.user, study=study, data=data)
        except ConflictError as conflict:
            return conflict
        finally:
            connection.close()

    with ThreadPoolExecutor(len(studies)) as pool:
        return list(pool.map(one, studies, files))


def png(seed=1):
    return to_png(synthetic_radiograph(seed, region="leg", size=(160, 128)).pixels)


def test_the_same_file_twice_in_one_study_makes_one_image(monkeypatch, member):
    study = study_of(member)
    outcomes = together(monkeypatch, member, [study] * 4, [png()] * 4)
    assert sorted(outcome.created for outcome in outcomes) == [False, False, False, True]
    assert len({outcome.image.pk for outcome in outcomes}) == 1
    with clinic_scope(member.clinic_id):
        assert StudyImage.objects.count() == Analysis.objects.count() == 1


def test_the_same_file_in_two_studies_makes_one_image_and_one_conflict(monkeypatch, member):
    outcomes = together(monkeypatch, member, [study_of(member), study_of(member)], [png()] * 2)
    [conflict] = [o for o in outcomes if isinstance(o, ConflictError)]
    [success] = [o for o in outcomes if not isinstance(o, ConflictError)]
    assert conflict.code == "image_in_other_study"
    assert conflict.extra["image"] == str(success.image.pk)
    with clinic_scope(member.clinic_id):
        assert StudyImage.objects.count() == 1


def test_different_files_in_one_study_all_arrive_each_at_its_own_place(monkeypatch, member):
    study = study_of(member)
    outcomes = together(monkeypatch, member, [study] * 4, [png(seed) for seed in range(4)])
    assert all(outcome.created for outcome in outcomes)
    assert sorted(outcome.image.position for outcome in outcomes) == [0, 1, 2, 3]
