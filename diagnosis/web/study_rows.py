"""What a row of a list of studies shows, in a fixed number of queries."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from accounts.models import User
from diagnosis.models import Study, StudyClaim
from diagnosis.selectors.rules import Rules, Waiting, rules_get, study_waiting
from diagnosis.selectors.study_warnings import study_warnings
from diagnosis.selectors.worklist import live_claims
from diagnosis.web.worklist_words import rank_words, warning_sentences


@dataclass(frozen=True, slots=True)
class StudyRow:
    """One row: the study, why it is here, how long it waits, who reads it, what to check."""

    study: Study
    claim: StudyClaim | None
    waiting: Waiting | None
    rank: list[tuple[str, int]]
    warnings: list[tuple[str, str]]

    @property
    def points(self) -> int:
        """The rank as a number."""
        return sum(points for _words, points in self.rank)


def study_rows(*, user: User, studies: Sequence[Study]) -> list[StudyRow]:
    """Return rows of studies whose images and report versions are fetched."""
    rules, now = rules_get(user=user), timezone.now()
    claims = live_claims(user=user, studies=list(studies))
    return [
        StudyRow(
            study=study,
            claim=claims.get(study.pk),
            waiting=study_waiting(study, rules, now=now),
            rank=rank_words(study),
            warnings=warning_sentences(warnings_of(study, rules)),
        )
        for study in studies
    ]


def warnings_of(study: Study, rules: Rules) -> list[str]:
    """Return the codes of what does not fit together; images and versions are fetched."""
    report = getattr(study, "report", None)
    return study_warnings(
        study,
        list(study.images.all()),
        report.versions.all() if report else (),
        views=rules.views.get(study.body_part, ()),
    )
