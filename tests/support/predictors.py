"""Predictors that say what a test tells them to; they judge no pixels."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

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


def put_in_charge(monkeypatch, scripted: "ScriptedPredictor", *, stage: str = "active"):
    """Let the scripted predictor read images, as a registered version whose files nobody needs."""
    from diagnosis import inference
    from diagnosis.models import ModelVersion

    info = scripted.info
    row, _ = ModelVersion.objects.get_or_create(
        name=info.name,
        version=info.version,
        defaults={
            "sha256": info.sha256,
            "preprocessing_version": info.preprocessing_version,
            "calibration_id": info.calibration_id,
            "threshold_suspicion": info.thresholds.suspicion,
            "threshold_definite": info.thresholds.definite,
            "modalities": ["CR", "DX", "photo"],
        },
    )
    if stage == "active":
        ModelVersion.objects.filter(name=info.name, stage="active").update(stage="registered")
    ModelVersion.objects.filter(pk=row.pk).update(stage=stage)
    known = _scripted(monkeypatch)
    known[Path(str(row.pk))] = scripted
    monkeypatch.setattr(inference, "get_predictor", lambda folder: known[folder])
    for module in ("analysis_runs", "model_files", "shadow_runs"):
        monkeypatch.setattr(
            f"diagnosis.services.{module}.model_folder", lambda version: Path(str(version.pk))
        )
    monkeypatch.setattr("diagnosis.services.model_files.get_predictor", lambda folder: None)
    return row


def _scripted(monkeypatch) -> "dict[Path, ScriptedPredictor]":
    """Return the predictors of this test, by the folder that stands for their version."""
    known = getattr(monkeypatch, "scripted_predictors", None)
    if known is None:
        known = monkeypatch.scripted_predictors = {}
    return known


class ScriptedPredictor:
    """Calls ``answer`` with the bytes; it may raise or return a prediction."""

    def __init__(
        self, answer: Callable[[bytes], Prediction] | Prediction, *, info: ModelInfo = MODEL
    ) -> None:
        self._answer = answer
        self.info = info
        self.calls = 0

    def predict(self, encoded: bytes, *, frame: int = 0, photographed: bool = False) -> Prediction:
        self.calls += 1
        return self._answer(encoded) if callable(self._answer) else self._answer
