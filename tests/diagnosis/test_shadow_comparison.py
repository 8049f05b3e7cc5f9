"""The figures of a shadow: agreement with its interval, differences, and signed reports."""

from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.tenancy import clinic_scope
from diagnosis.selectors.shadow import Pair, Share, compare, shadow_comparison
from tests.factories import (
    AnalysisFactory,
    FindingFactory,
    FindingReviewFactory,
    MembershipFactory,
    ModelVersionFactory,
    ReportVersionFactory,
    ShadowRunFactory,
    StudyImageFactory,
)


def pair(active, shadow, truth=None, *, verdicts=None):
    def verdict(probability):
        if probability is None:
            return "cannot_assess"
        return "definite" if probability >= 0.5 else "negative"

    first, second = verdicts or (verdict(active), verdict(shadow))
    return Pair(uuid4(), uuid4(), first, active, second, shadow, truth)


def test_nothing_to_compare_is_told_and_not_divided():
    nothing = compare([])

    assert nothing.count == 0
    assert nothing.agreement.value is None
    assert nothing.mean_difference is None
    assert sum(nothing.histogram) == 0


def test_agreement_is_about_fracture_or_not():
    pairs = [
        pair(0.9, 0.6, verdicts=("definite", "suspicion")),
        pair(0.1, 0.9),
        pair(None, 0.2),
        pair(None, None),
    ]

    found = compare(pairs)

    assert (found.agreement.hits, found.agreement.count) == (2, 4)
    assert found.discordant == (pairs[1], pairs[2])
    assert found.mean_difference == pytest.approx((-0.3 + 0.8) / 2)
    assert found.histogram[3] == found.histogram[9] == 1
    assert sum(found.histogram) == 2


@pytest.mark.parametrize(("difference", "place"), [(-1.0, 0), (0.0, 5), (1.0, 9)])
def test_every_difference_has_a_place_in_the_histogram(difference, place):
    found = compare([pair(max(0.0, -difference), max(0.0, difference))])

    assert found.histogram[place] == 1


def test_the_interval_is_wilsons():
    low, high = Share(8, 10).interval

    assert (low, high) == (pytest.approx(0.4902, abs=1e-3), pytest.approx(0.9433, abs=1e-3))
    assert Share(0, 5).interval[0] == 0.0
    assert Share(5, 5).interval[1] == 1.0


def test_an_answer_that_was_not_given_is_not_right():
    found = compare([pair(0.9, None, truth=True), pair(0.1, 0.9, truth=False)])

    assert (found.active_right.hits, found.shadow_right.hits) == (2, 0)
    assert found.active_right.count == found.shadow_right.count == 2


@pytest.mark.django_db
def test_signed_decisions_are_the_truth_and_open_ones_are_none():
    admin = MembershipFactory(clinic_admin=True)
    shadow = ModelVersionFactory(stage="shadow")

    def read_by_both(*, decision=None, signed=True):
        image = StudyImageFactory(study__patient__clinic=admin.clinic)
        analysis = AnalysisFactory(image=image, succeeded=True)
        finding = FindingFactory(analysis=analysis)
        if decision:
            reason = {"reject_reason": "artefact"} if decision == "rejected" else {}
            FindingReviewFactory(finding=finding, decision=decision, **reason)
        if signed:
            ReportVersionFactory(
                report__study=image.study,
                status="signed",
                signed_by=admin.user,
                signed_at=timezone.now(),
                pdf_key="reports/x.pdf",
                content_sha256="d" * 64,
            )
        ShadowRunFactory(
            analysis=analysis,
            model_version=shadow,
            succeeded=True,
            verdict="negative",
            probability=0.1,
        )

    read_by_both(decision="accepted")
    read_by_both(decision="rejected")
    read_by_both()  # signed, and nobody decided
    read_by_both(decision="accepted", signed=False)

    with clinic_scope(admin.clinic_id):
        found = shadow_comparison(user=admin.user, version=shadow)

    assert found.count == 4
    assert (found.active_right.hits, found.active_right.count) == (1, 2)
    assert (found.shadow_right.hits, found.shadow_right.count) == (1, 2)
