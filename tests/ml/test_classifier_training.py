"""The classifiers with TensorFlow: shapes, losses, frozen phases, exact resume, local weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from ml.architectures.classifiers import build_classifier, set_frozen
from ml.classification import (
    ARCHITECTURES,
    HEADS,
    Settings,
    WeightsUnavailableError,
    head_sizes,
    phases,
)
from ml.data.cache import PictureCache
from ml.data.classification import Views
from ml.data.fracatlas import read_samples
from ml.train_classifier import _HERE, main
from ml.training_classifier import Trainer, Weighting, classification_loss, weighting_of
from tests.ml.classification_data import write_data

CONFIG = _HERE / "configs" / "classifier.toml"


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_answers_with_the_outputs_of_its_head(architecture):
    for head in HEADS:
        model = build_classifier(architecture, head=head, image_size=64)
        output = model(np.zeros((2, 64, 64, 1), np.float32))
        assert {k: v.shape for k, v in output.items()} == {
            name: (2, width) for name, width in head_sizes(head).items()
        }
        momenta = {
            layer.momentum
            for layer in model.get_layer("backbone").layers
            if isinstance(layer, layers.BatchNormalization)
        }
        assert momenta <= {0.9}


def test_a_pretrained_backbone_sees_what_its_own_preprocessing_gives():
    grey = np.random.default_rng(0).uniform(-1, 1, (1, 64, 64, 1)).astype(np.float32)
    colour = np.repeat((grey + 1.0) * 127.5, 3, axis=-1)
    for name, package in (
        ("vgg16", keras.applications.vgg16),
        ("resnet50", keras.applications.resnet50),
        ("densenet121", keras.applications.densenet),
    ):
        model = build_classifier(name, head="binary", image_size=64)
        scaled = keras.Model(model.input, model.get_layer("scale").output)(grey)
        assert np.allclose(scaled, package.preprocess_input(colour.copy()), atol=1e-3)


def test_weights_from_a_file_arrive_at_another_size(tmp_path):
    source = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(224, 224, 3)
    )
    source.save_weights(tmp_path / "mobilenetv2_imagenet.weights.h5")
    model = build_classifier(
        "mobilenetv2", head="binary", image_size=64, weights="imagenet", weights_folder=tmp_path
    )
    for left, right in zip(
        source.get_weights(), model.get_layer("backbone").get_weights(), strict=True
    ):
        assert np.array_equal(left, right)
    with pytest.raises(WeightsUnavailableError, match="does not hold the backbone weights"):
        build_classifier(
            "vgg16",
            head="binary",
            image_size=64,
            weights=str(tmp_path / "mobilenetv2_imagenet.weights.h5"),
        )
    with pytest.raises(WeightsUnavailableError, match="there is no weight file"):
        build_classifier("vgg16", head="binary", image_size=64, weights="absent.weights.h5")
    with pytest.raises(WeightsUnavailableError, match="never trained on ImageNet"):
        build_classifier("custom_cnn", head="binary", image_size=64, weights="imagenet")


def test_weights_that_cannot_be_fetched_are_explained(monkeypatch):
    def offline(**options):
        raise Exception("URL fetch failure")  # noqa: TRY002 - what Keras raises

    monkeypatch.setitem(build_classifier.__globals__["_APPLICATIONS"], "vgg16", offline)
    with pytest.raises(WeightsUnavailableError, match=r"--weights-folder as vgg16_imagenet"):
        build_classifier("vgg16", head="binary", image_size=64, weights="imagenet")


def truth(fractured, region=0, kind=0):
    return {
        "fractured": tf.constant([fractured], tf.float32),
        "region": tf.constant([region], tf.float32),
        "type": tf.constant([kind], tf.float32),
    }


def test_the_losses_do_what_they_say():
    plain = Weighting((1.0, 1.0), (1.0,) * 13, (1.0,) * 6, 0.0)
    heavy = Weighting((1.0, 3.0), (1.0,) * 13, (1.0,) * 6, 0.0)
    focal = Weighting((1.0, 1.0), (1.0,) * 13, (1.0,) * 6, 2.0)
    zero = {"fracture": tf.zeros((1, 1))}
    base = float(classification_loss("binary", truth(1), zero, plain))
    assert base == pytest.approx(np.log(2), rel=1e-5)
    assert float(classification_loss("binary", truth(1), zero, heavy)) == pytest.approx(3 * base)
    assert float(classification_loss("binary", truth(1), zero, focal)) == pytest.approx(base / 4)
    regions = {"region": tf.zeros((1, 13)), "fracture": tf.zeros((1, 13))}
    assert float(classification_loss("region", truth(1, -1), regions, plain)) == 0.0
    assert float(classification_loss("region", truth(1, 2), regions, plain)) == pytest.approx(
        np.log(13) + np.log(2), rel=1e-5
    )
    types = {"type": tf.zeros((1, 6))}
    # Any of the five types is right for a fracture of unknown type.
    assert float(classification_loss("type", truth(1, 0, -1), types, plain)) == pytest.approx(
        np.log(6 / 5), rel=1e-4
    )


def test_a_frozen_backbone_does_not_move_and_neither_do_its_statistics():
    model = build_classifier("mobilenetv2", head="binary", image_size=64)
    set_frozen(model, frozen=True)
    before = model.get_layer("backbone").get_weights()
    model(np.random.default_rng(0).normal(size=(4, 64, 64, 1)), training=True)
    after = model.get_layer("backbone").get_weights()
    assert all(np.array_equal(left, right) for left, right in zip(before, after, strict=True))
    assert len(model.trainable_variables) == 2
    set_frozen(model, frozen=False)
    assert len(model.trainable_variables) > 100


@pytest.mark.parametrize("interrupted_after", [1, 2, 3, 5])
def test_an_interrupted_run_ends_with_the_same_weights(data, tmp_path, interrupted_after):
    samples = read_samples(data)
    cache = PictureCache(tmp_path / "cache", samples)
    settings = Settings.read(
        CONFIG, {"epochs": 2, "frozen_epochs": 1, "image_size": 64, "batch_size": 4}
    )

    def trainer(folder, seed):
        keras.utils.set_random_seed(seed)
        folder.mkdir(exist_ok=True)
        model = build_classifier("custom_cnn", head="binary", image_size=64)
        plan = phases(settings, pretrained=True)
        return Trainer(model, "binary", settings, plan, folder, fingerprint="x")

    def train(run, stop_after=0):
        run.train(
            Views(samples[:24], cache, image_size=64, batch_size=4, seed=3),
            samples[24:32],
            weighting_of(samples, settings),
            steps=3,
            checkpoint_steps=1,
            stop_after=stop_after,
        )

    whole = trainer(tmp_path / "whole", 1)
    train(whole)
    train(trainer(tmp_path / "parts", 1), stop_after=interrupted_after)
    rest = trainer(tmp_path / "parts", 2)  # other initial weights: all must come from the state
    rest.restore()
    train(rest)
    assert rest.epoch == whole.epoch == 2
    for left, right in zip(whole.model.get_weights(), rest.model.get_weights(), strict=True):
        assert np.allclose(left, right, atol=1e-5)


def test_a_state_of_other_settings_is_not_continued(data, tmp_path, capsys, monkeypatch):
    # TensorFlow accepts this only before its first operation, which other tests have run.
    monkeypatch.setattr(
        tf.config.threading, "set_intra_op_parallelism_threads", lambda threads: None
    )
    options = [
        *("--architecture", "custom_cnn", "--data", str(data), "--out", str(tmp_path / "run")),
        *("--split", str(data / "split.csv"), "--cache", str(tmp_path / "cache")),
        *("--image-size", "64", "--batch-size", "4", "--dry-run"),
    ]
    main(options)
    for name in ("model.keras", "predictions.csv", "result.json", "history.jsonl"):
        assert (tmp_path / "run" / name).is_file()
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    loaded = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert loaded.input_shape == (None, 64, 64, 1)
    with pytest.raises(SystemExit):
        main([*options, "--resume", "--seed", "9"])
    assert "other settings" in capsys.readouterr().err
    main([*options, "--resume"])  # a finished run is measured again
