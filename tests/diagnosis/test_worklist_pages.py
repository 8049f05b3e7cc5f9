"""The worklist by pages, its counts, and what does not fit together in a study."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.tenancy import clinic_scope
from diagnosis.models import ClinicRules, Study
from diagnosis.selectors.rules import rules_get, study_waiting
from diagnosis.selectors.study_warnings import sides_in, study_warnings
from diagnosis.selectors.worklist import (
    place_of,
    place_read,
    worklist_neighbours,
    worklist_news,
    worklist_page,
)
from diagnosis.services.study_urgency import study_urgency_parts
from diagnosis.services.worklist_settings import clinic_rules_update
from fracture_site.common.errors import RefusedInputError
from tests.factories import (
    MembershipFactory,
    PatientFactory,
    ReportVersionFactory,
    StudyFactory,
    StudyImageFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def doctor():
    member = MembershipFactory(doctor=True)
    with clinic_scope(member.clinic_id):
        yield member


@pytest.fixture
def studies(doctor):
    """Seven studies in the order of the list; the middle ones are of equal rank."""
    patient = PatientFactory(clinic=doctor.clinic)
    ranks = (90.0, 80.0, 50.0, 50.0, 50.0, 10.0, 0.0)
    return [StudyFactory(patient=patient, status="ready", urgency=rank) for rank in ranks]


def page(member, **options):
    return worklist_page(user=member.user, tab="unread", rows=3, **options)


def test_pages_forth_and_back_hold_each_study_once_and_in_order(doctor, studies):
    first = page(doctor)
    second = page(doctor, after=first.last)
    third = page(doctor, after=second.last)
    assert first.studies + second.studies + third.studies == studies
    ends = [(p.has_previous, p.has_next) for p in (first, second, third)]
    assert ends == [(False, True), (True, True), (True, False)]
    assert page(doctor, before=third.first).studies == second.studies
    back = page(doctor, before=second.first)
    assert (back.studies, back.has_previous) == (first.studies, False)


def test_a_place_survives_the_address_and_nothing_else_is_taken_for_one(doctor, studies):
    stored = Study.objects.get(pk=studies[3].pk)
    assert place_read(str(place_of(stored))) == place_of(stored)
    for text in ("", "1_2", "a_b_c", "nan_0_x", f"1e9_0_{stored.pk.hex}", f"inf_0_{stored.pk.hex}",
                 f"1_1e99_{stored.pk.hex}", f"1_nan_{stored.pk.hex}"):  # fmt: skip
        assert place_read(text) is None, text


def test_neighbours_are_those_of_the_filtered_list(doctor, studies):
    Study.objects.filter(pk=studies[2].pk).update(region="leg")
    Study.objects.filter(pk=studies[5].pk).update(region="leg")
    middle = Study.objects.get(pk=studies[3].pk)
    assert worklist_neighbours(user=doctor.user, study=middle) == (studies[2].pk, studies[4].pk)
    narrow = worklist_neighbours(user=doctor.user, study=middle, region="leg")
    assert narrow == (studies[2].pk, studies[5].pk)
    ends = [worklist_neighbours(user=doctor.user, study=Study.objects.get(pk=studies[n].pk))
            for n in (0, 6)]  # fmt: skip
    assert ends == [(None, studies[1].pk), (studies[5].pk, None)]


def test_only_what_came_or_changed_and_is_not_on_the_screen_is_new(doctor, studies):
    since = timezone.now()
    shown = [study.pk for study in studies[:3]]
    assert worklist_news(user=doctor.user, since=since, shown=shown, tab="unread") == 0
    for study in (studies[0], studies[5]):
        study.save(update_fields=["updated_at"])
    StudyFactory(patient=studies[0].patient, status="queued")
    assert worklist_news(user=doctor.user, since=since, shown=shown, tab="unread") == 2


def test_the_parts_of_a_rank_sum_up_to_it():
    study = Study(status="ready", verdict="definite", probability=0.97, priority=1)
    parts = {part.code: part.points for part in study_urgency_parts(study)}
    assert parts == {"priority_urgent": 20.0, "verdict_definite": 50.0, "probability": 9.0}
    assert study_urgency_parts(Study(status="reported", verdict="definite", priority=0)) == []


@pytest.mark.parametrize(
    ("fields", "minutes", "target", "late"),
    [
        ({"priority": 2, "verdict": "definite"}, 61, 60, True),
        ({"priority": 2, "verdict": "definite"}, 60, 60, False),
        ({"priority": 0, "verdict": "negative"}, 45, 30, True),
        ({"priority": 2, "verdict": "negative"}, 45, 1440, False),
    ],
)
def test_the_shortest_target_counts(doctor, fields, minutes, target, late):
    now = timezone.now()
    study = Study(status="ready", created_at=now - timedelta(minutes=minutes, seconds=5), **fields)
    waiting = study_waiting(study, rules_get(user=doctor.user), now=now)
    assert (waiting.minutes, waiting.target, waiting.is_late) == (minutes, target, late)


def test_a_read_study_waits_no_more_until_an_image_arrives(doctor):
    study, rules = Study(status="reported", created_at=timezone.now()), rules_get(user=doctor.user)
    assert study_waiting(study, rules, now=timezone.now()) is None
    study.new_image_after_report = True
    assert study_waiting(study, rules, now=timezone.now()) is not None


def test_a_clinic_sets_its_own_rules_and_bad_ones_are_refused(doctor):
    admin = MembershipFactory(clinic_admin=True, clinic=doctor.clinic)
    change = {"actor": admin.user, "clinic_id": doctor.clinic_id}
    clinic_rules_update(**change, targets={"stat": 5, "definite": None})
    rules = rules_get(user=doctor.user)
    assert (rules.targets["stat"], rules.targets["definite"]) == (5, None)
    assert rules.targets["urgent"] == 60
    stranger, technician = MembershipFactory(), MembershipFactory(clinic=doctor.clinic)
    for bad in (
        {"targets": {"stat": 0}},
        {"targets": {"stat": True}},
        {"targets": {"soon": 5}},
        {"views": {"wrist": ["front"]}},
        {"views": {"head": ["frontal"]}},
        {"critical_regions": ["head"]},
        {"critical_severities": ["awful"]},
        {"critical_priority": 7},
        {"critical_levels": [{"people": [str(stranger.user_id)], "minutes": 5}]},
        {"critical_levels": [{"people": [], "minutes": 5}]},
        {"critical_levels": [{"people": [str(technician.user_id)], "minutes": 0}]},
    ):
        with pytest.raises(RefusedInputError, match="rules_invalid"):
            clinic_rules_update(**change, **bad)
    assert ClinicRules.objects.count() == 1


def image(laterality="", view=""):
    return StudyImageFactory.build(
        laterality=laterality, view_position=view, study=None, clinic=None
    )


def report(text, number=1):
    return ReportVersionFactory.build(
        findings=text, impression="", number=number, report=None, author=None, clinic=None
    )


BOTH_VIEWS = ("frontal", "lateral")


@pytest.mark.parametrize(
    ("side", "images", "text", "expected"),
    [
        ("left", [image("R")], "", ["side_differs_from_image"]),
        ("left", [image("L"), image("R")], "", ["side_differs_from_image"]),
        ("left", [image("L"), image("B"), image("")], "", []),
        ("both", [image("L"), image("R")], "", []),
        ("", [image("L"), image("R")], "", ["sides_differ_between_images"]),
        ("left", [], "Fracture of the right radius.", ["side_differs_from_report"]),
        ("left", [], "Fraktur des rechten Radius.", ["side_differs_from_report"]),
        ("left", [], "Left radius; compared with the right.", []),
        ("left", [], "Patient is right-handed. Fracture.", []),
        ("left", [], "No fracture.", []),
        ("both", [], "Right radius.", []),
        ("", [image("R")], "Left radius.", ["side_differs_from_report"]),
    ],
)
def test_sides_that_differ_are_asked_about(side, images, text, expected):
    versions = [report("Right and left.", number=1), report(text, number=2)]
    assert study_warnings(Study(side=side), images, versions, views=()) == expected


@pytest.mark.parametrize(
    ("views", "missing"),
    [
        ([], False),  # no image at all is another matter
        (["PA"], True),
        (["PA", "LL"], False),
        (["PA", "AP"], True),
        (["PA", ""], False),  # an unnamed projection may be the lateral one
        (["", ""], False),
        ([""], True),
        (["OBL", "PA", "LATERAL"], False),
        (["SUNRISE", "PA"], False),
    ],
)
def test_a_missing_view_is_told_only_when_it_must_be_missing(views, missing):
    images = [image(view=view) for view in views]
    found = study_warnings(Study(), images, (), views=BOTH_VIEWS)
    assert found == (["views_missing"] if missing else [])


def test_sides_in_several_languages():
    assert sides_in("Radius gauche, cubitus droit") == {"left", "right"}
    assert sides_in("mano izquierda") == {"left"}
    assert sides_in("upright, leftover, recto") == set()
