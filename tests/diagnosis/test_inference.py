"""The bridge to ``ml``: boxes stay inside the image, wrong weights are never used."""

import dataclasses
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diagnosis import inference
from ml.contracts import Box, Certainty, FindingPrediction, ModelArtifactError
from ml.data.synthetic import synthetic_radiograph, to_jpeg
from ml.predictor import WEIGHTS_FOLDER
from tests.support.predictors import ScriptedPredictor, prediction


@pytest.fixture
def shipped(settings, tmp_path):
    """Return a copy of the shipped model's folder that the settings point to."""
    settings.ML_MODEL_DIR = shutil.copytree(WEIGHTS_FOLDER, tmp_path / "model")
    return settings.ML_MODEL_DIR


def alter_weights(folder) -> None:
    path = folder / json.loads((folder / "manifest.json").read_text())["file"]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def analyse(monkeypatch, answer):
    monkeypatch.setattr(inference, "get_predictor", lambda _folder: ScriptedPredictor(answer))
    return inference.analyse(b"", folder=Path("anywhere"))


def found(*box: float) -> FindingPrediction:
    return FindingPrediction(Box(*box), 0.9, Certainty.DEFINITE)


def test_a_heatmap_that_points_badly_is_not_stored(monkeypatch):
    answer = prediction(0.9, heatmap=np.zeros((3, 4), np.uint8))
    info = dataclasses.replace(answer.model, heatmap_shown=False)

    hidden = dataclasses.replace(answer, model=info)

    assert analyse(monkeypatch, answer).heatmap_png is not None
    assert analyse(monkeypatch, hidden).heatmap_png is None


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((10, 20, 30, 40), (10, 20, 30, 40)),
        ((-5, -5, 20, 20), (0, 0, 15, 15)),
        ((390, 490, 30, 40), (390, 490, 10, 10)),
    ],
)
def test_boxes_are_cut_at_the_borders(monkeypatch, box, expected):
    (finding,) = analyse(monkeypatch, prediction(0.9, findings=(found(*box),))).findings

    assert (finding.x, finding.y, finding.width, finding.height) == expected


def test_a_box_outside_of_the_image_is_no_finding(monkeypatch):
    outside = (found(400, 0, 10, 10), found(-20, 0, 20, 10), found(5, 5, 0, 9))

    assert analyse(monkeypatch, prediction(0.9, findings=outside)).findings == ()


def test_the_heatmap_is_a_grayscale_png(monkeypatch):
    heatmap = np.arange(12, dtype=np.uint8).reshape(3, 4)
    png = analyse(monkeypatch, prediction(0.9, heatmap=heatmap)).heatmap_png

    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), heatmap)


def test_a_refusal_names_who_refuses_and_computes_nothing():
    outcome = inference.refusal(inference.shipped_model(), "no_model_for_modality")

    assert (outcome.verdict, outcome.probability) == ("cannot_assess", None)
    assert outcome.reasons == ("no_model_for_modality",)
    assert outcome.model.sha256 == inference.shipped_model().sha256


def test_the_shipped_model_answers_and_names_itself(shipped):
    picture = to_jpeg(synthetic_radiograph(1, size=(240, 300)).pixels)

    outcome = inference.analyse(picture, folder=shipped)

    assert outcome.model.sha256 == inference.shipped_model().sha256
    assert outcome.verdict in {"definite", "suspicion", "negative", "cannot_assess"}
    assert outcome.timings_ms["total"] > 0


def test_altered_weights_are_neither_read_nor_loaded(shipped):
    alter_weights(shipped)

    with pytest.raises(ModelArtifactError):
        inference.shipped_model()
    with pytest.raises(ModelArtifactError):
        inference.get_predictor(shipped)


def test_a_missing_model_is_refused(settings, tmp_path):
    settings.ML_MODEL_DIR = tmp_path

    with pytest.raises(ModelArtifactError):
        inference.shipped_model()
