"""What was fetched from an archive to be compared with is in no statistic and no training set."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Role
from accounts.tenancy import clinic_scope
from diagnosis.models import Study
from diagnosis.selectors.dashboard import dashboard_figures, default_period
from diagnosis.selectors.shadow import shadow_comparison
from diagnosis.selectors.training import training_images
from diagnosis.selectors.validation_cases import validation_cases
from diagnosis.selectors.worklist import WorklistTab, worklist_counts
from tests.factories import (
    AnalysisFactory,
    DestinationFactory,
    FindingFactory,
    FindingReviewFactory,
    MembershipFactory,
    ShadowRunFactory,
    StudyImageFactory,
)
from tests.support.clinic_days import Case, stored

pytestmark = pytest.mark.django_db


@pytest.fixture
def member():
    return MembershipFactory(roles=[Role.DOCTOR, Role.CLINIC_ADMIN])


def a_study(member, *, answer, arrived):
    """Store a study with everything that is counted of one."""
    case = Case(arrived, verdict="definite", probability=0.9, answer=answer)
    study = stored(member, case).study
    analysis = AnalysisFactory(image=StudyImageFactory(study=study), succeeded=True)
    FindingReviewFactory(finding=FindingFactory(analysis=analysis))
    return study, ShadowRunFactory(analysis=analysis, succeeded=True)


def counted(member, run) -> dict[str, object]:
    """Return how many studies each statistic of the clinic counts."""
    with clinic_scope(member.clinic_id):
        period = default_period(now=timezone.now(), zone=timezone.get_default_timezone())
        figures = dashboard_figures(user=member.user, period=period)
        cases = validation_cases(
            clinic=member.clinic,
            version=run.model_version,
            first=period.first,
            last=period.last,
        )
        shadow = shadow_comparison(user=member.user, version=run.model_version)
        return {
            "volume": figures.studies,
            "verdicts": sum(figures.verdicts.values()),
            "compared": figures.agreement[0].studies,
            "not reported": figures.left_out.not_reported,
            "calibration": figures.calibration_all.count,
            "waits": {kind: wait[None].count for kind, wait in figures.waits.items()},
            "drift": {kind: drift.count for (kind, _), drift in figures.drift.items()},
            "baseline": figures.baseline.first,
            "validated": cases.studies,
            "shadow": (shadow.count, shadow.shadow_right.count),
            "training": training_images(user=member.user).count(),
            "worklist": worklist_counts(user=member.user)[WorklistTab.ALL],
        }


def test_a_fetched_study_changes_no_figure_and_one_that_is_read_here_does(member):
    now = timezone.now()
    _, run = a_study(member, answer="yes", arrived=now)
    before = counted(member, run)
    assert before["compared"] == before["training"] == before["worklist"] == 1
    assert before["waits"] == {"ai": 1, "report": 1, "waiting": 0}

    fetched, older = a_study(member, answer="", arrived=now - timedelta(days=3))
    reported, _ = a_study(member, answer="yes", arrived=now)
    archive = DestinationFactory(clinic=member.clinic, finds_priors=True)
    with clinic_scope(member.clinic_id):
        Study.objects.filter(pk=fetched.pk).update(fetched_from=archive, status="prior")
        Study.objects.filter(pk=reported.pk).update(fetched_from=archive)
        type(older).objects.update(model_version=run.model_version)
    after = counted(member, run)

    assert {**after, "worklist": 1} == before  # somebody's report here is on the list of reports
    with clinic_scope(member.clinic_id):
        Study.objects.filter(pk=reported.pk).update(fetched_from=None)
        Study.objects.filter(pk=fetched.pk).update(fetched_from=None, status="ready")
    taken_up = counted(member, run)
    unchanged = {key for key in before if taken_up[key] == before[key]}
    assert unchanged == set()
