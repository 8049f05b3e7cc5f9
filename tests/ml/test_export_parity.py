"""The gate of the export, without TensorFlow: what is compared, what is refused, the table."""

import numpy as np
import pytest

from ml.data.synthetic import synthetic_radiograph
from ml.export_parity import (
    Pictures,
    Reference,
    Row,
    as_markdown,
    file_bytes,
    judge,
    reference_answers,
    refusal,
)
from ml.export_scores import image_scores, largest_differences
from ml.manifest import read_manifest
from ml.metrics import auroc
from ml.predictor import WEIGHTS_FOLDER
from ml.preprocessing import prepare
from ml.runtimes.onnx import OnnxRuntime

GENERATOR = np.random.default_rng(0)


def outputs(count=2):
    """Return logits and maps shaped like the detector's."""
    shapes = {"image": (), "region": (4,), "map": (8, 8, 1), "boxes": (8, 8, 4), "features": (5,)}
    return {
        name: GENERATOR.normal(size=(count, *shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def test_equal_answers_differ_by_nothing_and_logits_are_compared_as_probabilities():
    first = outputs()
    assert set(largest_differences(first, first, input_size=32).values()) == {0.0}
    moved = {**first, "image": first["image"] + 1.0}
    found = largest_differences(first, moved, input_size=32)
    assert 0.0 < found["image"] < 0.25
    assert found["map"] == 0.0


def test_boxes_count_as_shares_of_the_input_and_features_of_their_size():
    first = outputs()
    found = largest_differences(
        first,
        {**first, "boxes": first["boxes"] + 3.2, "features": first["features"] * 2},
        input_size=32,
    )
    assert found["boxes"] == pytest.approx(0.1)
    assert found["features"] == pytest.approx(1.0)


def test_a_missing_or_misshapen_output_is_named():
    first = outputs()
    with pytest.raises(ValueError, match="output map"):
        largest_differences(first, {**first, "map": first["map"][:, :4]}, input_size=32)
    with pytest.raises(ValueError, match="output boxes"):
        largest_differences(first, {n: v for n, v in first.items() if n != "boxes"}, input_size=32)


def test_the_hottest_place_adds_to_the_score_of_a_picture():
    cold = {"image": np.zeros(1, np.float32), "map": np.full((1, 8, 8, 1), -6.0, np.float32)}
    hot = {**cold, "map": np.full((1, 8, 8, 1), 2.0, np.float32)}
    assert image_scores(hot)[0] > image_scores(cold)[0]


@pytest.mark.parametrize(
    ("name", "difference", "loss", "words"),
    [
        ("onnx", 9e-4, 0.5, ""),
        ("onnx", 2e-3, 0.0, "differs from Keras"),
        ("tflite", float("nan"), 0.0, "differs from Keras"),
        ("onnx-int8", 0.3, 0.004, ""),
        ("onnx-int8", 0.0, 0.006, "of AUROC"),
        ("onnx-int8", 0.0, float("nan"), "both labels"),
    ],
)
def test_what_answers_differently_is_refused(name, difference, loss, words):
    row = Row(name, "engine", 1, {"image": difference, "features": 5.0})
    found = refusal(row, auroc_loss=loss)
    assert (words in found) if words else found == ""


def test_the_table_says_what_was_refused_and_on_what_it_rests():
    pictures = Pictures(np.zeros((3, 4, 4, 1)), np.zeros((9, 4, 4, 1)), np.arange(9) > 6, "real")
    rows = [
        Row("onnx", "ONNX Runtime", 11_000_000, {"image": 1e-6}, auroc=0.91, ms=70.0, cpu_ms=61.0),
        Row("onnx-int8", "ONNX Runtime", 4_000_000, {"image": 0.2}, refusal="loses 0.02 of AUROC"),
    ]
    table = as_markdown(rows, pictures, 0.91)
    assert "3 real radiographs" in table
    assert "9 pictures, 2 fractured" in table
    assert "| onnx | ONNX Runtime | 11.0 | 1.0e-06 | 0.9100 | 70 | 61 |" in table
    assert "**refused**: loses 0.02 of AUROC" in table
    assert rows[0].as_json()["largest_difference"] == 1e-6


def test_a_folder_is_as_large_as_its_files(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"12345")
    (tmp_path / "variables" / "data").write_bytes(b"123")
    assert file_bytes(tmp_path) == 8
    assert file_bytes(tmp_path / "saved_model.pb") == 5


@pytest.fixture(scope="module")
def shipped():
    """Return the shipped file, pictures, and its own answers as if they were Keras'."""
    manifest = read_manifest(WEIGHTS_FOLDER)
    size = manifest.input_size
    drawn = [synthetic_radiograph(i, fractured=i % 2 == 0).pixels for i in range(4)]
    ready = np.stack([prepare(d, input_size=size).pixels for d in drawn])[..., None]
    pictures = Pictures(ready[:2], ready, np.arange(4) % 2 == 0, "synthetic")
    runtime = OnnxRuntime(manifest.weights, sha256=manifest.info.sha256)
    return manifest.weights, pictures, reference_answers(lambda p: runtime.run(p[..., 0]), pictures)


def test_a_file_is_judged_in_a_process_of_its_own(shipped, tmp_path):
    path, pictures, reference = shipped
    row = judge("onnx", path, reference, pictures, tmp_path)
    assert row.refusal == ""
    assert row.largest < 1e-6
    assert row.bytes == path.stat().st_size
    assert min(row.ms, row.cpu_ms, row.rss_mb) > 0
    assert row.auroc == auroc(pictures.labels, reference.scores)


def test_other_answers_or_a_file_that_does_not_load_are_refused(shipped, tmp_path, capfd):
    path, pictures, reference = shipped
    outputs = {**reference.outputs, "image": reference.outputs["image"] + 0.1}
    moved = Reference(outputs, reference.scores)
    assert "differs from Keras" in judge("onnx", path, moved, pictures, tmp_path).refusal
    fewer = Reference({**outputs, "more": outputs["image"]}, reference.scores)
    assert "output more is missing" in judge("onnx", path, fewer, pictures, tmp_path).refusal
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(path.read_bytes()[:1000])
    assert "cannot be loaded" in judge("onnx", broken, reference, pictures, tmp_path).refusal
