"""A model folder is loaded only when it is exactly what its manifest says."""

import json
import shutil

import numpy as np
import pytest

from ml.contracts import ModelArtifactError
from ml.manifest import read_manifest
from ml.novelty import fit_novelty, load_novelty, save_novelty
from ml.predictor import WEIGHTS_FOLDER, load_predictor


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(WEIGHTS_FOLDER, tmp_path / "model")


def change(folder, **values):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_the_shipped_model_loads_and_is_small(folder):
    manifest = read_manifest(folder)
    assert manifest.weights.stat().st_size <= 25_000_000
    assert load_predictor(folder).info == manifest.info


def test_an_altered_file_is_refused(folder):
    weights = read_manifest(folder).weights
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(ModelArtifactError, match="sha256"):
        load_predictor(folder)


def test_an_altered_novelty_file_is_refused(folder):
    manifest = read_manifest(folder)
    assert manifest.novelty_file is not None
    manifest.novelty_file.write_bytes(manifest.novelty_file.read_bytes() + b"x")
    with pytest.raises(ModelArtifactError, match="not the file"):
        load_predictor(folder)


@pytest.mark.parametrize("missing", ["manifest.json", "fracture_detector.onnx", "novelty.npz"])
def test_a_missing_file_is_refused(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(ModelArtifactError):
        load_predictor(folder)


def test_a_file_that_is_no_model_is_refused_even_with_the_right_hash(folder):
    import hashlib

    data = b"not a model"
    (folder / "fracture_detector.onnx").write_bytes(data)
    change(folder, sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(ModelArtifactError, match="not a model"):
        load_predictor(folder)


@pytest.mark.parametrize(
    "values",
    [
        {"schema_version": 99},
        {"preprocessing_version": "another"},
        {"file": "../outside.onnx"},
        {"file": "/etc/passwd"},
        {"thresholds": {"suspicion": 0.9, "definite": 0.1}},
        {"thresholds": {"suspicion": 0.0, "definite": 0.5}},
        {"calibration": {"id": "x", "image": {"slope": -1, "intercept": 0}}},
        {"sha256": None, "modalities": 5},
    ],
    ids=[
        "future schema",
        "other preprocessing",
        "file outside",
        "absolute file",
        "thresholds crossed",
        "threshold zero",
        "calibration reversed",
        "wrong types",
    ],
)
def test_a_contradictory_manifest_is_refused(folder, values):
    change(folder, **values)
    with pytest.raises(ModelArtifactError):
        read_manifest(folder)


def test_the_manifest_says_whether_the_heatmap_may_be_shown_unasked(folder):
    assert load_predictor(folder).info.heatmap_shown is True
    change(folder, heatmap={"shown": False})
    assert load_predictor(folder).info.heatmap_shown is False


@pytest.mark.parametrize("value", [{"shown": "no"}, ["shown"], None])
def test_an_unclear_word_about_the_heatmap_is_refused(folder, value):
    change(folder, heatmap=value)
    with pytest.raises(ModelArtifactError, match=r"heatmap\.shown"):
        read_manifest(folder)


def test_a_manifest_that_is_not_json_is_refused(folder):
    (folder / "manifest.json").write_text("{")
    with pytest.raises(ModelArtifactError, match="not a valid manifest"):
        read_manifest(folder)


def test_a_stranger_is_farther_away_than_the_pictures_learned_from(tmp_path):
    generator = np.random.default_rng(0)
    shape = generator.normal(size=(6, 40))
    usual = generator.normal(size=(400, 6)) @ shape + generator.normal(size=(400, 40)) * 0.05
    model = fit_novelty(usual, axes=6)
    path = tmp_path / "novelty.npz"
    loaded = load_novelty(path, sha256=save_novelty(model, path))
    inside = max(loaded.distance(row) for row in usual[:50])
    assert loaded.distance(generator.normal(size=40) * 3) > 2 * inside
    assert loaded.distance(usual[0]) == pytest.approx(model.distance(usual[0]), rel=0.2)
