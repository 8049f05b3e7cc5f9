"""The AI against the signed reports: agreement, sensitivity, specificity; pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from diagnosis.models import Verdict
from diagnosis.selectors.dashboard.counts import ReferenceCell
from diagnosis.selectors.proportions import Share

SUSPECTED = frozenset({Verdict.DEFINITE, Verdict.SUSPICION})
DEFINITE = frozenset({Verdict.DEFINITE})
ASSESSED = SUSPECTED | {Verdict.NEGATIVE}
DECIDED = frozenset({"yes", "no"})


@dataclass(frozen=True, slots=True)
class Agreement:
    """The figures of one group: ``all``, ``region`` or ``model``."""

    group: str
    name: str
    agreement: Share
    sensitivity: Share
    specificity: Share
    sensitivity_definite: Share
    specificity_definite: Share

    @property
    def studies(self) -> int:
        """How many studies were compared."""
        return self.agreement.count


def is_compared(cell: ReferenceCell) -> bool:
    """Tell whether both have said yes or no."""
    return cell.answer in DECIDED and cell.verdict in ASSESSED


def agreements(cells: Iterable[ReferenceCell]) -> list[Agreement]:
    """Return the figures of all studies, of each region, and of each model version."""
    compared = [cell for cell in cells if is_compared(cell)]
    found = [_agreement("all", "", compared)]
    for group, name_of in (("region", _region), ("model", _model)):
        names = sorted({name_of(cell) for cell in compared})
        found += [
            _agreement(group, name, [cell for cell in compared if name_of(cell) == name])
            for name in names
        ]
    return found


def _region(cell: ReferenceCell) -> str:
    return cell.region


def _model(cell: ReferenceCell) -> str:
    return cell.model


def _agreement(group: str, name: str, cells: Iterable[ReferenceCell]) -> Agreement:
    counted: Counter[tuple[str, str]] = Counter()
    for cell in cells:
        counted[cell.answer, cell.verdict] += cell.count
    fractured = sum(count for (answer, _), count in counted.items() if answer == "yes")
    sound = sum(counted.values()) - fractured

    def flagged(answer: str, verdicts: frozenset[Verdict]) -> int:
        return sum(counted[answer, verdict] for verdict in verdicts)

    suspected = flagged("yes", SUSPECTED)
    cleared = sound - flagged("no", SUSPECTED)
    return Agreement(
        group=group,
        name=name,
        agreement=Share(suspected + cleared, fractured + sound),
        sensitivity=Share(suspected, fractured),
        specificity=Share(cleared, sound),
        sensitivity_definite=Share(flagged("yes", DEFINITE), fractured),
        specificity_definite=Share(sound - flagged("no", DEFINITE), sound),
    )
