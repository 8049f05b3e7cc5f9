"""Which model reads an image: by modality, body region and age; never by luck."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.tenancy import clinic_scope
from diagnosis.services.model_coverage import Coverage, Subject
from diagnosis.services.model_routing import model_route, shadow_versions, subject_of
from tests.factories import ModelVersionFactory, StudyImageFactory

CR = frozenset({"CR"})


def coverage(modalities=CR, regions=(), low=None, high=None):
    return Coverage(frozenset(modalities), frozenset(regions), low, high)


@pytest.mark.parametrize(
    ("covering", "subject", "code"),
    [
        (coverage(), Subject("CR"), ""),
        (coverage(), Subject("CT"), "no_model_for_modality"),
        (coverage(), Subject(""), "no_model_for_modality"),
        (coverage({"photo"}), Subject(""), ""),
        (coverage(), Subject("CR", frame_count=30), "no_model_for_modality"),
        (coverage(regions=["hand"]), Subject("CR", "hand"), ""),
        (coverage(regions=["hand"]), Subject("CR", "foot"), "no_model_for_region"),
        (coverage(regions=["hand"]), Subject("CR"), "no_model_for_region"),
        (coverage(low=16), Subject("CR", age_years=16), ""),
        (coverage(low=16), Subject("CR", age_years=15), "no_model_for_age"),
        (coverage(high=15), Subject("CR", age_years=16), "no_model_for_age"),
        (coverage(high=15), Subject("CR"), "no_model_for_age"),
        (coverage(low=0, high=0), Subject("CR", age_years=0), ""),
    ],
)
def test_what_is_covered(covering, subject, code):
    assert covering.refuses(subject) == code


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (coverage(), coverage(), True),
        (coverage(), coverage({"DX"}), False),
        (coverage(regions=["hand"]), coverage(regions=["foot"]), False),
        (coverage(regions=["hand"]), coverage(), True),
        (coverage(high=15), coverage(low=16), False),
        (coverage(high=16), coverage(low=16), True),
        (coverage(regions=["hand"], high=15), coverage(regions=["hand"], low=16), False),
        (coverage(()), coverage(()), False),
    ],
)
def test_overlap_is_symmetric_and_exact(one, other, overlap):
    assert one.overlaps(other) is overlap
    assert other.overlaps(one) is overlap


def image_of(*, age: int | None = None, part: str = "", **values):
    born = timezone.now().date() - timedelta(days=round(365.25 * age) + 30) if age else None
    return StudyImageFactory(study__patient__birth_date=born, study__body_part=part, **values)


@pytest.mark.django_db
def test_children_and_adults_are_read_by_their_own_model():
    children = ModelVersionFactory(name="children", stage="active", age_max=15)
    adults = ModelVersionFactory(name="adults", stage="active", age_min=16)

    def reader(image):
        with clinic_scope(image.clinic_id):
            route = model_route(image)
        return route.version, route.refusal

    assert reader(image_of(age=7, modality="DX")) == (children, "")
    assert reader(image_of(age=70, modality="DX")) == (adults, "")
    assert reader(image_of(modality="DX"))[1] == "no_model_for_age"
    assert reader(image_of(age=70, modality="MR"))[1] == "no_model_for_modality"


@pytest.mark.django_db
def test_nobody_reads_while_nothing_is_active():
    ModelVersionFactory(), ModelVersionFactory(stage="shadow")
    image = image_of(modality="DX")

    with clinic_scope(image.clinic_id):
        assert model_route(image) is None


@pytest.mark.django_db
def test_shadows_follow_their_own_coverage():
    covering = ModelVersionFactory(name="a", stage="shadow")
    ModelVersionFactory(name="b", stage="shadow", modalities=["CT"])
    image = image_of(modality="DX")

    with clinic_scope(image.clinic_id):
        assert shadow_versions(image) == [covering]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("examined", "part"),
    [("HAND", "hand"), ("LOWER LEG", "lower_leg"), ("PELVIS", "hip"), ("SKULL", ""), ("", "")],
)
def test_the_body_part_of_the_file_counts_when_the_request_names_none(examined, part):
    image = StudyImageFactory(study__body_part="", body_part_examined=examined)

    with clinic_scope(image.clinic_id):
        assert subject_of(image).body_region == part


@pytest.mark.django_db
def test_the_request_counts_more_than_the_file():
    image = StudyImageFactory(study__body_part="foot", body_part_examined="HAND")

    with clinic_scope(image.clinic_id):
        assert subject_of(image).body_region == "foot"
