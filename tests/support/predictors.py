"""Predictors that say what a test tells them to; they judge no pixels."""

from collections.abc import Callable
from hashlib import sha256

import numpy as np

from ml.contracts import (
    Box,
    Certainty,
    FindingPrediction,
    ModelInfo,
    Prediction,
    Thresholds,
    Verdict,
)

MODEL = ModelInfo(
    name="scripted",
    version="1",
    sha256=sha256(b"scripted").hexdigest(),
    preprocessing_version="p1",
    calibration_id="c1",
    thresholds=Thresholds(suspicion=0.3, definite=0.7),
)


def prediction(
    probability: float | None = 0.9, *, model: ModelInfo = MODEL, **values
) -> Prediction:
    """Return an answer whose verdict fits the probability."""
    if probability is None:
        verdict = Verdict.CANNOT_ASSESS
    elif probability >= model.thresholds.definite:
        verdict = Verdict.DEFINITE
    elif probability >= model.thresholds.suspicion:
        verdict = Verdict.SUSPICION
    else:
        verdict = Verdict.NEGATIVE
    findings = ()
    if verdict in {Verdict.DEFINITE, Verdict.SUSPICION}:
        certainty = Certainty.DEFINITE if verdict is Verdict.DEFINITE else Certainty.SUSPICION
        findings = (FindingPrediction(Box(10, 20, 30, 40), probability, certainty),)
    defaults = {
        "region": "hand_arm",
        "region_probability": 0.9,
        "severity": "",
        "findings": findings,
        "heatmap": np.full((16, 12), 7, np.uint8) if probability is not None else None,
        "image_width": 400,
        "image_height": 500,
        "timings_ms": {"decode": 1.0, "total": 3.0},
    }
    return Prediction(model=model, verdict=verdict, probability=probability, **(defaults | values))


class ScriptedPredictor:
    """Calls ``answer`` with the bytes; it may raise or return a prediction."""

    def __init__(self, answer: Callable[[bytes], Prediction] | Prediction) -> None:
        self._answer = answer
        self.calls = 0

    @property
    def info(self) -> ModelInfo:
        return MODEL

    def predict(self, encoded: bytes, *, frame: int = 0) -> Prediction:
        self.calls += 1
        return self._answer(encoded) if callable(self._answer) else self._answer
