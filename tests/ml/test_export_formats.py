"""Export with TensorFlow: every format of a small network answers alike, or it is refused."""

import json

import keras
import numpy as np
import onnx
import onnxruntime as ort
import pytest

from ml import export, export_formats
from ml.architectures.classifiers import build_classifier
from ml.architectures.detector import build_detector
from ml.cam import GradCam, with_cam
from ml.data.synthetic import synthetic_radiograph
from ml.explain_keras import grad_cam
from ml.explain_scores import exact_cam
from ml.export_network import load_network

CONFIG = "[model]\ninput_size = 64\nbatch_norm_momentum = 0.9\ndropout = 0.1\n"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Write a detector whose batch norm has statistics of its own."""
    folder = tmp_path_factory.mktemp("detector")
    (folder / "detector.toml").write_text(CONFIG)
    keras.utils.set_random_seed(3)
    model = build_detector(input_size=64, batch_norm_momentum=0.9, dropout=0.1)
    generator = np.random.default_rng(3)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            scale, shift, mean, variance = layer.get_weights()
            layer.set_weights(
                [
                    scale * generator.uniform(0.7, 1.3, scale.shape),
                    shift + generator.normal(0, 0.1, shift.shape),
                    mean + generator.normal(0, 0.1, mean.shape),
                    variance * generator.uniform(0.7, 1.3, variance.shape),
                ]
            )
    path = folder / "small.weights.h5"
    model.save_weights(path)
    return path


def run(weights, out, *options):
    with pytest.raises(SystemExit) as stopped:
        export.main(
            [
                *("--weights", str(weights), "--config", str(weights.parent / "detector.toml")),
                *("--out", str(out), "--version", "9.9", *options),
            ]
        )
    return stopped.value.code


def test_every_float_format_passes_the_gate_and_the_table_says_so(weights, tmp_path):
    formats = ["onnx", "keras", "h5", "savedmodel", "tflite"]
    assert run(weights, tmp_path, "--format", *formats, "--table", str(tmp_path / "parity")) == 0
    table = json.loads((tmp_path / "parity.json").read_text())
    rows = {row["format"]: row for row in table["rows"]}
    assert set(rows) == {*formats, "naive-keras", "naive-keras-loading"}
    for name in formats:
        assert rows[name]["largest_difference"] < 1e-3
        assert rows[name]["rss_mb"] > 50
        assert (tmp_path / export_formats.FILE_NAMES[name]).exists()
    assert rows["naive-keras-loading"]["ms"] > rows["naive-keras"]["ms"] > 0
    assert "synthetic radiographs" in (tmp_path / "parity.md").read_text()
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["version"], manifest["input_size"]) == ("9.9", 64)
    assert manifest["parity"]["image"] < 1e-3


def test_batch_norm_is_folded_and_changes_no_answer(weights):
    network = load_network(weights, weights.parent / "detector.toml")
    data = export_formats.to_onnx(network)
    graph = onnx.load_from_string(data).graph
    assert "BatchNormalization" not in {node.op_type for node in graph.node}
    assert not export_formats._unfolded(onnx.load_from_string(data))
    pixels = np.random.default_rng(0).uniform(-1, 1, (3, 64, 64, 1)).astype(np.float32)
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    answers = dict(zip(names, session.run(names, {"pixels": pixels}), strict=True))
    expected = network.model(pixels, training=False)
    for name in ("image", "map", "region"):
        np.testing.assert_allclose(answers[name], np.asarray(expected[name]), atol=1e-4)


def test_a_file_that_answers_differently_is_refused(weights, tmp_path, monkeypatch):
    def spoiled(network, path, pictures):
        heads = network.model.get_layer("image_logit")
        kernel, bias = heads.get_weights()
        heads.set_weights([kernel, bias + 0.1])
        path.write_bytes(export_formats.to_onnx(network))
        heads.set_weights([kernel, bias])

    monkeypatch.setattr(export, "WRITERS", {**export.WRITERS, "onnx": spoiled})
    assert run(weights, tmp_path / "out") == 1
    assert not (tmp_path / "out").exists()


def test_rounding_that_loses_auroc_is_refused(weights, tmp_path, monkeypatch):
    monkeypatch.setattr("ml.export_parity.AUROC_LOSS_LIMIT", -1.0)
    assert run(weights, tmp_path / "out", "--format", "onnx-int8") == 1
    assert not (tmp_path / "out").exists()


def test_the_exact_class_map_averages_to_the_logit_and_survives_export(tmp_path):
    keras.utils.set_random_seed(1)
    model = build_classifier("custom_cnn", head="binary", image_size=64)
    path = tmp_path / "model.keras"
    model.save(path)
    network = load_network(path, tmp_path)
    data = export_formats.to_onnx(network)
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 1)).astype(np.float32)
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    logit, heat = session.run(["fracture", "cam_fracture"], {"pixels": pixels})
    bias = model.get_layer("fracture").get_weights()[1]
    np.testing.assert_allclose(heat.mean(axis=(1, 2)) + bias, logit, atol=1e-4)


@pytest.mark.parametrize("head", ["binary", "region", "type"])
def test_class_map_and_grad_cam_explain_a_picture_alike(tmp_path, head):
    keras.utils.set_random_seed(1)
    model = build_classifier("custom_cnn", head=head, image_size=128)
    model.save(tmp_path / "model.keras")
    network = load_network(tmp_path / "model.keras", tmp_path)
    (tmp_path / "model.onnx").write_bytes(export_formats.to_onnx(network))
    pixels = synthetic_radiograph(2, fractured=True).pixels
    exact = exact_cam(tmp_path / "model.onnx")(pixels).astype(int)
    estimated = grad_cam(tmp_path / "model.keras", tmp_path)(pixels).astype(int)
    assert exact.max() > 100
    assert np.abs(exact - estimated).max() <= 2


def test_grad_cam_of_a_pooled_head_is_the_positive_part_of_the_exact_map():
    keras.utils.set_random_seed(1)
    model = build_classifier("mobilenetv2", head="binary", image_size=64)
    model.trainable = False
    pixels = np.random.default_rng(0).uniform(-1, 1, (64, 64)).astype(np.float32)
    exact = np.asarray(with_cam(model)(pixels[None, ..., None])["cam_fracture"])[0, ..., 0]
    heat = GradCam(model, "fracture").heat(pixels)
    positive = np.maximum(exact, 0)
    assert positive.max() > 0
    np.testing.assert_allclose(heat, positive / positive.max(), atol=1e-4)


def test_grad_cam_works_for_any_network_and_names_what_is_missing(weights):
    model = load_network(weights, weights.parent / "detector.toml").model
    heat = GradCam(model, "image").heat(np.zeros((64, 64), np.float32))
    assert heat.shape == (2, 2)
    assert 0.0 <= heat.min() <= heat.max() <= 1.0
    assert GradCam(model, "image", layer="p3_out").heat(np.zeros((64, 64))).shape == (8, 8)
    with pytest.raises(ValueError, match="no output 'none'"):
        GradCam(model, "none")
    with pytest.raises(ValueError, match="no layer 'none'"):
        GradCam(model, "image", layer="none")


def test_a_model_without_pooled_head_gets_no_class_map(weights):
    picture = keras.Input((32, 32, 1))
    flat = keras.layers.Flatten()(picture)
    model = keras.Model(picture, {"fracture": keras.layers.Dense(1)(flat)})
    assert with_cam(model) is model
