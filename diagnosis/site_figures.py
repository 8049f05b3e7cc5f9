"""The bridge to ``ml.metrics``: figures of a model version over one clinic's studies.

Intervals are 95 %. That of a share is the wider of two: a bootstrap over patients, because two
studies of one patient are no two witnesses, and Wilson's, because a bootstrap of a share of 100 %
has no width at all.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from diagnosis.models import Verdict
from diagnosis.selectors.proportions import MINIMUM, Share
from diagnosis.selectors.validation_cases import ValidationCase
from ml.metrics import Estimate, IntArray, auroc, bootstrap, sensitivity, specificity

DRAWS: Final = 500
GROUP_DRAWS: Final = 200
GROUPS: Final = ("region", "age", "hardware", "view")
POINTS: Final = {
    "suspicion": frozenset({Verdict.DEFINITE, Verdict.SUSPICION}),
    "definite": frozenset({Verdict.DEFINITE}),
}


def site_figures(
    cases: Sequence[ValidationCase], *, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Return ``{"all": figures, "groups": {dimension: {value: figures}}}`` as JSON values.

    ``progress`` is told the percentage that is done, from time to time.
    """
    parts = [
        (name, value, [case for case in cases if getattr(case, name) == value])
        for name in GROUPS
        for value in sorted({getattr(case, name) for case in cases})
    ]
    work = len(cases) * DRAWS + sum(len(part) for _, _, part in parts) * GROUP_DRAWS
    together = _figures(cases, DRAWS)
    done = len(cases) * DRAWS
    progress(100 * done // max(work, 1))
    groups: dict[str, dict[str, Any]] = {name: {} for name in GROUPS}
    for name, value, part in parts:
        groups[name][value] = _figures(part, GROUP_DRAWS)
        done += len(part) * GROUP_DRAWS
        progress(100 * done // max(work, 1))
    return {"all": together, "groups": groups}


def _figures(cases: Sequence[ValidationCase], draws: int) -> dict[str, Any]:
    truth = np.array([case.fractured for case in cases], bool)
    scores = np.array([case.probability for case in cases], np.float64)
    fractured = int(truth.sum())
    found: dict[str, Any] = {
        "studies": len(cases),
        "patients": len({case.patient_id for case in cases}),
        "fractured": fractured,
    }
    for point, verdicts in POINTS.items():
        said = np.array([case.verdict in verdicts for case in cases], bool)
        hits = {
            "sensitivity": Share(int((said & truth).sum()), fractured),
            "specificity": Share(int((~said & ~truth).sum()), len(cases) - fractured),
        }
        for name, statistic in (("sensitivity", sensitivity), ("specificity", specificity)):

            def at_point(
                rows: IntArray, said: Any = said, statistic: Callable[..., float] = statistic
            ) -> float:
                return statistic(truth[rows], said[rows])

            share = hits[name]
            estimate = _estimate(at_point, cases, draws) if share.is_enough else None
            found[f"{name}_{point}"] = _rate(share, estimate)
    enough = min(fractured, len(cases) - fractured) >= MINIMUM
    area = (
        _estimate(lambda rows: auroc(truth[rows], scores[rows]), cases, draws) if enough else None
    )
    found["auroc"] = _area(area, len(cases))
    return found


def _estimate(
    statistic: Callable[[IntArray], float], cases: Sequence[ValidationCase], draws: int
) -> Estimate:
    return bootstrap(
        statistic,
        blocks=[str(case.patient_id) for case in cases],
        labels=[case.fractured for case in cases],
        draws=draws,
    )


def _rate(share: Share, estimate: Estimate | None) -> dict[str, Any]:
    counted = {"hits": share.hits, "n": share.count}
    if estimate is None:
        return {**counted, "value": None, "ci95": None}
    low, high = share.interval
    if not math.isnan(estimate.low):
        low, high = min(low, estimate.low), max(high, estimate.high)
    return {**counted, "value": round(estimate.value, 4), "ci95": [round(low, 4), round(high, 4)]}


def _area(estimate: Estimate | None, count: int) -> dict[str, Any]:
    if estimate is None or math.isnan(estimate.value):
        return {"n": count, "value": None, "ci95": None}
    # Of a perfect order every draw is perfect too; that is no certainty.
    known = estimate.high > estimate.low
    ci95 = [round(estimate.low, 4), round(estimate.high, 4)] if known else None
    return {"n": count, "value": round(estimate.value, 4), "ci95": ci95}
