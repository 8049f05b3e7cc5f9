"""All figures of the dashboard, from counts to what is shown."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from accounts.models import User
from diagnosis.selectors.dashboard import counts
from diagnosis.selectors.dashboard.agreement import (
    ASSESSED,
    Agreement,
    agreements,
    is_compared,
)
from diagnosis.selectors.dashboard.calibration import (
    BinCount,
    CalibrationError,
    calibration_error,
)
from diagnosis.selectors.dashboard.counts import AiCell, ReferenceCell, Wait
from diagnosis.selectors.dashboard.drift import Drift, drift
from diagnosis.selectors.dashboard.period import Period

BASELINE_DAYS: Final = 90
DRIFTING: Final = ("probability", "region", "verdict", "gate")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Studies of the period that are not compared with the AI, by the first reason that fits."""

    not_reported: int
    undecided: int
    not_assessed: int


@dataclass(frozen=True, slots=True)
class Dashboard:
    """The figures of one period; see ``tables`` for what each is."""

    period: Period
    baseline: Period
    steps: Sequence[date]
    volume: Mapping[tuple[date, int], int]
    verdicts: Mapping[tuple[date, str], int]
    waits: Mapping[str, Mapping[int | None, Wait]]
    agreement: Sequence[Agreement]
    left_out: LeftOut
    drift: Mapping[tuple[str, date], Drift]
    reliability: Mapping[int, BinCount]
    calibration: Mapping[date | None, CalibrationError]
    calibration_all: CalibrationError
    failures: Mapping[tuple[str, str], int]

    @property
    def studies(self) -> int:
        """How many studies arrived."""
        return sum(self.volume.values())


def dashboard_figures(*, user: User, period: Period, baseline: Period | None = None) -> Dashboard:
    """Return the figures of the current clinic.

    Without a ``baseline`` the drift is measured against the first ninety days of the clinic.
    """
    baseline = baseline or _first_days(user, period)
    volume = counts.volume(user=user, period=period)
    answers = counts.ai_answers(user=user, period=period)
    cells = counts.references(user=user, period=period)
    by_step = _bins(cells, lambda cell: cell.step)
    together = _bins(cells, lambda _cell: None).get(None, {})
    return Dashboard(
        period=period,
        baseline=baseline,
        steps=period.steps(),
        volume=volume,
        verdicts=_sums(answers, lambda cell: (cell.step, cell.verdict)),
        waits={
            "ai": counts.ai_waits(user=user, period=period),
            "report": counts.turnaround(user=user, period=period),
            "waiting": counts.waiting_now(user=user),
        },
        agreement=agreements(cells),
        left_out=_left_out(sum(volume.values()), cells),
        drift=_drifts(user, period, baseline, answers),
        reliability=together,
        calibration={step: calibration_error(bins) for step, bins in by_step.items()},
        calibration_all=calibration_error(together),
        failures=counts.failures(user=user, period=period),
    )


def _first_days(user: User, period: Period) -> Period:
    first = counts.first_day(user=user, period=period)
    return Period(first, first + timedelta(days=BASELINE_DAYS - 1), period.zone)


def _left_out(studies: int, cells: Iterable[ReferenceCell]) -> LeftOut:
    reported = undecided = not_assessed = 0
    for cell in cells:
        reported += cell.count
        if cell.answer not in {"yes", "no"}:
            undecided += cell.count
        elif cell.verdict not in ASSESSED:
            not_assessed += cell.count
    return LeftOut(studies - reported, undecided, not_assessed)


def _drifts(
    user: User, period: Period, baseline: Period, answers: Sequence[AiCell]
) -> dict[tuple[str, date], Drift]:
    before = counts.ai_answers(user=user, period=baseline)
    found: dict[tuple[str, date], Drift] = {}
    for kind, category in _CATEGORIES.items():
        then = _sums(before, category)
        now = _split(_sums(answers, _of_step(category)))
        found |= {(kind, step): drift(then, now[step]) for step in period.steps()}
    gate_before = _split(counts.gate_answers(user=user, period=baseline))
    gate_then = sum(gate_before.values(), Counter[Any]())
    gate_now = _split(counts.gate_answers(user=user, period=period))
    return found | {("gate", step): drift(gate_then, gate_now[step]) for step in period.steps()}


_CATEGORIES: Final[Mapping[str, Callable[[AiCell], Any]]] = {
    "probability": lambda cell: cell.bin,
    "region": lambda cell: cell.region,
    "verdict": lambda cell: cell.verdict,
}


def _of_step(category: Callable[[AiCell], Any]) -> Callable[[AiCell], tuple[date, Any]]:
    return lambda cell: (cell.step, category(cell))


def _sums(cells: Iterable[AiCell], key: Callable[[AiCell], Any]) -> Counter[Any]:
    found: Counter[Any] = Counter()
    for cell in cells:
        found[key(cell)] += cell.count
    return found


def _split(counted: Mapping[tuple[date, Any], int]) -> dict[date, Counter[Any]]:
    """Return the counts of each step by themselves."""
    found: dict[date, Counter[Any]] = defaultdict(Counter)
    for (step, category), count in counted.items():
        found[step][category] += count
    return found


def _bins(
    cells: Iterable[ReferenceCell], key: Callable[[ReferenceCell], date | None]
) -> dict[date | None, dict[int, BinCount]]:
    """Return the compared studies that have a probability, by ``key`` and bin."""
    found: dict[date | None, dict[int, BinCount]] = defaultdict(dict)
    for cell in cells:
        if is_compared(cell) and cell.bin is not None:
            found[key(cell)].setdefault(cell.bin, BinCount()).add(
                is_fracture=cell.answer == "yes", count=cell.count, stated=cell.stated
            )
    return dict(found)
