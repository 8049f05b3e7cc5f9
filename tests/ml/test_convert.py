"""Keras and SavedModel files become ONNX only when both answer alike; needs TensorFlow."""

import dataclasses
import hashlib

import keras
import numpy as np
import onnxruntime as ort
import pytest
import tensorflow as tf

from ml import convert
from ml.carried_code import CarriesCodeError

SIZE = 64


def small_model() -> keras.Model:
    """Return a tiny network with the outputs of the contract."""
    layers = keras.layers
    picture = keras.Input((SIZE, SIZE, 1), name="pixels")
    grid = layers.Conv2D(8, 3, strides=4, padding="same", activation="relu")(picture)
    pooled = layers.GlobalAveragePooling2D(name="pool")(grid)
    outputs = {
        "image": layers.Reshape(())(layers.Dense(1)(pooled)),
        "region": layers.Dense(4)(pooled),
        "body_region": layers.Dense(13)(pooled),
        "flags": layers.Dense(2)(pooled),
        "map": layers.Conv2D(1, 1)(grid),
        "boxes": layers.Conv2D(4, 1, activation="softplus")(grid),
        "attributes": layers.Conv2D(9, 1)(grid),
    }
    named = {name: layers.Activation("linear", name=name)(value) for name, value in outputs.items()}
    return keras.Model(picture, named)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_keras_file_is_converted_and_answers_alike(tmp_path, suffix):
    source, target = tmp_path / f"model{suffix}", tmp_path / "model.onnx"
    model = small_model()
    model.save(source)

    answer = convert.convert(source, target, SIZE)

    assert answer["sha256"] == hashlib.sha256(target.read_bytes()).hexdigest()
    assert max(answer["parity"].values()) < 1e-4
    session = ort.InferenceSession(target.read_bytes(), providers=["CPUExecutionProvider"])
    assert {output.name for output in session.get_outputs()} == set(convert.NAMES)
    pixels = np.random.default_rng(1).uniform(-1, 1, (2, SIZE, SIZE, 1)).astype(np.float32)
    [image] = session.run(["image"], {session.get_inputs()[0].name: pixels})
    assert np.allclose(image, model(pixels)["image"], atol=1e-4)


def saved(folder, function):
    module = tf.Module()
    module.serve = tf.function(
        function, input_signature=[tf.TensorSpec((None, SIZE, SIZE, 1), tf.float32, name="x")]
    )
    signature = module.serve.get_concrete_function()
    module.kept = getattr(function, "kept", None)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": signature})
    return folder


def test_a_savedmodel_is_converted(tmp_path):
    model = small_model()
    whole = keras.Model(model.input, {**model.output, "features": model.get_layer("pool").output})

    def serve(x):
        return whole(x, training=False)

    serve.kept = whole
    folder = saved(tmp_path / "saved", serve)

    answer = convert.convert(folder, tmp_path / "model.onnx", SIZE)

    assert max(answer["parity"].values()) < 1e-4


def test_a_tflite_file_is_converted(tmp_path):
    model = small_model()
    whole = keras.Model(model.input, {**model.output, "features": model.get_layer("pool").output})
    archive = keras.export.ExportArchive()
    archive.track(whole)
    signature = [tf.TensorSpec((1, SIZE, SIZE, 1), tf.float32, name="pixels")]
    archive.add_endpoint("serve", lambda x: whole(x, training=False), input_signature=signature)
    archive.write_out(str(tmp_path / "saved"), verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    (tmp_path / "model.tflite").write_bytes(converter.convert())

    answer = convert.convert(tmp_path / "model.tflite", tmp_path / "model.onnx", SIZE)

    assert max(answer["parity"].values()) < 1e-4


def test_a_graph_that_calls_python_is_refused(tmp_path):
    def serve(x):
        return {"image": tf.py_function(lambda value: value, [x], tf.float32)}

    with pytest.raises(CarriesCodeError, match="PyFunc"):
        convert.convert(saved(tmp_path / "saved", serve), tmp_path / "model.onnx", SIZE)


def test_a_lambda_layer_is_refused(tmp_path):
    picture = keras.Input((SIZE, SIZE, 1))
    doubled = keras.layers.Lambda(lambda x: x * 2)(picture)
    keras.Model(picture, doubled).save(tmp_path / "model.keras")

    with pytest.raises(CarriesCodeError, match="Lambda"):
        convert.convert(tmp_path / "model.keras", tmp_path / "model.onnx", SIZE)


def test_a_custom_layer_is_refused(tmp_path):
    @keras.saving.register_keras_serializable(package="somebody")
    class Odd(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    picture = keras.Input((SIZE, SIZE, 1))
    keras.Model(picture, Odd()(picture)).save(tmp_path / "model.keras")

    with pytest.raises(CarriesCodeError, match="somebody>Odd"):
        convert.convert(tmp_path / "model.keras", tmp_path / "model.onnx", SIZE)


def test_other_outputs_are_refused(tmp_path):
    picture = keras.Input((SIZE, SIZE, 1))
    keras.Model(picture, keras.layers.Flatten(name="score")(picture)).save(tmp_path / "m.keras")

    with pytest.raises(convert.ContractError, match="lacks the outputs"):
        convert.convert(tmp_path / "m.keras", tmp_path / "model.onnx", SIZE)


def test_a_conversion_that_answers_differently_is_not_written(tmp_path, monkeypatch):
    small_model().save(tmp_path / "model.keras")
    load = convert._load

    def biased(source, size):
        original = load(source, size)

        def forward(pixels):
            return {**original.forward(pixels), "image": original.forward(pixels)["image"] + 0.05}

        return dataclasses.replace(original, forward=forward)

    monkeypatch.setattr(convert, "_load", biased)

    with pytest.raises(convert.ParityError):
        convert.convert(tmp_path / "model.keras", tmp_path / "model.onnx", SIZE)
    assert not (tmp_path / "model.onnx").exists()
