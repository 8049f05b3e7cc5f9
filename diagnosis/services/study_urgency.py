"""How soon a study should be read: one explainable number; the worklist sorts by it, then by age.

The number is a sum, so that the worklist can say why a study is where it is:

=====================================  =======================================
priority                               emergency 40, urgent 20, routine 0
verdict of the AI                      fracture 50, suspicion 30,
                                       cannot assess or failed 20,
                                       no answer yet 10, no fracture seen 0
probability                            0 to 9: whole tenths only, so that cases
                                       that are alike are read in order of age
image that arrived after the report    15
waits beyond the clinic's target       12
=====================================  =======================================

A reported study has nothing left to read: 0, unless an image arrived after the report.
"""

from dataclasses import dataclass

from diagnosis.models import Priority, Study, Verdict

_PRIORITY = {Priority.STAT: 40.0, Priority.URGENT: 20.0, Priority.ROUTINE: 0.0}
_VERDICT = {
    Verdict.DEFINITE: 50.0,
    Verdict.SUSPICION: 30.0,
    Verdict.CANNOT_ASSESS: 20.0,
    Verdict.NEGATIVE: 0.0,
}
_FAILED, _PENDING, _NEW_IMAGE, _LATE = 20.0, 10.0, 15.0, 12.0


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a study's rank depends on."""

    status: str
    verdict: str
    probability: float | None
    priority: int
    new_image_after_report: bool
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class UrgencyPart:
    """One addend of the rank: a stable code and its points."""

    code: str
    points: float


def urgency_score(ranking: Ranking) -> float:
    """Return the study's rank; higher is read first."""
    return sum((part.points for part in urgency_parts(ranking)), 0.0)


def urgency_parts(ranking: Ranking) -> list[UrgencyPart]:
    """Return what the rank is made of, none for a study that has nothing left to read."""
    nothing_to_read = ranking.status in {Study.Status.EMPTY, Study.Status.PRIOR} or (
        ranking.status == Study.Status.REPORTED and not ranking.new_image_after_report
    )
    if nothing_to_read:
        return []
    priority = Priority(ranking.priority)
    parts = [UrgencyPart(f"priority_{priority.name.lower()}", _PRIORITY[priority])]
    if ranking.verdict:
        verdict = Verdict(ranking.verdict)
        parts.append(UrgencyPart(f"verdict_{verdict}", _VERDICT[verdict]))
        tenths = min(int((ranking.probability or 0.0) * 10), 9)
        parts.append(UrgencyPart("probability", float(tenths)))
    elif ranking.status == Study.Status.FAILED:
        parts.append(UrgencyPart("analysis_failed", _FAILED))
    else:
        parts.append(UrgencyPart("analysis_pending", _PENDING))
    if ranking.new_image_after_report:
        parts.append(UrgencyPart("new_image_after_report", _NEW_IMAGE))
    if ranking.is_late:
        parts.append(UrgencyPart("late", _LATE))
    return parts


def study_urgency_parts(study: Study) -> list[UrgencyPart]:
    """Return what the rank of a stored study is made of."""
    return urgency_parts(
        Ranking(
            status=study.status,
            verdict=study.verdict,
            probability=study.probability,
            priority=study.priority,
            new_image_after_report=study.new_image_after_report,
            is_late=study.is_late,
        )
    )


def urgency_reasons(ranking: Ranking) -> list[str]:
    """Return stable codes of what raises the study's rank."""
    reasons = []
    if ranking.verdict in {Verdict.DEFINITE, Verdict.SUSPICION, Verdict.CANNOT_ASSESS}:
        reasons.append(f"verdict_{ranking.verdict}")
    elif ranking.status == Study.Status.FAILED:
        reasons.append("analysis_failed")
    if ranking.priority != Priority.ROUTINE:
        stat = ranking.priority == Priority.STAT
        reasons.append("priority_stat" if stat else "priority_urgent")
    if ranking.new_image_after_report:
        reasons.append("new_image_after_report")
    return reasons
