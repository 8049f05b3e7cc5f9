"""From probabilities to what is shown: verdict, boxes, and cautious words about each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.contracts import Box, Certainty, FindingPrediction, Thresholds, Verdict
from ml.detection import Candidate
from ml.labels import DISPLACEMENTS, PATTERNS, SEVERITIES

_MAX_SHOWN = 6
# A reading is only given when the model prefers it clearly; the readers themselves agreed in
# kappa 0.73 (displacement), 0.64 (severity) and 0.49 (pattern).
_READING_LIMITS = {"severity": 0.5, "displacement": 0.65, "pattern": 0.6}


@dataclass(frozen=True, slots=True)
class Finding:
    """A candidate in image pixels with its calibrated probability."""

    box: Box
    probability: float
    candidate: Candidate


def verdict_of(probability: float, thresholds: Thresholds) -> Verdict:
    """Return the verdict of a calibrated probability."""
    if probability >= thresholds.definite:
        return Verdict.DEFINITE
    if probability >= thresholds.suspicion:
        return Verdict.SUSPICION
    return Verdict.NEGATIVE


def findings_of(
    findings: Sequence[Finding], verdict: Verdict, thresholds: Thresholds
) -> tuple[FindingPrediction, ...]:
    """Return the places to show, strongest first.

    A negative image shows none. Another one always shows its strongest place, or a reader would be
    told "suspicious" without being told where. A box is solid only on a definite image.
    """
    if verdict not in {Verdict.SUSPICION, Verdict.DEFINITE}:
        return ()
    shown = [f for f in findings if f.probability >= thresholds.suspicion] or list(findings[:1])
    return tuple(_describe(f, verdict, thresholds) for f in shown[:_MAX_SHOWN])


def image_severity(findings: Sequence[Finding], verdict: Verdict) -> str:
    """Return the experimental severity of the strongest place of a definite image, or ``""``."""
    if verdict is not Verdict.DEFINITE or not findings:
        return ""
    return _reading(findings[0].candidate.severity, SEVERITIES, "severity")


def _describe(finding: Finding, verdict: Verdict, thresholds: Thresholds) -> FindingPrediction:
    solid = verdict is Verdict.DEFINITE and finding.probability >= thresholds.definite
    candidate = finding.candidate
    return FindingPrediction(
        box=finding.box,
        probability=finding.probability,
        certainty=Certainty.DEFINITE if solid else Certainty.SUSPICION,
        fracture_type=_reading(candidate.pattern, PATTERNS, "pattern"),
        displacement=_reading(candidate.displacement, DISPLACEMENTS, "displacement"),
        severity=_reading(candidate.severity, SEVERITIES, "severity"),
    )


def _reading(values: npt.NDArray[np.float64], names: Sequence[str], kind: str) -> str:
    best = int(np.argmax(values))
    return names[best] if values[best] >= _READING_LIMITS[kind] else ""
